"""Who is called better, and when nobody is."""

import math

import pyarrow as pa
import pytest

from pipeline.report import answer, comparison, examples
from pipeline.tables import schemas
from pipeline.tables.metrics import Estimate


def exact(value: float, half: float = 0.02, n: int = 1000) -> Estimate:
    return Estimate(value, value - half, value + half, n)


def row(
    caption: float, aligned: float, difference: Estimate, key: str = "referring.accuracy", **floors: float
) -> comparison.Row:
    arms = {"caption": {key: exact(caption)}, "patch_aligned": {key: exact(aligned)}}
    references = {name.replace("_", " "): {key: exact(value)} for name, value in floors.items()}
    return comparison.rows(
        arms, references, {"patch_aligned": {key: comparison.Difference(difference, True)}}
    )[0]


@pytest.mark.parametrize(
    ("key", "low", "high", "verdict"),
    [
        ("referring.accuracy", 0.01, 0.05, "better"),
        ("referring.accuracy", -0.05, -0.01, "worse"),
        ("referring.accuracy", -0.01, 0.05, "level"),
        ("referring.accuracy", 0.0, 0.05, "level"),
        ("compression.after", -0.05, -0.01, "better"),
        ("compression.after", 0.01, 0.05, "worse"),
        ("compression.before", 0.01, 0.05, ""),
    ],
)
def test_the_verdict_follows_the_interval_and_the_metric_s_direction(
    key: str, low: float, high: float, verdict: str
) -> None:
    assert row(0.5, 0.5, Estimate((low + high) / 2, low, high, 100), key).verdict("patch_aligned") == verdict


def test_measures_are_paired_by_metric_and_example() -> None:
    def measures(**values: dict[str, float]) -> pa.Table:
        rows = [
            {"metric": f"alignment.{metric}", "example": example, "value": value}
            for metric, found in values.items()
            for example, value in found.items()
        ]
        return schemas.from_rows("measures", rows)

    caption = measures(cosine={"a": 0.1, "b": 0.9, "c": 0.5}, top1={"a": 1.0, "b": 0.0})
    aligned = measures(top1={"b": 1.0, "a": 1.0}, cosine={"b": 1.0, "a": 0.2})
    found = comparison.paired_differences({"caption": caption, "patch_aligned": aligned}, 200, 0)[
        "patch_aligned"
    ]
    cosine = found["alignment.cosine"].estimate
    # Both differences are 0.1, though the values themselves lie 0.8 apart.
    assert (cosine.value, cosine.low, cosine.high, cosine.n) == (*[pytest.approx(0.1)] * 3, 2)
    assert found["alignment.top1"].estimate.value == 0.5
    assert (found["alignment.top1"].paired, found["alignment.top1"].p) == (True, 1.0)  # one of two differs
    assert comparison.paired_differences({}, 200, 0) == {}


def test_without_paired_numbers_the_intervals_are_combined_as_independent() -> None:
    a, b = Estimate(0.7, 0.66, 0.73, 90), Estimate(0.4, 0.36, 0.43, 100)
    difference = comparison.independent_difference(a, b)
    # 0.3, down by sqrt(0.04^2 + 0.03^2) and up by sqrt(0.03^2 + 0.04^2)
    assert difference.value == pytest.approx(0.3)
    assert (difference.low, difference.high) == (pytest.approx(0.25), pytest.approx(0.35))
    assert difference.n == 90
    arms = {"caption": {"question.accuracy": b}, "patch_aligned": {"question.accuracy": a}}
    assert not comparison.rows(arms, {}, {})[0].differences["patch_aligned"].paired


def test_differences_pair_the_examples_that_both_arms_answered_in_whatever_order() -> None:
    def predictions(scores: dict[str, float]) -> pa.Table:
        blank = {
            "image_id": "i", "task": "question", "kind": None, "prompt": "", "answer": "",
            "prediction": "", "box": None, "predicted_box": None,
        }  # fmt: skip
        rows = [{**blank, "conversation_id": name, "score": score} for name, score in scores.items()]
        return schemas.from_rows("predictions", rows)

    caption = predictions({"a": 0, "b": 1, "c": 0, "only here": 1})
    aligned = predictions({"c": 1, "b": 1, "only there": 0, "a": 1})
    found = comparison.paired_differences(
        comparison.scores({"caption": caption, "patch_aligned": aligned}), 200, 0
    )["patch_aligned"]
    assert set(found) == {"question.accuracy"}
    apart = found["question.accuracy"].estimate
    assert apart.value == pytest.approx(2 / 3)  # a +1, b 0, c +1
    assert apart.n == 3


def test_an_arm_is_held_against_its_highest_floor_and_not_against_the_other_arm_s() -> None:
    made = row(0.3, 0.6, exact(0.3), random_true_box=0.36, constant_answer=0.1)
    assert made.against_floors("caption") == ("below", "random true box")
    assert made.against_floors("patch_aligned") is None
    level = row(0.37, 0.6, exact(0.23), random_true_box=0.36)
    assert level.against_floors("caption") == ("at", "random true box")
    key = "referring.accuracy"
    arms = {"caption": {key: exact(0.3)}, "patch_aligned": {key: exact(0.6)}}
    other = comparison.rows(arms, {"no image: patch_aligned": {key: exact(0.5)}}, {})[0]
    assert other.against_floors("caption") is None


def test_the_ceiling_is_no_floor() -> None:
    made = row(0.3, 0.6, exact(0.3), scene_in_words=0.97)
    assert made.floors == {}
    assert made.ceiling == exact(0.97)
    assert made.against_floors("caption") is None


@pytest.mark.parametrize(
    ("difference", "start"),
    [
        (Estimate(0.1, 0.05, 0.15, 1000), "Yes, here"),
        (Estimate(-0.1, -0.15, -0.05, 1000), "No, not here"),
        (Estimate(0.01, -0.02, 0.04, 1000), "No difference shown"),
    ],
)
def test_the_headline_goes_with_the_interval(difference: Estimate, start: str) -> None:
    made = answer.answer([row(0.5, 0.5 + difference.value, difference, random_true_box=0.36)])
    assert made.headline.startswith(start)
    assert ("includes zero" in made.detail) == (start == "No difference shown")


def test_the_detail_gives_both_arms_the_difference_and_its_interval() -> None:
    made = answer.answer([row(0.5, 0.4, Estimate(-0.1, -0.15, -0.05, 1000))])
    for part in ("40.0\u202f%", "50.0\u202f%", "\u221210.0 points", "\u221215.0 to \u22125.0"):
        assert part in made.detail


def test_arms_at_their_floor_settle_nothing() -> None:
    made = answer.answer([row(0.3, 0.2, Estimate(-0.1, -0.15, -0.05, 1000), random_true_box=0.36)])
    assert made.headline.startswith("Not settled")
    under = [line for line in made.caveats if "below its floor" in line]
    assert len(under) == 2
    assert "30.0\u202f%; random true box: 36.0\u202f%" in under[0]


def test_one_run_is_called_one_run_and_a_study_by_its_seeds() -> None:
    made = row(0.5, 0.6, exact(0.1))
    assert any("One training run" in line for line in answer.answer([made]).caveats)
    assert not any("Nobody" in line for line in answer.answer([made], judges=["dataset"]).caveats)
    assert "regions of open_clip, whose" in answer.answer([made], judges=["open_clip"]).caveats[0]
    assert any("5 seeds" in line for line in answer.answer([made], 5).caveats)
    assert not any("One training run" in line for line in answer.answer([made], 5).caveats)


def test_a_study_that_was_stopped_says_how_many_seeds_each_arm_has() -> None:
    caveats = answer.answer([row(0.5, 0.6, exact(0.1))], 5, {"caption": 5, "patch_aligned": 3}).caveats
    assert any("of 5 seeds there are Captions only 5, Patch-aligned 3" in line for line in caveats)
    assert not any("trained 5 times" in line for line in caveats)


def test_without_an_interval_nobody_is_better() -> None:
    one_seed = Estimate(0.1, math.nan, math.nan, 1)
    made = row(0.5, 0.6, one_seed)
    assert made.verdict("patch_aligned") == ""
    assert "with an interval yet" in answer.answer([made]).headline
    assert "no interval" in answer.answer([made]).detail


def test_without_referring_expressions_the_headline_says_so() -> None:
    made = row(0.5, 0.6, exact(0.1), "question.accuracy")
    assert "not measured" in answer.answer([made]).headline


def test_outcomes_count_every_example_once_and_show_the_clearest() -> None:
    scores = {"a": (1.0, 1.0), "b": (0.6, 0.7), "c": (0.0, 1.0), "d": (0.2, 0.0), "e": (0.0, 0.0)}
    found = {
        title: (count, name)
        for title, count, _, name in examples._by_outcome(scores, ["Captions only", "Patch-aligned"])
    }
    assert found == {
        "Both right": (2, "a"),
        "Only patch-aligned right": (1, "c"),
        "Only captions-only right": (0, None),
        "Both wrong": (2, "e"),
    }
