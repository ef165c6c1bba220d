"""Following an instruction: the form and the content of an answer, judged apart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.evaluation.instructions import check, followed

NOUNS = st.sampled_from(["cup", "star", "kite", "teddy bear", "fish"])
COLOURS = st.sampled_from(["red", "blue", "green"])


@pytest.mark.parametrize(
    ("kind", "answer", "prediction", "form", "content"),
    [
        ("left_to_right", "cup, star, kite", "cup, star, kite", True, True),
        ("left_to_right", "cup, star, kite", " Cup,star ,  kite.", True, True),
        ("left_to_right", "cup, star, kite", "star, cup, kite", True, False),
        ("left_to_right", "cup, star, kite", "cup, star", True, False),
        ("left_to_right", "cup, star", "cup, star, star", True, False),
        ("left_to_right", "cup, star", "the cup and the star", False, True),
        ("left_to_right", "cup, star", "cup and star", False, True),
        ("left_to_right", "cup, star", "a cup, a star", True, True),
        ("left_to_right", "cup, star", "cup; star", False, True),
        ("left_to_right", "cup, star", "cup, star,", False, True),
        ("left_to_right", "cup, star", "I see a cup, then a star", False, False),
        ("left_to_right", "cup", "cup", True, True),
        ("left_to_right", "cup", "", False, False),
        ("one_word", "red", "Red.", True, True),
        ("one_word", "red", "blue", True, False),
        ("one_word", "red", "it is red", False, True),
        ("one_word", "red", "it is coloured", False, False),
        ("one_word", "red", "", False, False),
        ("only_colour", "cup, star", "cup, star", True, True),
        ("only_colour", "cup, star", "star, cup", True, False),
        ("only_colour", "cup, star", "cup", True, False),
        ("only_colour", "cup, cup", "cup", True, False),
        ("only_colour", "none", "none", True, True),
        ("only_colour", "none", "cup", True, False),
        ("only_colour", "cup", "none", True, False),
        ("noun_colour", "cup: red; star: blue", "cup: red; star: blue", True, True),
        ("noun_colour", "cup: red; star: blue", "Cup : red\nstar:blue.", True, True),
        ("noun_colour", "cup: red; star: blue", "star: blue; cup: red", True, False),
        ("noun_colour", "cup: red; star: blue", "cup: red, star: blue", False, True),
        ("noun_colour", "cup: red; star: blue", "cup: blue; star: blue", True, False),
        ("noun_colour", "cup: red", "red cup", False, False),
    ],
)
def test_form_and_content(kind, answer, prediction, form, content):
    assert check(kind, answer, prediction) == (form, content)


def test_followed_means_both():
    kinds = ["one_word"] * 3
    assert followed(kinds, ["red"] * 3, ["red", "blue", "it is red"]).tolist() == [1, 0, 0]


@given(st.lists(NOUNS, min_size=1, max_size=5))
def test_a_reference_list_follows_its_own_instruction(nouns):
    answer = ", ".join(nouns)
    assert all(check("left_to_right", answer, answer))
    assert all(check("only_colour", answer, answer))


@given(st.lists(st.tuples(NOUNS, COLOURS), min_size=1, max_size=5), st.sampled_from(["; ", "\n"]))
def test_reference_pairs_follow_their_own_instruction(pairs, separator):
    lines = [f"{noun}: {colour}" for noun, colour in pairs]
    assert all(check("noun_colour", "; ".join(lines), separator.join(lines)))


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="'sing' is not known: it is one of left_to_right"):
        check("sing", "", "")
