"""Answers to questions: normalisation, the VQA rule, and the constant-answer floor."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.evaluation.vqa import constant_answers, exact_match, normalise, vqa_accuracy


@pytest.mark.parametrize(
    ("given_", "normal"),
    [
        ("A red cup.", "red cup"),
        ("  Two\n", "2"),
        ("none", "0"),
        ("YES!", "yes"),
        ("red/blue", "red blue"),
        ("red, blue", "red blue"),
        ("1,000 dogs", "1000 dogs"),
        ("2.5", "2.5"),
        ("Dont know", "don't know"),
        ("don't know", "don't know"),
        ("the dog's", "dog's"),
        ("on the left-hand side", "on left hand side"),
        ("the", ""),
        ("", ""),
    ],
)
def test_normalisation(given_, normal):
    assert normalise(given_) == normal


@given(st.text(alphabet="abc the one.,/-'!? 12", max_size=20))
def test_case_and_space_around_never_matter(text):
    assert normalise(f"  {text.upper()} ") == normalise(text)


def test_exact_match():
    assert exact_match(["Two.", "red", "a cup"], ["2", "blue", "the cup"]).tolist() == [1, 0, 1]


def slow_vqa(said, people):
    """Every choice of n - 1 people, one after another."""
    choices = itertools.combinations(people, len(people) - 1)
    return np.mean([min(1, sum(said == answer for answer in chosen) / 3) for chosen in choices])


@given(st.lists(st.sampled_from(["red", "blue"]), min_size=2, max_size=10))
def test_the_closed_form_is_the_average_over_choices(people):
    assert vqa_accuracy(["red"], [people])[0] == pytest.approx(slow_vqa("red", people))


@pytest.mark.parametrize(("matches", "score"), [(0, 0), (1, 0.3), (2, 0.6), (3, 0.9), (4, 1), (10, 1)])
def test_the_official_scores_of_ten_people(matches, score):
    people = ["red"] * matches + ["blue"] * (10 - matches)
    assert vqa_accuracy(["Red"], [people])[0] == pytest.approx(score)


def test_a_single_reference_is_matched_exactly():
    assert vqa_accuracy(["red", "blue"], [["red"], ["red"]]).tolist() == [1, 0]


def test_a_question_without_reference_is_refused():
    with pytest.raises(ValueError, match="no reference"):
        vqa_accuracy(["red"], [[]])


def test_the_constant_answer_is_the_commonest_of_its_kind():
    answers = ["red", "Blue", "blue.", "two", "yes", "no", "blue"]
    kinds = ["colour", "colour", "colour", "count", "existence", "existence", "colour"]
    asked = ["count", "colour", "existence", "unseen"]
    assert constant_answers(answers, kinds, asked) == ["2", "blue", "no", "blue"]


@given(st.lists(st.sampled_from(["red", "blue", "green"]), min_size=1, max_size=30))
def test_no_other_constant_does_better_in_training(answers):
    kinds = ["colour"] * len(answers)
    best = exact_match(constant_answers(answers, kinds, kinds), answers).sum()
    assert all(best >= exact_match([other] * len(answers), answers).sum() for other in set(answers))


def test_the_floor_needs_training_answers():
    with pytest.raises(ValueError, match="training answers"):
        constant_answers([], [], ["colour"])
