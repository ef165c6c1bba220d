"""LLaVA's JSON files: captions, conversations, and boxes in text."""

from __future__ import annotations

import pytest
from coco_folders import HEIGHT, WIDTH
from format_folders import PICTURE, opened, put, put_json, read, reasons

from pipeline.sources.boxes import scaled, unpadded

FILE = "llava_v1_5_mix665k.json"


def turns(*texts: str) -> list[dict]:
    return [{"from": ("human", "gpt")[n % 2], "value": text} for n, text in enumerate(texts)]


def source(root, *conversations, kind="conversations", **changes):
    put(root / "coco/1.jpg", PICTURE)
    rows = [{"id": "1", "image": "coco/1.jpg", "conversations": each} for each in conversations]
    put_json(root / FILE, rows)
    return opened("llava", root, files={FILE: kind}, **changes)


def talks(*args, **kwargs) -> list[tuple]:
    return [
        (row["task"], [turn["text"] for turn in row["turns"]], row["answer"], row["box"])
        for row in read(source(*args, **kwargs))["conversations"]
    ]


def test_turns_are_kept_whole_or_in_pairs_and_the_image_mark_is_no_text(tmp_path):
    four = turns("<image>\nWhat is it?", "A dog.", "And its colour?", "Red.")
    assert talks(tmp_path, four, turns="pairs") == [
        ("chat", ["What is it?", "A dog."], "A dog.", None),
        ("chat", ["And its colour?", "Red."], "Red.", None),
    ]
    assert talks(tmp_path, four, turns="whole") == [
        ("chat", ["What is it?", "A dog.", "And its colour?", "Red."], "Red.", None)
    ]


def test_one_box_becomes_the_conversations_own_in_pixels_of_the_unpadded_image(tmp_path):
    # 20 x 14 pixels, padded to 20 x 20: three rows above and below.
    ask = "Please provide the bounding box coordinate of the region this sentence describes: the dog."
    found = talks(
        tmp_path,
        turns(ask, "[0.10, 0.30, 0.40, 0.50]"),
        turns("What is at [0.1,0.3,0.4,0.5]?", "A dog."),
    )
    assert [(task, box) for task, _, _, box in found] == [
        ("referring", [2, 3, 8, 7]),
        ("region", [2, 3, 8, 7]),
    ]
    assert [texts for _, texts, _, _ in found] == [[ask, "<box>"], ["What is at <box>?", "A dog."]]
    ((_, _, _, box),) = talks(tmp_path, turns(ask, "[0.10, 0.50, 0.40, 1.0]"), boxes="image")
    assert box == [2, 7, 8, 14]


@pytest.mark.parametrize(
    "answer",
    [
        "[0.1, 0.3, 0.4, 0.5] and [0.1, 0.3, 0.4, 0.6]",
        "[0.4, 0.3, 0.1, 0.5]",
        "[1, 2, 3]",
        "[0.1, 0.2, 0.3, 7]",
    ],
)
def test_several_boxes_and_what_is_none_stay_text(tmp_path, answer):
    assert talks(tmp_path, turns("Where is it?", answer)) == [
        ("chat", ["Where is it?", answer], answer, None)
    ]


def test_a_box_in_the_padding_is_outside(tmp_path):
    assert reasons(source(tmp_path, turns("Where?", "[0.1, 0.0, 0.4, 0.1]"))) == {
        "conversation:coco/1.jpg/q0": "box_outside"
    }


def test_padding_is_taken_off_on_the_shorter_side():
    assert unpadded((0, 0, 1, 1), 20, 14) == (0, -3, 20, 17)
    assert unpadded((0.5, 0.5, 1, 1), 14, 20) == (7, 10, 17, 20)
    assert unpadded((0.25, 0.5, 1, 1), 8, 8) == scaled((0.25, 0.5, 1, 1), 8, 8) == (2, 4, 8, 8)


def test_short_answers_are_questions(tmp_path):
    ask = "What colour is it?\nAnswer the question using a single word or phrase."
    assert talks(tmp_path, turns(ask, "Red"))[0][0] == "question"


def test_captions_of_one_image_stand_together(tmp_path):
    rows = read(
        source(tmp_path, turns("<image>\nDescribe.", "One."), turns("Say.\n<image>", "Two."), kind="captions")
    )
    assert [row["text"] for row in rows["captions"]] == ["One.", "Two."]
    assert len(rows["images"]) == 1 and not rows["conversations"]
    assert (rows["images"][0]["width"], rows["images"][0]["height"]) == (WIDTH, HEIGHT)


def test_rows_without_an_image_and_broken_turns_are_rejected(tmp_path):
    source(tmp_path)
    rows = [
        {"id": "text", "conversations": turns("Hello?", "Hello.")},
        {"id": "odd", "image": "coco/1.jpg", "conversations": turns("Hello?", "Hello.", "Well?")},
        {"id": "none", "image": "coco/1.jpg", "conversations": "Hello?"},
        {"id": "turned", "image": "coco/1.jpg", "conversations": turns("Hello?", "Hello.")[::-1]},
        17,
        {"id": "good", "image": "coco/1.jpg", "conversations": turns("Hello?", "Hello.")},
    ]
    put_json(tmp_path / FILE, rows)
    found = opened("llava", tmp_path, files={FILE: "conversations"})
    assert list(reasons(found).values()) == [
        "conversation_without_image",
        "row_unreadable",
        "conversation_invalid",
        "conversation_invalid",
        "conversation_invalid",
    ]
    assert [row["conversation_id"] for row in read(found)["conversations"]] == ["coco/1.jpg/q3"]
    assert found.rows_in(0) == 7
