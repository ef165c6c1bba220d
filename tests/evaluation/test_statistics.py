"""Intervals and tests: against scipy's, against slow references, and for what they promise."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pipeline.errors import UserError
from pipeline.evaluation import statistics
from pipeline.evaluation.statistics import estimate, per_example

VALUES = st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=60)


def test_the_interval_is_scipy_s_bca_bootstrap():
    x = np.random.default_rng(0).exponential(size=80)
    ours = statistics.estimate(x, resamples=20000, seed=1)
    theirs = stats.bootstrap((x,), np.mean, n_resamples=20000, method="BCa", rng=2).confidence_interval
    assert ours.value == pytest.approx(x.mean())
    assert ours.low == pytest.approx(theirs.low, abs=0.01)
    assert ours.high == pytest.approx(theirs.high, abs=0.01)
    assert ours.n == 80


def test_a_share_s_interval_is_near_the_exact_one():
    exact = stats.binomtest(30, 100).proportion_ci(method="wilson")
    ours = statistics.estimate(np.r_[np.ones(30), np.zeros(70)], resamples=5000)
    assert (ours.low, ours.high) == pytest.approx((exact.low, exact.high), abs=0.015)


def test_intervals_hold_the_truth_as_often_as_they_say():
    """Of 400 samples of 40 values with mean 0.2, about 95 % of the intervals hold 0.2."""
    rng = np.random.default_rng(0)
    draws = rng.beta(1, 4, (400, 40))
    held = [e.low <= 0.2 <= e.high for e in (statistics.estimate(x, 400, i) for i, x in enumerate(draws))]
    assert 0.91 <= np.mean(held) <= 0.985


@pytest.mark.parametrize(("value", "n"), [(0.0, 50), (1.0, 50), (0.0, 1), (1.0, 3)])
def test_shares_of_none_or_all_get_the_exact_binomial_interval(value, n):
    exact = stats.binomtest(int(value * n), n).proportion_ci(method="exact")
    ours = statistics.estimate(np.full(n, value))
    assert (ours.low, ours.high) == pytest.approx((exact.low, exact.high))


def test_a_constant_is_its_own_interval():
    assert statistics.estimate([0.3, 0.3, 0.3]) == statistics.Estimate(0.3, 0.3, 0.3, 3)


@settings(max_examples=50, deadline=None)
@given(VALUES, st.integers(0, 5))
def test_the_interval_holds_the_mean_and_the_seed_fixes_it(values, seed):
    first = statistics.estimate(values, 50, seed)
    assert first.low <= first.value <= first.high
    assert first == statistics.estimate(values, 50, seed)


def test_chunks_change_nothing(monkeypatch):
    x, y = np.random.default_rng(0).random((2, 100))
    whole = statistics.estimate(x, 301), statistics.paired_difference(x, y, 301)
    monkeypatch.setattr(statistics, "_CELLS", 777)
    assert (statistics.estimate(x, 301), statistics.paired_difference(x, y, 301)) == whole


@pytest.mark.parametrize("values", [[], [[1.0, 2.0]], [1.0, float("nan")], [float("inf")]])
def test_what_cannot_be_averaged_is_refused(values):
    with pytest.raises(ValueError, match=r"non-empty|not finite"):
        statistics.estimate(values)


def test_few_pairs_are_tested_exactly_over_all_sign_patterns():
    a, b = np.array([3.0, 1.0, 4.0, 1.0]), np.array([1.0, 2.0, 1.0, 0.5])
    d = a - b  # 2, -1, 3, 0.5
    hits = [abs(np.dot(s, d)) >= abs(d.sum()) for s in itertools.product((-1, 1), repeat=4)]
    assert statistics.paired_difference(a, b, resamples=100).p == np.mean(hits) == 6 / 16


def test_many_pairs_are_tested_as_scipy_tests_them():
    rng = np.random.default_rng(3)
    a = rng.random(200)
    b = a - 0.03 + rng.normal(0, 0.2, 200)
    ours = statistics.paired_difference(a, b, resamples=9999)
    theirs = stats.permutation_test(
        (a, b), lambda x, y: np.mean(x - y), permutation_type="samples", n_resamples=9999, rng=0
    )
    assert ours.p == pytest.approx(theirs.pvalue, abs=0.02)
    assert ours.estimate.value == pytest.approx((a - b).mean())


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), min_size=1, max_size=12))
def test_swapping_the_two_sides_turns_the_difference_and_keeps_p(pairs):
    a, b = np.array(pairs, dtype=float).T
    forth, back = statistics.paired_difference(a, b, 64), statistics.paired_difference(b, a, 64)
    assert forth.estimate.value == pytest.approx(-back.estimate.value)
    assert forth.p == back.p
    assert 0 < forth.p <= 1


def test_no_difference_at_all_has_p_one():
    assert statistics.paired_difference(np.ones(500), np.ones(500)).p == 1.0


def test_equal_differences_leave_room_on_both_sides_where_values_are_shares():
    room = 1 - 0.025 ** (1 / 50)
    none = statistics.paired_difference([1.0] * 25 + [0.0] * 25, [1.0] * 25 + [0.0] * 25).estimate
    assert (none.value, none.low, none.high) == pytest.approx((0, -room, room))
    worse = statistics.paired_difference(np.zeros(50), np.ones(50)).estimate
    assert (worse.value, worse.low, worse.high) == pytest.approx((-1, -1, -1 + room))
    same = statistics.paired_difference([0.3, 0.7], [0.3, 0.7]).estimate
    assert (same.low, same.high) == (0, 0)


def test_p_is_uniform_when_there_is_no_difference():
    rng = np.random.default_rng(5)
    p = [statistics.paired_difference(*rng.random((2, 30)), 199, i).p for i in range(300)]
    assert stats.kstest(p, "uniform").pvalue > 0.01


def test_over_seeds_is_student_s_interval():
    # Mean 3, standard deviation sqrt(2.5), five seeds, t(0.975, 4) = 2.776: 3 +- 2.776 sqrt(2.5 / 5).
    interval = statistics.over_seeds([1, 2, 3, 4, 5])
    assert interval.value == 3.0
    assert interval.high == pytest.approx(3 + 2.7764451 * np.sqrt(0.5))
    assert interval.low == pytest.approx(3 - 2.7764451 * np.sqrt(0.5))
    assert interval.n == 5


def test_paired_over_seeds_is_the_paired_t_test():
    a, b = [0.31, 0.35, 0.29, 0.40, 0.33], [0.28, 0.30, 0.30, 0.33, 0.30]
    ours, theirs = statistics.paired_over_seeds(a, b), stats.ttest_rel(a, b)
    assert ours.p == pytest.approx(theirs.pvalue)
    interval = theirs.confidence_interval()
    assert (ours.estimate.low, ours.estimate.high) == pytest.approx((interval.low, interval.high))


def test_the_same_difference_in_every_seed_is_certain():
    assert statistics.paired_over_seeds([1, 2, 3], [0, 1, 2]).p == 0.0
    assert statistics.paired_over_seeds([1, 2, 3], [1, 2, 3]).p == 1.0


def test_one_seed_gives_no_interval():
    with pytest.raises(UserError, match="at least two seeds, got 1"):
        statistics.over_seeds([0.3])


def test_pairs_have_to_match():
    with pytest.raises(ValueError, match="same examples on both sides, got 2 and 3"):
        statistics.paired_difference([1, 2], [1, 2, 3])


def test_values_an_example_of_a_mean_are_the_examples():
    x = np.array([1.0, 4.0, 7.0])
    np.testing.assert_allclose(per_example(np.stack([x, np.ones(3)], 1), lambda s: s[:, 0] / s[:, 1]), x)


def test_values_an_example_of_a_ratio_have_its_value_and_its_spread():
    """The interval is that of resampling the examples and taking the ratio of sums anew."""
    rng = np.random.default_rng(3)
    counts = np.stack([rng.binomial(5, 0.3, 400), np.full(400, 5) + rng.integers(0, 6, 400)], 1).astype(float)
    found = estimate(per_example(counts, lambda s: s[:, 0] / s[:, 1]), 2000, 1)
    assert found.value == pytest.approx(counts[:, 0].sum() / counts[:, 1].sum())
    drawn = counts[rng.integers(0, 400, (2000, 400))].sum(1)
    low, high = np.quantile(drawn[:, 0] / drawn[:, 1], [0.025, 0.975])
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.002)


def test_one_example_has_the_score_itself():
    assert per_example(np.array([[3.0, 4.0]]), lambda s: s[:, 0] / s[:, 1]) == pytest.approx([0.75])


def test_holm_multiplies_the_smallest_p_by_their_number_and_keeps_the_order():
    # By hand: 0.005 * 4, 0.01 * 3, 0.03 * 2, 0.04 * 1, none below the one before it.
    assert statistics.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert statistics.holm([0.4, 0.6]) == pytest.approx([0.8, 0.8])
    assert statistics.holm([0.7, 0.9]) == [1.0, 1.0]
    assert statistics.holm([0.2]) == [0.2]
    assert statistics.holm([]) == []


def test_p_of_right_and_wrong_answers_is_mcnemar_s_exact_one():
    rng = np.random.default_rng(3)
    a, b = rng.integers(0, 2, (2, 60)).astype(float)
    better, worse = int((a > b).sum()), int((a < b).sum())
    assert better != worse
    expected = stats.binomtest(better, better + worse).pvalue
    assert statistics.paired_difference(a, b, 50).p == pytest.approx(expected, rel=1e-12)
    assert statistics.paired_difference(np.ones(400), np.zeros(400), 50).p == pytest.approx(2 * 0.5**400)
