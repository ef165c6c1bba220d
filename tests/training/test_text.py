"""What the language model reads: conversations with their boxes, and listings of a scene."""

from __future__ import annotations

import re

import pytest

from pipeline.models.boxes import BoxFormat
from pipeline.tables import dataset, schemas
from pipeline.tables.dataset import Provenance
from pipeline.training import text

BOXES = BoxFormat("bins", 4)
SPLITS = {"a": "train", "b": "test", "c": "train"}


@pytest.fixture
def data(tmp_path):
    """Images of 8 x 8 pixels in two parts, a cup and a kite in each, one question with a box about each."""
    for index, images in enumerate((["a", "b"], ["c"])):
        write(tmp_path, index, "images", [
            {"image_id": i, "image": {"bytes": b"", "path": None}, "sha256": "", "width": 8, "height": 8,
             "split": SPLITS[i]} for i in images
        ])  # fmt: skip
        write(tmp_path, index, "objects", [
            {"object_id": f"{i}{k}", "image_id": i, "label": label, "attributes": look, "box": box,
             "mask": None, "is_crowd": False, "phrase": []}
            for i in images
            for k, (label, look, box) in enumerate(
                [("cup", ["red", "striped"], [0, 0, 4, 4]), ("kite", [], [4, 4, 8, 8])]
            )
        ])  # fmt: skip
        write(tmp_path, index, "conversations", [
            {"conversation_id": i, "image_id": i, "task": "referring", "kind": "attribute",
             "turns": [{"role": "user", "text": "Where is it?"}], "answer": "<box>", "box": [4, 4, 8, 8],
             "split": SPLITS[i]} for i in images
        ])  # fmt: skip
    return tmp_path


def write(data, index, name, rows):
    dataset.write_part(data / name, index, schemas.from_rows(name, rows), name, Provenance("", {}))


def box(*pixels):
    return BOXES.render(pixels, 8, 8)


def test_conversations_come_part_by_part_with_boxes_in_the_models_words(data):
    parts = list(text.conversations(data, "train", BOXES))
    assert [[row["image_id"] for row in rows] for rows in parts] == [["a"], ["c"]]
    assert parts[0][0]["prompt"] == "Where is it?"
    assert parts[0][0]["reference"] == box(4, 4, 8, 8)
    assert text.discussed(data, "train") == ["a", "c"]


def test_a_listing_says_each_object_once(data):
    parts = list(text.listings(data, "train", BOXES, seed=3))
    assert [{row["image_id"] for row in rows} for rows in parts] == [{"a"}, {"c"}]
    said = [sorted(row["reference"].split("; ")) for row in parts[0]]
    assert said == [[f"kite {box(4, 4, 8, 8)}", f"red striped cup {box(0, 0, 4, 4)}"]] * text.LISTINGS
    assert {row["prompt"] for row in parts[0]} == {text.LIST}


def test_the_order_of_a_listing_is_the_seeds(data):
    def orders(seed):
        return [row["reference"] for rows in text.listings(data, "train", BOXES, seed) for row in rows]

    assert orders(1) == orders(1)
    assert len({tuple(orders(seed)) for seed in range(8)}) > 1


def test_scenes_in_words_name_every_object_with_its_box(data):
    sizes = {image: (8, 8) for image in SPLITS}
    (scene,) = text.scenes_in_words(data / "objects", ["b"], sizes, BOXES, seed=0)
    assert sorted(re.split("; ", scene)) == sorted(
        [f"red striped cup {box(0, 0, 4, 4)}", f"kite {box(4, 4, 8, 8)}"]
    )
