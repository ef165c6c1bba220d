"""COCO folders: what is kept and how, and that every bad row becomes a reject with its code."""

from __future__ import annotations

import json
import pickle
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from coco_folders import HEIGHT, WIDTH, caption, image, instance, params, picture, read_all, write_set
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import UserError
from pipeline.sources.base import OUTPUTS
from pipeline.sources.coco import REASONS, CocoSource
from pipeline.sources.coco.source import lot
from pipeline.sources.pictures import load_picture
from pipeline.tables import masks


def rejects(root: Path, **settings: object) -> dict[str, str]:
    return {row["key"]: row["reason"] for row in read_all(CocoSource(params(root, **settings)))["rejects"]}


def test_a_good_folder_is_kept_whole(tmp_path):
    write_set(
        tmp_path,
        "train",
        [image(10), image(9)],
        [caption(1, 10), caption(4, 9, caption=" Two dogs. "), caption(3, 9)],
        [instance(7, 10), instance(8, 9, category_id=1, iscrowd=1)],
    )
    tables = read_all(CocoSource(params(tmp_path)))
    assert [row["image_id"] for row in tables["images"]] == ["9", "10"]
    assert [(row["caption_id"], row["image_id"], row["text"]) for row in tables["captions"]] == [
        ("9/c3", "9", "A dog."),
        ("9/c4", "9", " Two dogs. "),
        ("10/c1", "10", "A dog."),
    ]
    assert [(row["object_id"], row["label"], row["is_crowd"]) for row in tables["objects"]] == [
        ("9/o8", "person", True),
        ("10/o7", "dog", False),
    ]
    assert tables["objects"][0]["box"] == [2, 3, 8, 7]
    assert masks.box(tables["objects"][0]["mask"]) == (2, 3, 8, 7)
    assert not tables["conversations"] and not tables["rejects"]


def test_images_point_at_their_files(tmp_path):
    write_set(tmp_path, "train", [image(1)], [caption(1, 1)])
    (row,) = read_all(CocoSource(params(tmp_path)))["images"]
    assert row["image"] == {"bytes": None, "path": "train/1.jpg"}
    assert load_picture(row["image"], tmp_path, "1").size == (WIDTH, HEIGHT) == (row["width"], row["height"])


@pytest.mark.parametrize("place", ["train", "images/train", "."])
def test_pictures_are_found_where_people_put_them(tmp_path, place):
    write_set(tmp_path, "train", [image(1)], [caption(1, 1)], pictures=tmp_path / place)
    assert not rejects(tmp_path)


def test_bad_images_are_rejected_with_what_belongs_to_them(tmp_path):
    names = ("missing", "empty", "cut", "text", "smaller", "climbing", "undescribed", "nameless")
    images = [image(number, file_name=f"{name}.jpg") for number, name in enumerate(names)]
    captions = [caption(100 + number, number) for number in range(len(names))]
    captions[6]["caption"] = " \n"
    write_set(tmp_path, "train", images, captions, [instance(200 + number, number) for number in range(8)])
    folder = tmp_path / "train"
    (folder / "missing.jpg").unlink()
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "cut.jpg").write_bytes(picture()[:-60])
    (folder / "text.jpg").write_bytes(b"<html>not found</html>")
    (folder / "smaller.jpg").write_bytes(picture(WIDTH - 1))
    for file in (tmp_path / "annotations").iterdir():
        content = json.loads(file.read_text())
        content["images"][5]["file_name"] = "../../climbing.jpg"
        del content["images"][7]["file_name"]
        file.write_text(json.dumps(content))
    expected = ["image_missing", "image_corrupt", "image_corrupt", "image_corrupt", "size_mismatch"]
    expected += ["image_missing", "image_without_captions", "image_missing"]
    found = rejects(tmp_path)
    assert [found[f"image:{number}"] for number in range(8)] == expected
    for number in range(8):
        of_the_rest = "image_without_captions" if number == 6 else "image_rejected"
        assert found[f"object:{number}/o{200 + number}"] == of_the_rest
        assert found[f"caption:{number}/c{100 + number}"] == (
            "caption_empty" if number == 6 else "image_rejected"
        )


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("share", [0.5, 0.8, 0.95])
def test_a_picture_cut_short_anywhere_is_corrupt(tmp_path, kind, share):
    whole = picture(200, 150, kind=kind)
    write_set(tmp_path, "train", [image(1, width=200, height=150)], [caption(1, 1)])
    (tmp_path / "train/1.jpg").write_bytes(whole[: int(len(whole) * share)])
    assert rejects(tmp_path)["image:1"] == "image_corrupt"


@pytest.mark.parametrize("orientation", range(1, 9))
def test_sizes_are_those_of_the_picture_as_displayed(tmp_path, orientation):
    is_turned = orientation >= 5
    shown = {"width": HEIGHT, "height": WIDTH} if is_turned else {"width": WIDTH, "height": HEIGHT}
    stored = {"width": shown["height"], "height": shown["width"]}
    for name, size in (("shown", shown), ("stored", stored)):
        root = tmp_path / name
        write_set(root, "train", [image(1, **size)], [caption(1, 1)])
        (root / "train/1.jpg").write_bytes(picture(orientation=orientation))
    (row,) = read_all(CocoSource(params(tmp_path / "shown")))["images"]
    assert load_picture(row["image"], tmp_path / "shown", "1").size == (row["width"], row["height"])
    assert rejects(tmp_path / "stored")["image:1"] == "size_mismatch"


def test_bad_annotations_are_rejected_one_by_one(tmp_path):
    bad = {
        "unknown_category": {"category_id": 99},
        "box_outside": {"bbox": [WIDTH, 0, 5, 5]},
        "box_invalid": {"bbox": [1, 2, -3, 4]},
        "mask_invalid": {"segmentation": [[1, 2, 3, 4]]},
    }
    rows = [instance(number, 1, **change) for number, change in enumerate(bad.values())]
    rows += [instance(0, 1), instance(50, 7), instance(51, 1)]
    captions = [caption(1, 1), caption(1, 1), caption(2, 1, caption=None), caption(3, 8)]
    captions.append(caption(4, 1, caption="half a character: \ud800"))
    write_set(tmp_path, "train", [image(1)], captions, rows)
    tables = read_all(CocoSource(params(tmp_path)))
    found = {(row["key"], row["reason"]) for row in tables["rejects"]}
    assert found == {
        *((f"object:1/o{number}", reason) for number, reason in enumerate(bad)),
        ("object:1/o0", "duplicate_annotation_id"),
        ("object:7/o50", "annotation_without_image"),
        ("caption:1/c1", "duplicate_annotation_id"),
        ("caption:1/c2", "caption_empty"),
        ("caption:1/c4", "caption_empty"),
        ("caption:8/c3", "annotation_without_image"),
    }
    assert [row["object_id"] for row in tables["objects"]] == ["1/o51"]
    assert [row["caption_id"] for row in tables["captions"]] == ["1/c1"]


def test_an_image_id_is_taken_once(tmp_path):
    write_set(tmp_path, "a", [image(1), image(1, file_name="other.jpg")], [caption(1, 1)])
    write_set(tmp_path, "b", [image(1), image(2)], [caption(1, 1), caption(2, 2)])
    tables = read_all(CocoSource(params(tmp_path, a="train", b="test")))
    assert [(row["image_id"], row["image"]["path"]) for row in tables["images"]] == [
        ("1", "a/1.jpg"),
        ("2", "b/2.jpg"),
    ]
    # In the set a the other picture is listed by both files; in b the whole image gives way.
    assert Counter((row["key"], row["reason"]) for row in tables["rejects"]) == {
        ("image:1", "duplicate_image_id"): 3,
        ("caption:1/c1", "image_rejected"): 1,
    }


def test_either_file_may_be_absent(tmp_path):
    write_set(tmp_path, "captioned", [image(1)], [caption(1, 1)], None)
    write_set(tmp_path, "annotated", [image(2)], None, [instance(1, 2)])
    tables = read_all(CocoSource(params(tmp_path, captioned="train", annotated="test")))
    assert [row["split"] for row in tables["images"]] == ["train", "test"]
    assert [len(tables[name]) for name in ("captions", "objects", "rejects")] == [1, 1, 0]


FAULTS = st.sampled_from(
    ["none", "none", "none", "gone", "corrupt", "mismatch", "twice", "undescribed", "empty", "orphan", "box"]
)


@settings(max_examples=40, deadline=None)
@given(faults=st.lists(FAULTS, max_size=9), shard_size=st.integers(1, 4), share=st.floats(0, 1))
def test_every_listed_row_comes_out_or_is_rejected_once(tmp_path_factory, faults, shard_size, share):
    root = tmp_path_factory.mktemp("coco")
    images, captions, instances = [], [], []
    for number, fault in enumerate(faults):
        images.append(image(number, width=WIDTH + (fault == "mismatch")))
        captions.append(
            caption(number, number, caption="" if fault in ("empty", "undescribed") else "A dog.")
        )
        captions.append(caption(1000 + number, number if fault != "undescribed" else 5000 + number))
        instances.append(instance(number, number, bbox=[0, 0, 0, 1] if fault == "box" else [0, 0, 9, 9]))
        if fault == "twice":
            captions.append(caption(number, number))
            instances.append(instance(number, number))
        if fault == "orphan":
            instances.append(instance(2000 + number, 3000 + number))
    write_set(root, "train", images, captions, instances)
    for number, fault in enumerate(faults):
        if fault == "gone":
            (root / f"train/{number}.jpg").unlink()
        if fault == "corrupt":
            (root / f"train/{number}.jpg").write_bytes(b"no picture")
    listed = Counter(f"image:{row['id']}" for row in images)
    listed += Counter(f"caption:{row['image_id']}/c{row['id']}" for row in captions)
    listed += Counter(f"object:{row['image_id']}/o{row['id']}" for row in instances)
    source = CocoSource(params(root, shard_size=shard_size, share=share))
    tables = read_all(source)
    ended = Counter(row["key"] for row in tables["rejects"])
    for name in ("image", "caption", "object"):
        ended += Counter(f"{name}:{row[f'{name}_id']}" for row in tables[f"{name}s"])
    assert ended == listed
    assert sum(map(source.rows_in, range(source.shard_count()))) == listed.total()
    for shard in range(source.shard_count()):
        tables_of_shard = source.read(shard)
        out = sum(tables_of_shard[name].num_rows for name in (*OUTPUTS, "rejects"))
        assert source.rows_in(shard) == out
        assert set(tables_of_shard["captions"]["image_id"].to_pylist()) == set(
            tables_of_shard["images"]["image_id"].to_pylist()
        )
    assert {row["reason"] for row in tables["rejects"]} <= REASONS.keys()


def test_shards_cut_the_same_rows_and_never_mix_sets(tmp_path):
    write_set(tmp_path, "a", map(image, range(5)), [caption(n, n) for n in range(5)])
    write_set(tmp_path, "b", [image(50)], [caption(1, 50)])
    whole = CocoSource(params(tmp_path, a="train", b="test"))
    cut = CocoSource(params(tmp_path, shard_size=2, a="train", b="test"))
    assert (whole.shard_count(), cut.shard_count()) == (2, 4)
    assert read_all(whole) == read_all(cut)
    assert all(len(set(cut.read(shard)["images"]["split"].to_pylist())) == 1 for shard in range(4))


def test_an_empty_set_is_one_empty_shard(tmp_path):
    write_set(tmp_path, "train", [])
    source = CocoSource(params(tmp_path))
    assert source.shard_count() == 1 and source.rows_in(0) == 0
    assert all(table.num_rows == 0 for table in source.read(0).values())


def test_an_image_keeps_its_split_when_others_come(tmp_path):
    write_set(tmp_path, "train", map(image, range(40)), [caption(n, n) for n in range(40)])
    write_set(tmp_path, "val", [image(99)], [caption(1, 99)])
    settings = params(tmp_path, share=0.3, train="train", val="test")
    before = {row["image_id"]: row["split"] for row in read_all(CocoSource(settings))["images"]}
    write_set(tmp_path, "train", map(image, range(60)), [caption(n, n) for n in range(60)])
    after = {row["image_id"]: row["split"] for row in read_all(CocoSource(settings))["images"]}
    assert len(after) == 61 and before.items() <= after.items()
    assert set(after.values()) == {"train", "validation", "test"} and after["99"] == "test"


def test_lots_are_even():
    lots = np.array([lot(str(number)) for number in range(20000)])
    assert np.allclose(np.histogram(lots, 10, (0, 1))[0] / len(lots), 0.1, atol=0.01)


def test_digest_follows_content_and_not_place(tmp_path):
    def make(name: str, text: str = "A dog.", width: int = WIDTH, **settings: object) -> str:
        root = tmp_path / name
        write_set(root, "train", [image(1)], [caption(1, 1, caption=text)])
        (root / "train/1.jpg").write_bytes(picture(width))
        return CocoSource(params(root, **settings)).digest()

    same, moved = make("same"), make("moved")
    assert same == moved
    others = [make("text", text="A cat."), make("file", width=40), make("share", share=0.5)]
    others += [make("size", shard_size=7), make("split", train="test")]
    (tmp_path / "same/train/1.jpg").unlink()
    others.append(CocoSource(params(tmp_path / "same")).digest())
    assert len({same, *others}) == 7


def test_changed_files_are_read_again(tmp_path):
    write_set(tmp_path, "train", [image(1)], [caption(1, 1)])
    source = CocoSource(params(tmp_path))
    assert source.rows_in(0) == 2
    write_set(tmp_path, "train", [image(1)], [caption(1, 1), caption(2, 1)])
    assert source.rows_in(0) == 3


def test_a_missing_folder_is_told_with_the_expected_tree(tmp_path):
    with pytest.raises(UserError, match=r"captions_train\.json.*no such folder"):
        CocoSource(params(tmp_path)).shard_count()
    write_set(tmp_path, "val", [image(1)])
    with pytest.raises(UserError, match=r"Found in .*annotations: captions_val\.json, instances_val\.json"):
        CocoSource(params(tmp_path)).shard_count()


@pytest.mark.parametrize(
    "content",
    [
        '{"images": ',
        "",
        "[]",
        '{"annotations": []}',
        '{"images": [{"file_name": "1.jpg"}]}',
        "\xff",
        '{"images": {}}',
        '{"images": [], "annotations": 7}',
    ],
)
def test_a_damaged_annotation_file_is_named(tmp_path, content):
    write_set(tmp_path, "train", [image(1)], [caption(1, 1)])
    (tmp_path / "annotations/captions_train.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(UserError, match=r"captions_train\.json"):
        CocoSource(params(tmp_path)).shard_count()


@given(share=st.floats(0, 1))
@settings(max_examples=40, deadline=None)
def test_a_file_cut_short_gives_what_stands_before_and_a_reject(share, tmp_path_factory):
    root = tmp_path_factory.mktemp("cut")
    write_set(
        root, "train", [image(n) for n in range(4)], [caption(n, n) for n in range(4)],
        [instance(n, n) for n in range(4)],
    )  # fmt: skip
    path = root / "annotations/instances_train.json"
    content = path.read_bytes()
    start = content.index(b"[") + 1  # before, it is no COCO file
    path.write_bytes(content[: start + int(share * (len(content) - 1 - start))])
    source = CocoSource(params(root))
    rows = read_all(source)
    assert [row["reason"] for row in rows["rejects"] if row["key"] == "file:instances_train.json"] == [
        "file_cut_short"
    ]
    assert len(rows["images"]) == len(rows["captions"]) == 4, "the captions file lists them too"
    assert source.rows_in(0) == sum(len(some) for some in rows.values())
    accounted = len(rows["objects"]) + sum(row["key"].startswith("object:") for row in rows["rejects"])
    if len(path.read_bytes()) > content.index(b'"categories"'):
        assert accounted == 4, "the annotations were whole; without categories they are rejects"


def test_the_source_is_picklable(tmp_path):
    write_set(tmp_path, "train", [image(1)], [caption(1, 1)])
    source = pickle.loads(pickle.dumps(CocoSource(params(tmp_path))))
    assert source.rows_in(0) == 2
