"""Means with 95 % intervals and paired comparisons: over examples by resampling, over seeds by Student's t.

Everything takes one value an example (or a seed); ``seed`` fixes every random number that is drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from pipeline.errors import UserError
from pipeline.tables.metrics import Estimate

LEVEL = 0.95
_CELLS = 4_000_000  # drawn numbers held at once: 32 MB of indices


@dataclass(frozen=True)
class Difference:
    """A paired difference, first minus second, with its interval; ``p`` of no difference, two-sided."""

    estimate: Estimate
    p: float


def estimate(per_example: np.ndarray | Sequence[float], resamples: int = 1000, seed: int = 0) -> Estimate:
    """Mean of one value an example, with a 95 % interval by the bootstrap over examples.

    The interval is the bias-corrected and accelerated one (BCa; Efron 1987, "Better bootstrap confidence
    intervals"), which follows the skewness of shares near 0 or 1. Values that are all equal tell the
    bootstrap nothing: if they are all 0 or all 1 the interval is the exact binomial one (Clopper and Pearson
    1934), so that 0 of 50 does not look certain; else it is the value itself.

    Raises:
        ValueError: there is no example, or a value is not finite.
    """
    x = _checked(per_example, "estimate")
    n, mean = len(x), float(x.mean())
    if np.all(x == x[0]):
        slack = _room(n)
        low, high = {0.0: (0.0, slack), 1.0: (1 - slack, 1.0)}.get(mean, (mean, mean))
        return Estimate(mean, low, high, n)
    means = np.concatenate(list(_resampled_means(x, resamples, seed)))
    low, high = np.quantile(means, _bca_levels(x, means))
    return Estimate(mean, min(float(low), mean), max(float(high), mean), n)


def per_example(counts: np.ndarray, score: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """One value an example for a score that is made of the whole list's counts, such as BLEU or a ratio.

    The mean of the values is the score of the whole list, and their spread its jackknife variance: a value is
    the score, plus (n - 1) times how far leaving that example out moves it, centred (Efron and Tibshirani,
    "An Introduction to the Bootstrap", 1993, chapters 11 and 21). So `estimate` and `paired_difference` take
    them as they take any other.

    Args:
        counts: what is added up, N examples x K.
        score: sums (R, K) to scores (R,).
    """
    n, total = len(counts), counts.sum(axis=0)
    whole = score(total[None])
    if n < 2:
        return whole
    without = score(total - counts)
    return whole + (n - 1) * (without.mean() - without)


def paired_difference(
    a: np.ndarray | Sequence[float],
    b: np.ndarray | Sequence[float],
    resamples: int = 1000,
    seed: int = 0,
) -> Difference:
    """Mean of ``a - b`` over the same examples: BCa interval, and p by swapping the two within pairs.

    Under the null hypothesis each pair's difference might as well have the other sign: p is the share of sign
    patterns whose mean is at least as far from zero. Differences of one size, as of answers that are right or
    wrong, make that share binomial (McNemar's exact test). Else all 2^n patterns are tried when they are no
    more than ``resamples``; else that many are drawn, and p = (1 + hits) / (1 + resamples), which is never
    zero (Phipson and Smyth 2010).

    Differences that are all equal tell the bootstrap nothing. Of values that are 0 or 1 the interval then
    leaves room, on either side, for the share of unseen examples that may differ (as in `estimate`); else it
    is the difference itself.

    Raises:
        ValueError: the lengths differ, there is no example, or a value is not finite.
    """
    differences = _paired(a, b, "paired_difference")
    p = _sign_flip_p(differences, resamples, seed)
    if not np.all(differences == differences[0]):
        return Difference(estimate(differences, resamples, seed), p)
    value, n = float(differences[0]), len(differences)
    if not (np.isin(a, (0, 1)).all() and np.isin(b, (0, 1)).all()):
        return Difference(Estimate(value, value, value, n), p)
    room = _room(n)
    return Difference(Estimate(value, max(value - room, -1.0), min(value + room, 1.0), n), p)


def over_seeds(values: np.ndarray | Sequence[float]) -> Estimate:
    """Mean over seeds with Student's 95 % interval; ``n`` is the number of seeds.

    Raises:
        UserError: there are fewer than two seeds, which give no interval.
        ValueError: a value is not finite.
    """
    x = _checked(values, "over_seeds")
    if len(x) < 2:
        raise UserError(f"an interval over seeds needs at least two seeds, got {len(x)}: run more seeds")
    half = float(special.stdtrit(len(x) - 1, (1 + LEVEL) / 2) * _standard_error(x))
    mean = float(x.mean())
    return Estimate(mean, mean - half, mean + half, len(x))


def paired_over_seeds(a: np.ndarray | Sequence[float], b: np.ndarray | Sequence[float]) -> Difference:
    """Mean of ``a - b`` over the same seeds, with Student's interval and the paired t-test's p.

    Raises:
        UserError: there are fewer than two seeds.
        ValueError: the lengths differ, or a value is not finite.
    """
    differences = _paired(a, b, "paired_over_seeds")
    interval = over_seeds(differences)
    error = _standard_error(differences)
    if error == 0.0:  # the same difference in every seed: t is infinite, or 0 / 0 where there is none
        return Difference(interval, 1.0 if interval.value == 0.0 else 0.0)
    p = 2 * float(special.stdtr(len(differences) - 1, -abs(interval.value) / error))
    return Difference(interval, p)


def holm(p: Sequence[float]) -> list[float]:
    """Each p adjusted for all of them being looked at (Holm 1979), in the order given.

    The k-th smallest of m is multiplied by m - k + 1, and made no smaller than those before it. Calling
    those at most 0.05 real is wrong anywhere among the m in at most 5 % of experiments, however they depend
    on one another.
    """
    values = np.asarray(p, dtype=np.float64)
    order = np.argsort(values)
    scaled = values[order] * np.arange(len(values), 0, -1)
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return adjusted.tolist()


def _room(n: int) -> float:
    """The share that n examples without a single case leave possible (Clopper and Pearson 1934)."""
    return 1 - ((1 - LEVEL) / 2) ** (1 / n)


def _checked(values: np.ndarray | Sequence[float], what: str) -> np.ndarray:
    x = np.asarray(values, dtype=np.float64)
    if x.ndim != 1 or len(x) == 0:
        raise ValueError(f"{what} needs a non-empty row of values, got shape {x.shape}")
    bad = int((~np.isfinite(x)).sum())
    if bad:
        raise ValueError(f"{what}: {bad} of {len(x)} values are not finite; leave out unmeasured examples")
    return x


def _paired(a: np.ndarray | Sequence[float], b: np.ndarray | Sequence[float], what: str) -> np.ndarray:
    first, second = _checked(a, what), _checked(b, what)
    if len(first) != len(second):
        raise ValueError(f"{what} needs the same examples on both sides, got {len(first)} and {len(second)}")
    return first - second


def _standard_error(x: np.ndarray) -> float:
    return 0.0 if np.all(x == x[0]) else float(x.std(ddof=1) / np.sqrt(len(x)))


def _chunks(rows: int, columns: int) -> Iterator[int]:
    """Row counts that add up to ``rows``, each of at most `_CELLS` cells."""
    step = max(1, _CELLS // columns)
    for start in range(0, rows, step):
        yield min(step, rows - start)


def _resampled_means(x: np.ndarray, resamples: int, seed: int) -> Iterator[np.ndarray]:
    rng = np.random.default_rng(seed)
    for rows in _chunks(resamples, len(x)):
        yield x[rng.integers(0, len(x), (rows, len(x)))].mean(axis=1)


def _bca_levels(x: np.ndarray, means: np.ndarray) -> np.ndarray:
    """The two quantiles of the resampled means that bound the BCa interval."""
    mean = x.mean()
    below = (means < mean).mean() + 0.5 * (means == mean).mean()
    edge = 0.5 / len(means)  # keeps the bias finite if every resampled mean is on one side
    bias = special.ndtri(np.clip(below, edge, 1 - edge))
    # The jackknife's skewness has a closed form for a mean: leaving x_i out moves it by (mean - x_i) /
    # (n - 1).
    centred = x - mean
    acceleration = (centred**3).sum() / (6 * (centred**2).sum() ** 1.5)
    z = bias + special.ndtri([(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    # With a handful of very skewed values the correction can pass its pole; the last quantile is then meant.
    return np.clip(special.ndtr(bias + z / np.maximum(1 - acceleration * z, 1e-3)), 0.0, 1.0)


def _sign_flip_p(differences: np.ndarray, resamples: int, seed: int) -> float:
    n = len(differences)
    observed = abs(differences.sum())
    sizes = np.abs(differences[differences != 0])
    if np.all(sizes == sizes[:1]):
        fewer = min(int((differences > 0).sum()), int((differences < 0).sum()))
        return min(1.0, 2 * float(special.bdtr(fewer, len(sizes), 0.5)))
    tolerance = 1e-9 * np.abs(differences).sum()  # sums of the same numbers in another order count as equal
    if n < 60 and 2**n <= resamples:
        patterns = (np.arange(2**n)[:, None] >> np.arange(n)) & 1
        sums = (2 * patterns - 1) @ differences
        return float((np.abs(sums) >= observed - tolerance).mean())
    rng = np.random.default_rng([seed, 1])
    hits = 0
    for rows in _chunks(resamples, n):
        signs = rng.integers(0, 2, (rows, n), dtype=np.int8) * 2 - 1
        hits += int((np.abs(signs @ differences) >= observed - tolerance).sum())
    return (1 + hits) / (1 + resamples)
