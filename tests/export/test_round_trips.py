"""What is exported and read back, by the project's own readers, is what it was."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import made_run
import numpy as np
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from pipeline import params
from pipeline.cli import commands
from pipeline.sources import open_source
from pipeline.tables import masks
from pipeline.tables.schemas import SCHEMAS

COMMITTED = params.load(Path(__file__).parents[2] / "params.yaml").source
ROWS = made_run.rows()
Rows = dict[str, list[dict[str, Any]]]


def export(made: Path, table: str, to: str, out: Path, *options: str) -> str:
    """Export a table of the run and return what the command says."""
    arguments = [str(made / table), str(out), "--to", to, "--root", str(made / "raw"), *options]
    result = CliRunner().invoke(commands, ["export", *arguments], env={"COLUMNS": "300"})
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.output


def read(name: str, root: Path, **changes: Any) -> Rows:
    """The rows that the project's own source of that name reads."""
    section = getattr(COMMITTED, name)
    shares = {key: 0.0 for key in ("validation_share", "test_share") if hasattr(section, key)}
    section = section.model_copy(update=shares | changes)
    settings = COMMITTED.model_copy(update={"name": name, "path": root, "shard_size": 100, name: section})
    source = open_source(settings, 0)
    shards = [source.read(shard) for shard in range(source.shard_count())]
    rows = {each: [row for tables in shards for row in tables[each].to_pylist()] for each in shards[0]}
    assert rows["rejects"] == []
    return rows


def only(rows: Sequence[dict[str, Any]], *columns: str) -> list[tuple]:
    """Some columns of rows, in the order of their ids; a mask as its pixels."""

    def cell(value: Any) -> Any:
        is_mask = isinstance(value, dict) and "counts" in value
        return np.flatnonzero(masks.decode(value)).tolist() if is_mask else value

    return sorted((tuple(cell(row[name]) for name in columns) for row in rows), key=lambda row: row[0])


def single(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows whose boxes have single precision, as Arrow keeps them."""
    return pa.Table.from_pylist(rows, SCHEMAS["objects"]).to_pylist()


COCO = {"splits": {"train": "train", "test": "test"}}


def test_coco_objects_come_back_with_ids_boxes_masks_and_splits(made: Path, tmp_path: Path) -> None:
    export(made, "objects", "coco", tmp_path / "out")
    rows = read("coco", tmp_path / "out", **COCO)
    columns = ("object_id", "image_id", "label", "box", "mask", "is_crowd")
    assert only(rows["objects"], *columns) == only(single(ROWS["objects"]), *columns)
    columns = ("image_id", "width", "height", "split")
    assert only(rows["images"], *columns) == only(ROWS["images"], *columns)
    for row in rows["images"]:
        path = tmp_path / "out" / row["image"]["path"]
        assert path.read_bytes() == made_run.picture(row["image_id"])


def test_coco_captions_come_back(made: Path, tmp_path: Path) -> None:
    export(made, "captions", "coco", tmp_path / "out")
    rows = read("coco", tmp_path / "out", **COCO)
    assert only(rows["captions"], *SCHEMAS["captions"].names) == only(
        ROWS["captions"], *SCHEMAS["captions"].names
    )


def test_coco_regions_are_instances_of_their_phrases_heads_that_pycocotools_reads(
    made: Path, tmp_path: Path
) -> None:
    from pycocotools.coco import COCO as Reader

    export(made, "regions", "coco", tmp_path / "out")
    reader = Reader(str(tmp_path / "out" / "annotations" / "instances_train.json"))
    names = {each["id"]: each["name"] for each in reader.loadCats(reader.getCatIds())}
    found = reader.loadAnns(reader.getAnnIds(imgIds=[790]))
    assert [(names[each["category_id"]], each["score"], each["phrase"]) for each in found] == [
        ("cup", pytest.approx(0.9), "A red cup"),
        ("cup", 0.25, "A red cup"),
        ("table", 0.5, "a wooden table"),
    ]
    assert reader.annToMask(found[2]).sum() == found[2]["area"] == 40 * 20
    assert found[0]["bbox"] == [2.5, 3.0, 17.5, 22.25]


def test_odvg_comes_back_as_boxes_linked_to_the_characters_that_name_them(made: Path, tmp_path: Path) -> None:
    export(made, "regions", "odvg", tmp_path / "out")
    files = ["train.jsonl", "test.jsonl"]
    rows = read("grounding_json", tmp_path / "out", files=files, images=["images"])
    texts = {row["caption_id"]: row["text"] for row in rows["captions"]}
    assert sorted(texts.values()) == sorted(row["text"] for row in ROWS["captions"])
    phrases = {row["phrase_id"]: row for row in ROWS["phrases"]}
    captions = {row["caption_id"]: row["text"] for row in ROWS["captions"]}

    def told(image: str, box: list[float], text: str, start: int, end: int) -> tuple:
        return image, np.float32(box).tolist(), text, start, end

    expected = [
        told(
            f"{row['image_id']}.png",
            row["box"],
            captions[phrase["caption_id"]],
            phrase["start"],
            phrase["end"],
        )
        for row in ROWS["regions"]
        if (phrase := phrases[row["phrase_id"]])
    ]
    found = [
        told(row["image_id"], row["box"], texts[span["caption_id"]], span["start"], span["end"])
        for row in rows["objects"]
        for span in row["phrase"]
    ]
    assert sorted(found) == sorted(expected)


def test_tags_come_back_as_the_caption_that_they_make(tmp_path: Path) -> None:
    data = made_run.write(tmp_path / "data", made_run.tagged())
    export(data, "regions", "odvg", tmp_path / "out")
    rows = read("grounding_json", tmp_path / "out", files=["train.jsonl", "test.jsonl"], images=["images"])
    texts = {row["caption_id"]: row["text"] for row in rows["captions"]}
    assert sorted(texts.values()) == ["A dog", "A red cup, a wooden table, Two cups", "An old car"]
    spans = {texts[s["caption_id"]][s["start"] : s["end"]] for row in rows["objects"] for s in row["phrase"]}
    assert spans == {"A red cup", "a wooden table", "A dog", "An old car"}


def test_odvg_objects_come_back_as_labelled_boxes(made: Path, tmp_path: Path) -> None:
    export(made, "objects", "odvg", tmp_path / "out")
    lines = [json.loads(line) for line in (tmp_path / "out" / "train.jsonl").read_text().splitlines()]
    names = json.loads((tmp_path / "out" / "label_map.json").read_text())
    instances = [each for line in lines for each in line["detection"]["instances"]]
    assert [(each["category"], names[str(each["label"])]) for each in instances] == [
        (label, label) for label in ("cup", "table", "dog")
    ]
    rows = read("grounding_json", tmp_path / "out", files=["train.jsonl", "test.jsonl"], images=["images"])
    assert sorted((row["label"], row["box"]) for row in rows["objects"]) == sorted(
        (row["label"], row["box"]) for row in single(ROWS["objects"])
    )


def test_odvg_of_patch_words_holds_only_regions_on_patches(made: Path, tmp_path: Path) -> None:
    words = made_run.rows()["patch_words"]
    words[0]["region_ids"] = ["790/c41/p0/r1"]
    data = made_run.write(tmp_path / "data")
    made_run.write(data, {"patch_words": words[:1]})
    export(data, "patch_words", "odvg", tmp_path / "out")
    lines = [json.loads(line) for line in (tmp_path / "out" / "train.jsonl").read_text().splitlines()]
    assert [each["bbox"] for line in lines for each in line["grounding"]["regions"]] == [
        [21.0, 3.0, 30.0, 25.0]
    ]


LLAVA = {"images": ["images"], "turns": "whole", "boxes": "padded"}


def test_llava_conversations_come_back_with_their_boxes(made: Path, tmp_path: Path) -> None:
    export(made, "conversations", "llava", tmp_path / "out", "--box-digits", "9")
    files = {"train.json": "conversations", "test.json": "conversations"}
    rows = read("llava", tmp_path / "out", files=files, **LLAVA)
    expected = ROWS["conversations"]
    for row, was in zip(rows["conversations"], expected, strict=True):
        assert row["image_id"] == f"{was['image_id']}.png"
        for column in ("turns", "answer", "task"):
            assert row[column] == was[column]
        assert (row["box"] is None) == (was["box"] is None)
        if was["box"]:
            assert row["box"] == pytest.approx(was["box"], abs=1e-5)


@pytest.mark.parametrize("digits", [2, 3])
def test_llava_boxes_are_rounded_to_the_digits_asked_for(made: Path, tmp_path: Path, digits: int) -> None:
    export(made, "conversations", "llava", tmp_path / "out", "--box-digits", str(digits))
    rows = read("llava", tmp_path / "out", files={"train.json": "conversations"}, **LLAVA)
    for row, was in zip(rows["conversations"], ROWS["conversations"], strict=False):
        if was["box"]:
            assert row["box"] == pytest.approx(was["box"], abs=40 * 0.5 * 10**-digits + 1e-5)


def test_llava_captions_come_back(made: Path, tmp_path: Path) -> None:
    export(made, "captions", "llava", tmp_path / "out")
    files = {"train.json": "captions", "test.json": "captions"}
    rows = read("llava", tmp_path / "out", files=files, **LLAVA)
    assert [row["text"] for row in rows["captions"]] == [row["text"] for row in ROWS["captions"]]
    first = json.loads((tmp_path / "out" / "train.json").read_text())[0]
    assert first["id"] == "790/c41" and first["conversations"][0]["value"].startswith("<image>\n")


def test_llava_regions_are_questions_answered_with_boxes(made: Path, tmp_path: Path) -> None:
    export(made, "regions", "llava", tmp_path / "out", "--split", "test")
    (row,) = json.loads((tmp_path / "out" / "test.json").read_text())
    question, answer = (turn["value"] for turn in row["conversations"])
    assert question.endswith("this sentence describes: An old car.")
    assert answer == "[0.050, 0.050, 0.950, 0.950]"
    assert not (tmp_path / "out" / "train.json").exists()


@pytest.mark.parametrize("table", ["images", "captions", "regions"])
def test_webdataset_comes_back_with_pictures_and_captions(made: Path, tmp_path: Path, table: str) -> None:
    export(made, table, "webdataset", tmp_path / "out")
    rows = read("webdataset", tmp_path / "out", shards="*.tar")
    assert sorted(row["image_id"] for row in rows["images"]) == ["790", "791", "900"]
    for row in rows["images"]:
        assert row["image"]["bytes"] == made_run.picture(row["image_id"])
    found = [(row["image_id"], row["text"]) for row in rows["captions"]]
    assert sorted(found) == sorted((row["image_id"], row["text"]) for row in ROWS["captions"])
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["test-00000.tar", "train-00000.tar"]
