"""MDETR's and ODVG's files: boxes linked to characters of captions."""

from __future__ import annotations

import json

from coco_folders import HEIGHT, WIDTH
from format_folders import PICTURE, opened, put, put_json, read, reasons

CAPTION = "A dog and a cat."


def entry(number, **changes):
    return {
        "id": number,
        "file_name": "1.jpg",
        "width": WIDTH,
        "height": HEIGHT,
        "caption": CAPTION,
        **changes,
    }


def note(number, image, **changes):
    return {"id": number, "image_id": image, "bbox": [2, 3, 6, 4], "tokens_positive": [[0, 5]], **changes}


def linked(rows: dict) -> list[list[str]]:
    texts = {row["caption_id"]: row["text"] for row in rows["captions"]}
    return [
        [texts[span["caption_id"]][span["start"] : span["end"]] for span in row["phrase"]]
        for row in rows["objects"]
    ]


def mdetr(root, images, annotations, **changes):
    put(root / "1.jpg", PICTURE)
    # Annotations first: JSON's keys have no order.
    put_json(root / "final_mixed_train.json", {"annotations": annotations, "images": images})
    return opened("grounding_json", root, **changes)


def odvg(root, *rows):
    put(root / "1.jpg", PICTURE)
    put(root / "grit.jsonl", "".join(row if isinstance(row, str) else json.dumps(row) + "\n" for row in rows))
    return opened("grounding_json", root, files=["grit.jsonl"])


def test_a_pictures_entries_are_one_image_and_each_box_is_linked_to_its_own_caption(tmp_path):
    notes = [
        note(1, 10),
        note(2, 11, tokens_positive=[[0, 5], [6, 11]]),
        note(3, 10, tokens_positive=[[10, 15]]),
    ]
    rows = read(mdetr(tmp_path, [entry(10), entry(11, caption="A cat, a dog")], notes))
    assert [row["image_id"] for row in rows["images"]] == ["1.jpg"]
    assert [row["label"] for row in rows["objects"]] == ["A dog", "a cat", "A cat"]
    assert linked(rows) == [["A dog"], ["a cat"], ["A cat", " a do"]]
    assert not rows["rejects"]


def test_bad_entries_and_annotations_are_rejected(tmp_path):
    images = [entry(10), entry(10), {"id": 12}, entry(13, width=WIDTH + 1, file_name="1.jpg")]
    notes = [
        note(1, 10, tokens_positive=[[0, 99]]),
        note(2, 10, tokens_positive=[]),
        note(3, 10, bbox=[0, 0, -1, 5]),
        note(4, 12),
        note(5, 10),
        note(5, 10),
        {"bbox": []},
    ]
    source = mdetr(tmp_path, images, notes)
    rows = read(source)
    assert sorted(row["reason"] for row in rows["rejects"]) == [
        "annotation_without_image",
        "box_invalid",
        "duplicate_annotation_id",
        "duplicate_image_id",
        "row_unreadable",
        "row_unreadable",
        "span_invalid",
        "span_invalid",
    ]
    assert [row["object_id"] for row in rows["objects"]] == ["1.jpg/o5"]
    assert len(rows["captions"]) == 2  # the entries 10 and 13


def test_files_with_the_same_ids_do_not_meet(tmp_path):
    put_json(tmp_path / "b.json", {"images": [entry(10, caption="A bird.")], "annotations": [note(1, 10)]})
    rows = read(mdetr(tmp_path, [entry(10)], [note(1, 10)], files=["final_mixed_train.json", "b.json"]))
    assert [row["caption_id"] for row in rows["captions"]] == ["1.jpg/c0.10", "1.jpg/c1.10"]
    assert linked(rows) == [["A dog"], ["A bir"]]


def test_odvg_regions_are_linked_by_their_characters_or_by_where_their_phrase_stands(tmp_path):
    regions = [
        {"bbox": [2, 3, 8, 7], "phrase": "a CAT"},
        {"bbox": [[0, 0, 5, 5], [5, 5, 9, 9]], "phrase": ["dog"], "tokens_positive": [[2, 5]]},
        {"bbox": [0, 0, 5, 5], "phrase": "a horse"},
        {"bbox": [0, 0, 5, 5], "tokens_positive": [[0, 99]]},
        "region",
    ]
    line = {"filename": "1.jpg", "grounding": {"caption": CAPTION, "regions": regions}}
    rows = read(odvg(tmp_path, line))
    assert [row["box"] for row in rows["objects"]] == [[2, 3, 8, 7], [0, 0, 5, 5], [5, 5, 9, 9], [0, 0, 5, 5]]
    assert linked(rows) == [["a cat"], ["dog"], ["dog"], []]
    assert [row["reason"] for row in rows["rejects"]] == ["span_invalid", "label_empty"]


def test_odvg_detection_is_objects_without_captions(tmp_path):
    instances = [{"bbox": [2, 3, 8, 7], "label": 3, "category": "dog"}, {"bbox": [2, 3, 8, 7]}]
    rows = read(odvg(tmp_path, {"filename": "1.jpg", "detection": {"instances": instances}}))
    assert [(row["label"], row["phrase"]) for row in rows["objects"]] == [("dog", [])]
    assert len(rows["images"]) == 1 and not rows["captions"]
    assert [row["reason"] for row in rows["rejects"]] == ["label_empty"]


def test_lines_that_are_none_are_rejected_one_by_one(tmp_path):
    line = {"filename": "1.jpg", "grounding": {"caption": CAPTION, "regions": []}}
    source = odvg(tmp_path, "{\n", "[]\n", line, {"filename": "1.jpg"}, "\n", json.dumps(line)[:-9])
    assert list(reasons(source).values()) == ["row_unreadable"] * 4
    assert source.rows_in(0) == 6
