"""Bad input through the stages: each row comes out right, or as a reject with its code. Never a crash,
never a silent loss: what goes into a stage is what comes out of it and its rejects."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coco_folders import CATEGORIES, HEIGHT, WIDTH
from format_folders import CAPTION, LAYOUTS, Sample, put, settings
from hypothesis import HealthCheck, given
from hypothesis import settings as with_settings
from hypothesis import strategies as st
from odd_pictures import BAD, GOOD

from pipeline import params as all_params
from pipeline.grounding import open_annotator
from pipeline.grounding.block import GroundBlock
from pipeline.params import SourceParams
from pipeline.patches.block import REASONS as PATCH_REASONS
from pipeline.patches.block import PatchWordsBlock
from pipeline.phrases.block import ParseBlock
from pipeline.phrases.extract import REASONS as PARSE_REASONS
from pipeline.sources.base import OUTPUTS
from pipeline.sources.block import IngestBlock
from pipeline.sources.pictures import load_picture
from pipeline.sources.reasons import REASONS
from pipeline.tables import dataset
from pipeline.tables.shards import Block, Staging

COMMITTED = all_params.load(Path(__file__).parents[2] / "params.yaml")
UNITS = {"parse": ("phrases", "phrase_id"), "ground": ("regions", "phrase_id"),
         "patch_words": ("patch_words", "phrase_id")}  # fmt: skip

TEXTS = [
    CAPTION,
    "",
    " \t",
    "🐕🐈 dog 🐕 and 👩‍👩‍👧 people 🏳️‍🌈",
    "a\x00dog\x07 and\x1b[31m a red\x7f cat",
    "Ein Hund liegt auf dem roten Sofa.",
    "一只狗和一只猫在沙发上",
    "\u202eكلب أحمر بجانب قطة\u202c",
    "Собака и кошка",
    "two\u2028dogs\r\nbeside\u0085a cat",
    "A DOG NEAR A CAT.",
    "dog" * 500,
    "....!!!???",
    "e\u0301\u0301\u0301 dog\u0301",
    "İSTANBUL DOG",
    "\ufeffa dog\u00a0near a\u200bcat",
]
BOXES: list[tuple[Any, ...]] = [
    (2, 3, 8, 7),
    (2.5, 3.5, 8.25, 7.75),
    (float("nan"), 0, 5, 5),
    (0, 0, float("inf"), 5),
    (8, 7, 2, 3),
    (4, 4, 4, 9),
    (100, 100, 120, 120),
    (-5, -5, 500, 500),
    (-1e300, 0, 1e300, 5),
    (0, 0, 1e-9, 1e-9),
]
NAMES = ["plain", "ünï-çødé-犬-🐕", "a'b", "a%20b", "-rf", "CON", "x" * 120, "ÀÉ"]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory) -> Path:
    """What the geometry is read from: 32 x 32 pixels, 4 x 4 patches, shorter side and centre crop."""
    folder = tmp_path_factory.mktemp("encoder")
    (folder / "config.json").write_text(
        json.dumps({"model_type": "clip_vision_model", "image_size": 32, "patch_size": 8})
    )
    (folder / "preprocessor_config.json").write_text(
        json.dumps(
            {
                "image_processor_type": "CLIPImageProcessor",
                "do_resize": True,
                "size": {"shortest_edge": 32},
                "do_center_crop": True,
                "crop_size": {"height": 32, "width": 32},
            }
        )
    )
    return folder


def coco(root: Path, samples: list[Sample]) -> int:
    """A COCO folder of the samples."""
    images = [
        {"id": n, "file_name": one.file, "width": WIDTH, "height": HEIGHT} for n, one in enumerate(samples)
    ]
    texts = [(n, text) for n, one in enumerate(samples) for text in one.captions]
    captions = [{"id": k, "image_id": n, "caption": text} for k, (n, text) in enumerate(texts)]
    objects = [
        {"id": n, "image_id": n, "category_id": 18, "iscrowd": 0, "segmentation": [],
         "bbox": [one.box[0], one.box[1], one.box[2] - one.box[0], one.box[3] - one.box[1]]}
        for n, one in enumerate(samples)
    ]  # fmt: skip
    for one in samples:
        put(root / "train" / one.file, one.content)
    for kind, rows in (("captions", captions), ("instances", objects)):
        content = {"images": images, "annotations": rows, "categories": CATEGORIES}
        put(root / f"annotations/{kind}_train.json", json.dumps(content))
    return len(images) + len(captions) + len(objects)


def run(block: Block, data: Path) -> list[tuple[int, dict[str, Any]]]:
    """A stage as the flows run it: every shard, then the tables published. Rows in and tables by shard."""
    staging = Staging(data / ".work", block)
    done = []
    for shard in range(block.shard_count()):
        tables = block.process(shard)
        staging.commit(shard, tables)
        done.append((block.rows_in(shard), tables))
    targets = {name: data / name for name in block.outputs}
    staging.publish(targets | {"rejects": data / "rejects" / block.stage})
    return done


def through_all_stages(source: SourceParams, data: Path, encoder: Path) -> dict[str, list[dict]]:
    """Rows of every table, after ingest, parse, ground and patch_words, with each stage's books balanced."""
    blocks: list[Block] = [
        IngestBlock(source, 0),
        ParseBlock(data / "captions", COMMITTED.parse),
        GroundBlock(
            open_annotator(COMMITTED.ground), data / "images", data / "captions", data / "phrases",
            data / "objects", source.path,
        ),
        PatchWordsBlock(data / "images", data / "phrases", data / "regions", encoder, COMMITTED.patch_words),
    ]  # fmt: skip
    for block in blocks:
        for rows_in, tables in run(block, data):
            if block.stage == "ingest":
                out = sum(tables[name].num_rows for name in OUTPUTS)
            else:
                table, unit = UNITS[block.stage]
                out = len(set(tables[table][unit].to_pylist()))
            assert rows_in == out + tables["rejects"].num_rows, block.stage
    names = [*OUTPUTS, "phrases", "regions", "patch_words", "rejects/ingest", "rejects/parse",
             "rejects/ground", "rejects/patch_words"]  # fmt: skip
    return {name: dataset.read(data / name).to_pylist() for name in names}


def check(rows: dict[str, list[dict]], root: Path) -> None:
    """What every later stage may rely on, whatever the input was."""
    for name, column in (("images", "image_id"), ("captions", "caption_id"), ("objects", "object_id"),
                         ("phrases", "phrase_id"), ("regions", "region_id")):  # fmt: skip
        assert max(Counter(row[column] for row in rows[name]).values(), default=1) == 1
    sizes = {row["image_id"]: (row["width"], row["height"]) for row in rows["images"]}
    for row in rows["images"]:
        assert load_picture(row["image"], root, row["image_id"]).size == sizes[row["image_id"]]
    for row in [*rows["objects"], *rows["regions"]]:
        width, height = sizes[row["image_id"]]
        x0, y0, x1, y1 = row["box"]
        assert 0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height
    texts = {row["caption_id"]: row["text"] for row in rows["captions"]}
    for row in rows["phrases"]:
        assert texts[row["caption_id"]][row["start"] : row["end"]] == row["text"]
    for row in rows["patch_words"]:
        assert row["patches"] and all(0 < share <= 1 for share in row["coverage"])
        assert len(set(row["patches"])) == len(row["patches"]) and max(row["patches"]) < np.prod(row["grid"])
    assert {row["reason"] for row in rows["rejects/ingest"]} <= REASONS.keys()
    assert {row["reason"] for row in rows["rejects/parse"]} <= PARSE_REASONS.keys()
    assert {row["reason"] for row in rows["rejects/patch_words"]} <= PATCH_REASONS.keys()
    assert all(row["message"] for name in rows if name.startswith("rejects") for row in rows[name])


def params_of(layout: str, root: Path, shard_size: int = 100) -> SourceParams:
    if layout == "coco":
        return settings("coco", root, shard_size, splits={"train": "train"})
    _, name, changes = LAYOUTS[layout]
    return settings(name, root, shard_size, **changes)


def write(layout: str, root: Path, samples: list[Sample]) -> int:
    return coco(root, samples) if layout == "coco" else LAYOUTS[layout][0](root, samples)


SAMPLE = st.builds(
    Sample,
    name=st.sampled_from(NAMES),
    content=st.sampled_from([*(file for file, _ in GOOD.values()), *BAD.values()]),
    captions=st.lists(st.sampled_from(TEXTS), min_size=1, max_size=3),
    box=st.sampled_from(BOXES),
)


@pytest.mark.parametrize("layout", ["coco", *LAYOUTS])
@with_settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    samples=st.lists(SAMPLE, max_size=5, unique_by=lambda one: one.name), shard_size=st.sampled_from([2, 100])
)
def test_whatever_goes_in_comes_out_or_is_rejected(layout, samples, shard_size, encoder, tmp_path_factory):
    root = tmp_path_factory.mktemp("bad")
    if layout == "folder":
        # A line of a .txt is a caption: texts of several lines are several captions.
        samples = [Sample(one.name, one.content, [TEXTS[0]], one.box) for one in samples]
    if layout == "flickr30k":
        # Its boxes are whole pixels in XML; its own tests break those.
        samples = [Sample(one.name, one.content, one.captions) for one in samples]
    listed = write(layout, root / "raw", samples)
    rows = through_all_stages(params_of(layout, root / "raw", shard_size), root / "data", encoder)
    check(rows, root / "raw")
    assert sum(len(rows[name]) for name in (*OUTPUTS, "rejects/ingest")) == listed


@pytest.mark.parametrize("kind", GOOD)
def test_a_picture_of_any_kind_is_kept_with_its_size_as_displayed(kind, encoder, tmp_path):
    content, size = GOOD[kind]
    write("table", tmp_path / "raw", [Sample("odd", content)])
    rows = through_all_stages(params_of("table", tmp_path / "raw"), tmp_path / "data", encoder)
    check(rows, tmp_path / "raw")
    (image,) = rows["images"]
    assert (image["width"], image["height"]) == size
    assert len(rows["captions"]) == 1 and not rows["rejects/ingest"]


@pytest.mark.parametrize("kind", BAD)
def test_a_picture_that_cannot_be_used_takes_its_rows_along_into_the_rejects(kind, encoder, tmp_path):
    write("coco", tmp_path / "raw", [Sample("odd", BAD[kind]), Sample("good")])
    rows = through_all_stages(params_of("coco", tmp_path / "raw"), tmp_path / "data", encoder)
    check(rows, tmp_path / "raw")
    reason = "image_missing" if BAD[kind] is None else "image_corrupt"
    assert [(row["key"], row["reason"]) for row in rows["rejects/ingest"]] == [
        ("image:0", reason),
        ("caption:0/c0", "image_rejected"),
        ("object:0/o0", "image_rejected"),
    ]
    assert [row["image_id"] for row in rows["patch_words"]] == ["1"], "the good one goes all the way"


@pytest.mark.parametrize(
    ("box", "reason"),
    [
        ((float("nan"), 0, 5, 5), "box_invalid"),
        ((0, 0, float("inf"), 5), "box_invalid"),
        ((8, 7, 2, 3), "box_invalid"),
        ((4, 4, 4, 9), "box_invalid"),
        ((100, 100, 120, 120), "box_outside"),
    ],
)
@pytest.mark.parametrize("layout", ["coco", "refcoco", "odvg"])
def test_a_box_that_is_none_is_rejected_and_the_phrase_grounds_to_nothing(
    layout, box, reason, encoder, tmp_path
):
    write(layout, tmp_path / "raw", [Sample("a", box=box)])
    rows = through_all_stages(params_of(layout, tmp_path / "raw"), tmp_path / "data", encoder)
    check(rows, tmp_path / "raw")
    found = {row["reason"] for row in rows["rejects/ingest"] if row["key"].startswith("object:")}
    assert found == {reason}
    assert len(rows["captions"]) == 1 and rows["objects"] == [] == rows["regions"] == rows["patch_words"]
    assert len(rows["rejects/ground"]) == len(rows["phrases"]) > 0


@pytest.mark.parametrize(
    "name", ["with space", "ünï çødé", "犬🐕", "a#b?c", "semi;colon", "tab\tname", "a\nb"]
)
@pytest.mark.parametrize("layout", ["coco", "llava", "mdetr", "odvg"])
def test_names_with_spaces_and_letters_of_any_language_are_found(layout, name, encoder, tmp_path):
    write(layout, tmp_path / "raw", [Sample(name)])
    rows = through_all_stages(params_of(layout, tmp_path / "raw"), tmp_path / "data", encoder)
    check(rows, tmp_path / "raw")
    assert len(rows["images"]) == 1 and rows["rejects/ingest"] == []


@pytest.mark.parametrize("name", ["../secret", "{outside}/secret", "sub/../../secret", "link"])
@pytest.mark.parametrize("layout", ["coco", "llava", "refcoco", "mdetr", "odvg", "table"])
def test_nothing_outside_the_root_is_read(layout, name, encoder, tmp_path):
    outside = tmp_path / "outside"
    put(outside / "secret.jpg", Sample("").content)
    name = name.format(outside=outside)
    raw = tmp_path / "outside" / "raw"
    listed = write(layout, raw, [Sample(name, content=None), Sample("good")])
    for folder in ("train", "images", "train2014", "."):
        if (raw / folder).is_dir():
            (raw / folder / "link.jpg").symlink_to(outside / "secret.jpg")
    rows = through_all_stages(params_of(layout, raw), tmp_path / "data", encoder)
    check(rows, raw)
    assert len(rows["images"]) == 1
    assert sum(len(rows[name]) for name in (*OUTPUTS, "rejects/ingest")) == listed
    lost = [row["reason"] for row in rows["rejects/ingest"] if row["key"].startswith("image:")]
    assert lost in (["image_missing"], ["row_unreadable"])


def test_ten_thousand_words_are_parsed_to_the_last(encoder, tmp_path):
    text = " ".join(["a red dog and a small cat,"] * 1666) + " a dog"
    assert len(text.split()) > 10_000
    write("coco", tmp_path / "raw", [Sample("a", captions=[text])])
    rows = through_all_stages(params_of("coco", tmp_path / "raw"), tmp_path / "data", encoder)
    check(rows, tmp_path / "raw")
    assert rows["phrases"][-1]["end"] == len(text)
    assert len(rows["phrases"]) + len(rows["rejects/parse"]) > 3000


@pytest.mark.parametrize("text", ["", "   ", "\n\t", None, 7, ["a dog"], "\ud800 a dog"])
def test_a_caption_that_is_no_text_is_rejected_and_its_image_kept_for_the_others(text, encoder, tmp_path):
    write("coco", tmp_path / "raw", [Sample("a", captions=[text, CAPTION])])
    rows = through_all_stages(params_of("coco", tmp_path / "raw"), tmp_path / "data", encoder)
    check(rows, tmp_path / "raw")
    assert [(row["key"], row["reason"]) for row in rows["rejects/ingest"]] == [
        ("caption:0/c0", "caption_empty")
    ]
    assert [row["text"] for row in rows["captions"]] == [CAPTION]


def test_an_id_is_taken_once(encoder, tmp_path):
    write("coco", tmp_path / "raw", [Sample("a"), Sample("b")])
    for kind in ("captions", "instances"):
        path = tmp_path / f"raw/annotations/{kind}_train.json"
        content = json.loads(path.read_text())
        content["images"].append({**content["images"][0], "file_name": "b.jpg"})
        content["annotations"] += content["annotations"]
        path.write_text(json.dumps(content))
    rows = through_all_stages(params_of("coco", tmp_path / "raw"), tmp_path / "data", encoder)
    check(rows, tmp_path / "raw")
    assert Counter(row["reason"] for row in rows["rejects/ingest"]) == {
        "duplicate_image_id": 2,
        "duplicate_annotation_id": 4,
    }
    assert len(rows["images"]) == len(rows["captions"]) == len(rows["objects"]) == 2
