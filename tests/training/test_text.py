"""What the language model reads: conversations with their boxes, and listings of a scene."""

from __future__ import annotations

import re

import numpy as np
import pytest

from pipeline.models.boxes import BoxFormat
from pipeline.models.chat import ChatFormat, encode
from pipeline.models.vocabulary import IMAGE
from pipeline.tables import dataset, schemas
from pipeline.tables.dataset import Provenance
from pipeline.training import text
from pipeline.training.turns import IGNORED

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


@pytest.fixture
def whole(tmp_path):
    """A conversation of several turns, as ``source.llava.turns: whole`` keeps it, a box in its first."""
    write(tmp_path, 0, "images", [
        {"image_id": "a", "image": {"bytes": b"", "path": None}, "sha256": "", "width": 8, "height": 8,
         "split": "train"}
    ])  # fmt: skip
    said = ["what is at <box> ?", "a red cup", "what colour ?", "red", "two cups ?", "none"]
    turns = [{"role": ("user", "assistant")[k % 2], "text": text} for k, text in enumerate(said)]
    write(tmp_path, 0, "conversations", [
        {"conversation_id": "w", "image_id": "a", "task": "chat", "kind": None, "turns": turns,
         "answer": "none", "box": [0, 0, 8, 4], "split": "train"}
    ])  # fmt: skip
    return tmp_path


def test_a_whole_conversation_is_one_sequence_whose_answers_are_learned(whole, words):
    chat = ChatFormat.of(words, IMAGE)
    parts = list(text.conversations(whole, "train", BoxFormat("bins", 16)))
    (row,) = parts[0]
    assert (row["prompt"], row["reference"]) == ("two cups ?", "none")
    turns = text.conversation_turns(parts, ["a"], words, chat)
    ids, labels = turns.pad(np.array([0]), words.pad_token_id)
    place = BoxFormat("bins", 16).render([0, 0, 8, 4], 8, 8)
    said = f"<user>what is at {place} ?<assistant>a red cup</s><user>what colour ?<assistant>red</s>"
    said += "<user>two cups ?<assistant>none</s>"
    assert ids[0].tolist() == encode(words, [said])[0]
    learned = words.convert_tokens_to_ids(["▁a", "▁red", "▁cup", "</s>", "▁red", "</s>", "▁none", "</s>"])
    assert labels[labels != IGNORED].tolist() == learned
    assert (labels[labels != IGNORED] == ids[labels != IGNORED]).all()


def test_a_listing_says_each_object_once(data):
    parts = list(text.listings(data, "train", BOXES, seed=3))
    assert [{row["image_id"] for row in rows} for rows in parts] == [{"a"}, {"c"}]
    said = [sorted(row["texts"][1].split("; ")) for row in parts[0]]
    assert said == [[f"kite {box(4, 4, 8, 8)}", f"red striped cup {box(0, 0, 4, 4)}"]] * text.LISTINGS
    assert {row["texts"][0] for row in parts[0]} == {text.LIST}


def test_the_order_of_a_listing_is_the_seeds(data):
    def orders(seed):
        return [row["texts"][1] for rows in text.listings(data, "train", BOXES, seed) for row in rows]

    assert orders(1) == orders(1)
    assert len({tuple(orders(seed)) for seed in range(8)}) > 1


def test_scenes_in_words_name_every_object_with_its_box(data):
    sizes = {image: (8, 8) for image in SPLITS}
    (scene,) = text.scenes_in_words(data / "objects", ["b"], sizes, BOXES, seed=0)
    assert sorted(re.split("; ", scene)) == sorted(
        [f"red striped cup {box(0, 0, 4, 4)}", f"kite {box(4, 4, 8, 8)}"]
    )
