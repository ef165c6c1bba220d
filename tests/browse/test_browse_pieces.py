"""Captions in pieces, outlines as paths, patches as shares of a picture, and who may ask."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from pipeline.browse import captions, guard
from pipeline.browse.grid import Edges
from pipeline.errors import UserError
from pipeline.report import outlines

TEXT = "\N{DOG} A red cup of tea"


def phrase(name: str, start: int, end: int, *words: tuple[int, int]) -> dict:
    return {
        "phrase_id": name, "caption_id": "c", "start": start, "end": end,
        "words": [{"start": first, "end": last} for first, last in words],
    }  # fmt: skip


def test_pieces_are_cut_at_words_and_phrases_and_light_what_they_belong_to():
    reject = {"key": "chunk:c:15-18", "message": "a drink"}
    marks = captions.marks_of({"data": [phrase("p0", 2, 11, (4, 7), (8, 11))]}, [reject])["c"]
    pieces = captions.segments(TEXT, marks)
    assert [(p["text"], p["word"], p["lights"], p["left_out"]) for p in pieces] == [
        ("\N{DOG} ", False, {}, None),
        ("A ", False, {"data": ["p0"]}, None),
        ("red", True, {"data": ["p0"]}, None),
        (" ", False, {"data": ["p0"]}, None),
        ("cup", True, {"data": ["p0"]}, None),
        (" of ", False, {}, None),
        ("tea", False, {}, "a drink"),
    ]


spans = st.tuples(st.integers(0, 18), st.integers(0, 18)).map(sorted)


@given(st.lists(spans, max_size=5), st.lists(spans, max_size=3))
def test_pieces_together_are_the_caption_and_each_word_lights_its_phrase(words, left_out):
    marks = captions.Marks(
        words=[(a, b, "data", f"p{i}") for i, (a, b) in enumerate(words)],
        left_out=[(a, b, "why") for a, b in left_out],
    )
    pieces = captions.segments(TEXT, marks)
    assert "".join(piece["text"] for piece in pieces) == TEXT
    for i, (start, end) in enumerate(words):
        lit = [
            n for p in pieces if f"p{i}" in p["lights"].get("data", []) for n in range(p["start"], p["end"])
        ]
        assert lit == list(range(start, end))


def drawn(path: str) -> tuple[set, set]:
    """The unit edges of a path: level ones by their left end, upright ones by their upper end."""
    level, upright = set(), set()
    for x, y, end in re.findall(r"M(\d+) (\d+)H(\d+)", path):
        level |= {(int(y), column) for column in range(int(x), int(end))}
    for x, y, end in re.findall(r"M(\d+) (\d+)V(\d+)", path):
        upright |= {(row, int(x)) for row in range(int(y), int(end))}
    return level, upright


@given(arrays.arrays(bool, st.tuples(st.integers(1, 6), st.integers(1, 6))))
def test_a_mask_s_outline_is_every_edge_between_inside_and_outside(inside):
    height, width = inside.shape

    def at(row: int, column: int) -> bool:
        return 0 <= row < height and 0 <= column < width and bool(inside[row, column])

    level = {(y, x) for y in range(height + 1) for x in range(width) if at(y, x) != at(y - 1, x)}
    upright = {(y, x) for y in range(height) for x in range(width + 1) if at(y, x) != at(y, x - 1)}
    assert drawn(outlines.of_mask(inside)) == (level, upright)


def test_a_box_s_outline():
    assert outlines.of_box([1.0, 2.5, 3.0, 4.0]) == "M1 2.5H3V4H1Z"


def test_straight_edges_are_one_line():
    assert outlines.of_mask(np.ones((2, 3), dtype=bool)) == "M0 0H3M0 2H3M0 0V2M3 0V2"


def test_patches_as_shares_of_the_picture():
    """A 40 x 20 picture whose crop leaves out 10 pixels left and right: two by two patches of 10."""
    edges = Edges([10, 20, 30], [0, 10, 20], width=40, height=20)
    assert edges.grid == (2, 2)
    assert edges.shares([0, 3]) == [(0.25, 0.0, 0.25, 0.5), (0.5, 0.5, 0.25, 0.5)]


@pytest.mark.parametrize(
    ("host", "loopback", "remote"),
    [
        ("127.0.0.1:8365", True, True), ("localhost:8365", True, True), ("[::1]:8365", True, True),
        ("127.0.0.1", True, True), ("192.168.0.7:8365", False, True), ("evil.example", False, False),
        ("evil.example:8365", False, False), ("127.0.0.1.evil.example", False, False), ("", False, False),
        ("localhost.evil.example:80", False, False), ("[2001:db8::1]:80", False, True),
    ],
)  # fmt: skip
def test_hosts_that_are_let_in(host, loopback, remote):
    assert guard.allows(host, [], allow_remote=False) == loopback
    assert guard.allows(host, [], allow_remote=True) == remote


def test_a_name_is_let_in_if_it_is_the_one_that_was_asked_for():
    assert guard.allows("lab.example:80", ["lab.example"], allow_remote=True)


def test_an_address_that_others_reach_has_to_be_asked_for():
    for host in ("127.0.0.1", "localhost", "::1"):
        guard.check_address(host, allow_remote=False)
    guard.check_address("0.0.0.0", allow_remote=True)
    for host in ("0.0.0.0", "192.168.0.7", "lab.example", "::"):
        with pytest.raises(UserError, match="--allow-remote"):
            guard.check_address(host, allow_remote=False)
