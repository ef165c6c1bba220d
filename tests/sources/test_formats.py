"""What holds for every dataset format: nothing is lost, shards change nothing, digests follow content."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from coco_folders import HEIGHT, WIDTH, picture
from format_folders import BOX, CAPTION, LAYOUTS, PICTURE, Sample, made, opened, read
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import UserError
from pipeline.sources.base import OUTPUTS, Source
from pipeline.sources.pictures import load_picture
from pipeline.sources.reasons import REASONS
from pipeline.sources.rows import split_of
from pipeline.tables import dataset

WITH_BOXES = ("flickr30k", "refcoco", "visual_genome", "mdetr", "odvg")
SAMPLES = [Sample("a1"), Sample("b2", captions=[CAPTION, "A dog in the rain."]), Sample("c3")]
ALL = pytest.mark.parametrize("layout", LAYOUTS)


@ALL
def test_a_good_dataset_is_kept_whole(layout, tmp_path):
    source, listed = made(layout, tmp_path / "d", SAMPLES)
    tables = read(source)
    assert not tables["rejects"]
    assert sum(len(tables[name]) for name in OUTPUTS) == listed == source.rows_in(0)
    assert len(tables["images"]) == 3 and len(tables["captions"]) == 4
    for row in tables["images"]:
        shown = load_picture(row["image"], tmp_path / "d", row["image_id"])
        assert shown.size == (WIDTH, HEIGHT) == (row["width"], row["height"]) and row["split"] == "train"


@pytest.mark.parametrize("layout", WITH_BOXES)
def test_boxes_are_pixels_and_linked_to_the_words_that_name_them(layout, tmp_path):
    source, _ = made(layout, tmp_path / "d", SAMPLES[:1])
    tables = read(source)
    (caption,), (thing,) = tables["captions"], tables["objects"]
    assert thing["box"] == [*BOX]
    (span,) = thing["phrase"]
    assert span["caption_id"] == caption["caption_id"]
    assert caption["text"][span["start"] : span["end"]] == "A dog"


@ALL
def test_shards_cut_the_same_rows_and_keep_an_images_rows_together(layout, tmp_path):
    whole, _ = made(layout, tmp_path / "d", SAMPLES)
    name, changes = LAYOUTS[layout][1:]
    cut = opened(name, tmp_path / "d", 2, **changes)
    assert (whole.shard_count(), cut.shard_count()) == (1, 2)
    assert read(cut) == read(whole)
    for shard in range(2):
        tables = cut.read(shard)
        images = set(tables["images"]["image_id"].to_pylist())
        assert all(set(tables[each]["image_id"].to_pylist()) <= images for each in OUTPUTS)


@ALL
def test_digests_follow_content_and_not_place(layout, tmp_path):
    def digest(name: str, samples: list[Sample]) -> str:
        return made(layout, tmp_path / name, samples)[0].digest()

    assert digest("one", SAMPLES) == digest("two", SAMPLES)
    others = [
        [SAMPLES[0], SAMPLES[1]],
        [Sample("a1", content=picture(40, 30)), *SAMPLES[1:]],
        [Sample("a1", captions=[CAPTION, CAPTION]), *SAMPLES[1:]],
    ]
    made_of = {digest(f"other{number}", samples) for number, samples in enumerate(others)}
    assert len(made_of | {digest("three", SAMPLES)}) == 4


@ALL
def test_sources_are_picklable_and_an_empty_dataset_is_one_empty_shard(layout, tmp_path):
    source, listed = made(layout, tmp_path / "d", [])
    source = pickle.loads(pickle.dumps(source))
    assert listed == 0 and source.shard_count() == 1 and source.rows_in(0) == 0
    assert all(table.num_rows == 0 for table in source.read(0).values())


@ALL
def test_a_missing_dataset_is_told_with_the_expected_tree(layout, tmp_path):
    name, changes = LAYOUTS[layout][1:]
    with pytest.raises(UserError, match=r"(?s)source\.path is .*Expected: "):
        opened(name, tmp_path / "nothing", **changes).shard_count()


def check_nothing_is_lost(source: Source, listed: int | None, folder: Path) -> dict[str, list[dict]]:
    """Rows in = rows out + rejects, ids are unique, and the tables can be written."""
    total = 0
    for shard in range(source.shard_count()):
        tables = source.read(shard)
        out = sum(tables[name].num_rows for name in (*OUTPUTS, "rejects"))
        assert source.rows_in(shard) == out
        total += out
        for name in (*OUTPUTS, "rejects"):
            dataset.write_part(folder / name, shard, tables[name], name, dataset.Provenance())
    assert listed is None or total == listed
    rows = read(source)
    for name in OUTPUTS:
        ids = [row[f"{name.removesuffix('s')}_id"] for row in rows[name]]
        assert len(ids) == len(set(ids))
    images = {row["image_id"]: row for row in rows["images"]}
    for name in OUTPUTS:
        assert {row["image_id"] for row in rows[name]} <= images.keys()
    for row in rows["objects"]:
        image = images[row["image_id"]]
        x0, y0, x1, y1 = row["box"]
        assert 0 <= x0 < x1 <= image["width"] and 0 <= y0 < y1 <= image["height"]
    assert {row["reason"] for row in rows["rejects"]} <= REASONS.keys()
    return rows


CONTENTS = st.sampled_from(
    [PICTURE, PICTURE, PICTURE, None, b"", PICTURE[:-40], b"<html>", picture(1, 1), picture(orientation=6)]
)
CAPTIONS = st.lists(
    st.sampled_from([CAPTION, CAPTION, "", " ", "🐕 ein Hund", "word " * 10_000, "a\x00b", "two\u2028lines"]),
    min_size=1,
    max_size=3,
)
BOXES = st.sampled_from(
    [BOX, BOX, (0, 0, 0, 5), (8, 7, 2, 3), (100, 100, 120, 120), (float("nan"), 0, 5, 5), (-5, -5, 500, 500)]
)


@ALL
@settings(max_examples=15, deadline=None)
@given(data=st.data(), shard_size=st.integers(1, 3))
def test_whatever_is_damaged_every_row_comes_out_or_is_rejected(layout, data, shard_size, tmp_path_factory):
    root = tmp_path_factory.mktemp("damaged")
    count = data.draw(st.integers(0, 4))
    samples = [
        Sample(f"s{n}", data.draw(CONTENTS), data.draw(CAPTIONS), data.draw(BOXES)) for n in range(count)
    ]
    source, listed = made(layout, root / "d", samples, shard_size)
    # A line break is what parts captions in a .txt: there the fixture cannot count them.
    check_nothing_is_lost(source, None if layout == "folder" else listed, root / "out")


@pytest.mark.parametrize(
    "layout", ["llava", "refcoco", "visual_genome", "mdetr", "odvg", "webdataset", "parquet", "table"]
)
@settings(max_examples=15, deadline=None)
@given(share=st.floats(0, 1), flip=st.booleans())
def test_files_cut_short_or_damaged_give_what_stands_before_and_a_reject(
    layout, share, flip, tmp_path_factory
):
    root = tmp_path_factory.mktemp("cut")
    source, listed = made(layout, root / "d", SAMPLES)
    suffixes = (".json", ".jsonl", ".tar", ".parquet", ".csv")
    for path in (path for path in (root / "d").rglob("*") if path.suffix in suffixes):
        content = path.read_bytes()
        place = int(share * (len(content) - 1))
        if flip:
            path.write_bytes(content[:place] + bytes([content[place] ^ 0x55]) + content[place + 1 :])
        else:
            path.write_bytes(content[:place])
    try:
        rows = check_nothing_is_lost(source, None, root / "out")
    except UserError:  # a column of another name, a header that is gone: the user is told what to mend
        return
    kept = sum(len(rows[name]) for name in OUTPUTS)
    # JSON allows a flipped letter within a text, and CSV and JSONL a cut between rows.
    assert kept <= listed
    if kept < listed and not flip and layout not in ("odvg", "table"):
        assert rows["rejects"]


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a\x00b", "x" * 300, "\ud800", "ä b/ç", "."])
@pytest.mark.parametrize("layout", ["llava", "mdetr", "odvg", "table"])
def test_nothing_outside_the_root_is_read_whatever_names_say(layout, name, tmp_path):
    put_outside = tmp_path / "secret.jpg"
    put_outside.write_bytes(PICTURE)
    if layout == "table" and name in ("a\x00b", "\ud800"):
        pytest.skip("the csv module writes no such name")
    samples = [Sample("good"), Sample(name, content=None)]
    source, listed = made(layout, tmp_path / "d", samples)
    rows = check_nothing_is_lost(source, listed, tmp_path / "out")
    assert [row["image_id"] for row in rows["images"]] == ["good.jpg"]
    lost = [row["reason"] for row in rows["rejects"] if row["key"].startswith("image:")]
    assert lost in (["image_missing"], ["row_unreadable"])
    assert source.digest()


def test_images_are_held_back_by_their_ids_in_the_shares_that_are_asked_for():
    ids = [f"image {number}" for number in range(20_000)]
    splits = [split_of(each, 0.2, 0.1) for each in ids]
    assert abs(splits.count("test") / 20_000 - 0.2) < 0.01
    assert abs(splits.count("validation") / 20_000 - 0.1) < 0.01
    # More of one is not more or less of the other.
    more = [split_of(each, 0.3, 0.1) for each in ids]
    assert all(new == old for new, old in zip(more, splits, strict=True) if old != "train")


@pytest.mark.parametrize(
    "name", ["llava", "visual_genome", "grounding_json", "webdataset", "parquet", "folder"]
)
def test_formats_without_splits_hold_images_back(name, tmp_path):
    layout = "mdetr" if name == "grounding_json" else name
    samples = [Sample(f"s{number}") for number in range(12)]
    LAYOUTS[layout][0](tmp_path, samples)
    rows = read(opened(name, tmp_path, test_share=0.3, validation_share=0.3))
    assert {row["split"] for row in rows["images"]} == {"train", "validation", "test"}
    splits = {row["image_id"]: row["split"] for row in rows["images"]}
    assert all(row["split"] == splits[row["image_id"]] for row in rows["conversations"])
