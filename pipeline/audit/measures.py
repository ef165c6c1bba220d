"""Recall, precision and the rest of an audited source, over all phrases and by group, with intervals.

Every measure is a ratio of two sums over images, such as true boxes found / true boxes. What an image holds
hangs together (the phrases of its captions name the same objects), so the bootstrap draws images, not
phrases: percentile intervals of the ratio over resampled images (the cluster bootstrap; Davison and Hinkley,
*Bootstrap Methods and their Application*, 1997, section 3.8).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.tables.metrics import AUDIT_METRICS, Estimate, Estimates

NOUNS = 20
"""Most nouns that are told apart, the commonest first."""
SIZES = ("small", "medium", "large")
_TAIL = 0.025

Groups = dict[str, dict[str, Estimates]]
"""Estimates by kind of group and group: ``{"noun": {"ball": {key: estimate}}}``."""


@dataclass(frozen=True)
class Measures:
    """What is known of one source."""

    overall: Estimates
    groups: Groups


@dataclass(frozen=True)
class _Sums:
    """Of one measure and one group, an image's numerator and denominator."""

    over: np.ndarray
    under: np.ndarray


def measure(results: pa.Table, areas: dict[str, int], resamples: int, seed: int) -> Measures:
    """Measures of a source.

    Args:
        results: the table ``audit``.
        areas: square pixels of each image, by id.
        resamples: of the bootstrap; the same ``seed`` draws the same images for every source.
        seed: of the bootstrap.

    Returns:
        A measure without a single case (precision of a source that found nothing) is absent. By size: true
        boxes in three equal parts by the share of the image that they cover; only recall and mean overlap
        belong to a true box and can be told by its size.
    """
    if not results.num_rows:
        return Measures({}, {})
    image_ids = sorted(set(results["image_id"].to_pylist()))
    number = {image_id: place for place, image_id in enumerate(image_ids)}
    image_P = np.array([number[image_id] for image_id in results["image_id"].to_pylist()])
    weights = np.random.default_rng(seed).multinomial(
        len(image_ids), np.full(len(image_ids), 1 / len(image_ids)), size=resamples
    )

    def estimates(phrases: np.ndarray, boxes: np.ndarray | None = None) -> Estimates:
        sums = _sums(results, image_P, len(image_ids), phrases, boxes)
        found = {key: _estimate(one, weights) for key, one in sums.items() if one.under.any()}
        return {metric.key: found[metric.key] for metric in AUDIT_METRICS if metric.key in found}

    every = np.ones(results.num_rows, bool)
    nouns, truths = (np.array(results[name].to_pylist(), dtype=object) for name in ("noun", "truth"))
    common = sorted(Counter(nouns).items(), key=lambda item: (-item[1], item[0]))[:NOUNS]
    of_T = pc.list_parent_indices(results["true_boxes"]).to_numpy()
    share_T = _areas(results) / np.array([areas[image_ids[i]] for i in image_P])[of_T]
    bounds = np.quantile(share_T, [1 / 3, 2 / 3])
    size_T = np.searchsorted(bounds, share_T, side="left")
    titles = (f"below {bounds[0]:.1%}", f"{bounds[0]:.1%} to {bounds[1]:.1%}", f"above {bounds[1]:.1%}")
    return Measures(
        overall=estimates(every),
        groups={
            "noun": {noun: estimates(nouns == noun) for noun, _ in common},
            "size": {
                f"{name}, {title} of the image": estimates(every, size_T == place)
                for place, (name, title) in enumerate(zip(SIZES, titles, strict=True))
                if (size_T == place).any()
            },
            "truth": {name: estimates(truths == name) for name in sorted(set(truths))},
        },
    )


def _sums(
    results: pa.Table, image_P: np.ndarray, images: int, phrases: np.ndarray, boxes: np.ndarray | None
) -> dict[str, _Sums]:
    """The measures of some phrases, or of some true boxes if ``boxes`` says which, image by image."""

    def summed(name: str, chosen: np.ndarray | None) -> _Sums:
        """Sum and count of a list column's elements, or of a column of single values."""
        column = results[name]
        if pa.types.is_list(column.type):
            of, values = pc.list_parent_indices(column).to_numpy(), pc.list_flatten(column).to_numpy()
        else:
            of, values = np.arange(len(column)), column.to_numpy()
        kept = phrases[of] if chosen is None else chosen
        image = image_P[of][kept]
        return _Sums(
            np.bincount(image, values[kept].astype(np.float64), minlength=images),
            np.bincount(image, minlength=images).astype(np.float64),
        )

    of_box = {
        "audit.recall": summed("found", boxes),
        "audit.miou": summed("true_ious", boxes),
    }
    if boxes is not None:
        return of_box
    answered = pc.list_value_length(results["boxes"]).to_numpy() > 0
    image = image_P[phrases]
    grounded = np.bincount(image, answered[phrases].astype(np.float64), minlength=images)
    return {
        **of_box,
        "audit.precision": summed("right", None),
        "audit.phrase_recall": summed("hit", None),
        "audit.pointing": summed("pointed", None),
        "audit.grounded": _Sums(grounded, np.bincount(image, minlength=images).astype(np.float64)),
    }


def _estimate(sums: _Sums, weights: np.ndarray) -> Estimate:
    """The ratio with its 95 % interval; ``weights`` (resamples, images): how often each image was drawn.

    Where every case of every image has the same outcome, 0 or 1, resampling tells nothing: the interval is
    then the exact binomial one (Clopper and Pearson 1934) with as many trials as images.
    """
    n = int(sums.under.sum())
    value = float(sums.over.sum() / sums.under.sum())
    images = int((sums.under > 0).sum())
    if value in (0.0, 1.0):
        slack = 1 - _TAIL ** (1 / images)
        low, high = (0.0, slack) if value == 0.0 else (1 - slack, 1.0)
        return Estimate(value, low, high, n)
    over, under = weights @ sums.over, weights @ sums.under
    ratios = over[under > 0] / under[under > 0]  # a rare group may be in no image that was drawn
    low, high = np.quantile(ratios, [_TAIL, 1 - _TAIL]) if len(ratios) else (value, value)
    return Estimate(value, min(float(low), value), max(float(high), value), n)


def _areas(results: pa.Table) -> np.ndarray:
    """Square pixels of every true box."""
    boxes = pc.list_flatten(pc.list_flatten(results["true_boxes"])).to_numpy().reshape(-1, 4)
    return (boxes[:, 2] - boxes[:, 0]).astype(np.float64) * (boxes[:, 3] - boxes[:, 1])
