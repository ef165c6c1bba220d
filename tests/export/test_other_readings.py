"""Formats that the project has no reader for, read by others' code or by a reading written here."""

from __future__ import annotations

import json
from pathlib import Path

import made_run
import pytest
from test_round_trips import ROWS, export

from pipeline.export import kosmos


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("table", ["regions", "patch_words"])
def test_kosmos_captions_are_read_by_transformers_own_code(made: Path, tmp_path: Path, table: str) -> None:
    from transformers.models.kosmos2.processing_kosmos2 import clean_text_and_extract_entities_with_bboxes

    export(made, table, "kosmos", tmp_path / "out")
    found = {}
    for row in lines(tmp_path / "out" / "train.jsonl") + lines(tmp_path / "out" / "test.jsonl"):
        text, entities = clean_text_and_extract_entities_with_bboxes(row["text"])
        found[row["id"]] = (row["image"], text, entities)
    assert {name: (image, text) for name, (image, text, _) in found.items()} == {
        row["caption_id"]: (f"{row['image_id']}.png", row["text"]) for row in ROWS["captions"]
    }
    for phrase in ROWS["phrases"]:
        boxes = [row["box"] for row in ROWS["regions"] if row["phrase_id"] == phrase["phrase_id"]]
        entities = {span: cells for _, span, cells in found[phrase["caption_id"]][2]}
        cells = entities.get((phrase["start"], phrase["end"]), [])
        assert len(cells) == len(boxes)
        width, height = made_run.SIZES[phrase["image_id"]]
        for cell, box in zip(cells, boxes, strict=True):
            shares = [box[0] / width, box[1] / height, box[2] / width, box[3] / height]
            assert cell == pytest.approx(shares, abs=0.5 / kosmos.BINS + 1e-9)


def test_kosmos_tags_by_hand() -> None:
    phrase = {"start": 2, "end": 9}
    regions = [{"box": [0, 0, 32, 32]}, {"box": [1.5, 30.0, 2.0, 32.0]}]
    assert kosmos.grounded_text("A red cup.", [(phrase, regions)], 32, 32) == (
        "<grounding>A <phrase>red cup</phrase><object><patch_index_0000><patch_index_1023>"
        "</delimiter_of_multi_objects/><patch_index_0961><patch_index_0993></object>."
    )


def test_kosmos_phrases_do_not_nest_and_captions_with_tags_are_left_out(tmp_path: Path) -> None:
    rows = made_run.rows()
    outer = next(row for row in rows["phrases"] if row["phrase_id"] == "790/c41/p0")
    rows["phrases"].append({**outer, "phrase_id": "790/c41/p9", "start": 2, "text": "red cup"})
    region = rows["regions"][0]
    rows["regions"].append({**region, "region_id": "790/c41/p9/r0", "phrase_id": "790/c41/p9"})
    rows["captions"][2]["text"] = "A dog <3."
    data = made_run.write(tmp_path / "data", rows)
    told = export(data, "regions", "kosmos", tmp_path / "out")
    assert "1 phrase_in_another (the first: 790/c41/p9)" in told
    assert "1 caption_with_tags (the first: 791/c43)" in told
    (first, second) = lines(tmp_path / "out" / "train.jsonl")
    assert first["text"].count("<phrase>") == 2 and second["id"] == "790/c42"


def fiftyone(folder: Path) -> dict[str, list[tuple[str, list[float]]]]:
    """What FiftyOneImageDetectionDataset's importer makes of a folder: (label, box in shares) by picture."""
    told = json.loads((folder / "labels.json").read_text())
    files = {
        str(path.relative_to(folder / "data").with_suffix("")): path
        for path in (folder / "data").rglob("*.*")
    }
    assert set(told["labels"]) == set(files)
    return {
        files[key].name: [(told["classes"][each["label"]], each["bounding_box"]) for each in labels]
        for key, labels in told["labels"].items()
    }


def test_fiftyone_labels_name_classes_and_shares_of_the_picture(made: Path, tmp_path: Path) -> None:
    export(made, "objects", "fiftyone", tmp_path / "out")
    found = {**fiftyone(tmp_path / "out" / "train"), **fiftyone(tmp_path / "out" / "test")}
    for image_id, (width, height) in made_run.SIZES.items():
        expected = [row for row in ROWS["objects"] if row["image_id"] == image_id]
        labels = found[f"{image_id}.png"]
        assert [label for label, _ in labels] == [row["label"] for row in expected]
        for (_, (x, y, w, h)), row in zip(labels, expected, strict=True):
            box = [x * width, y * height, (x + w) * width, (y + h) * height]
            assert box == pytest.approx(row["box"], abs=1e-5)


def test_fiftyone_regions_carry_confidence_and_phrase(made: Path, tmp_path: Path) -> None:
    export(made, "regions", "fiftyone", tmp_path / "out")
    told = json.loads((tmp_path / "out" / "test" / "labels.json").read_text())
    (label,) = told["labels"]["900"]
    assert told["classes"][label["label"]] == "car" and label["confidence"] == 1.0
    assert label["attributes"]["phrase"] == "An old car"


def test_fiftyone_images_alone_have_no_labels(made: Path, tmp_path: Path) -> None:
    export(made, "images", "fiftyone", tmp_path / "out")
    assert json.loads((tmp_path / "out" / "test" / "labels.json").read_text()) == {"labels": {"900": None}}
