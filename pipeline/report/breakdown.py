"""Measures of regions by what they show and how large they are, joined with ``patch_words`` for the page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.evaluation.statistics import estimate
from pipeline.tables.metrics import BY_KEY, Estimate, Metric

KEYS = (
    "alignment.cosine", "alignment.top1", "alignment.attribute_top1", "alignment.pointing", "alignment.miou",
    "decomposition.recall",
)  # fmt: skip
MOST = 10
"""Nouns and attributes shown, the most frequent."""
FEWEST = 5
"""Regions that a group needs."""


@dataclass(frozen=True)
class Group:
    """Regions that share a size, a noun or an attribute."""

    name: str
    n: int
    values: dict[str, dict[str, Estimate]]
    """By metric key and arm."""


@dataclass(frozen=True)
class Breakdown:
    """Groups by kind (``Size``, ``Noun``, ``Attribute``) at one stage of training."""

    metrics: list[Metric]
    kinds: list[tuple[str, list[Group]]]
    edges: tuple[float, float]
    """Areas in patches that part small, medium and large: the terciles."""


def members(rows: Sequence[Mapping[str, Any]]) -> tuple[dict[str, dict[str, set[str]]], tuple[float, float]]:
    """Phrases by kind and group, and the areas between sizes; ``rows`` are those of ``patch_words``.

    Sizes are terciles of the area that a phrase covers: the sum of its patches' coverage.
    """
    area = np.array([sum(row["coverage"]) for row in rows])
    low, high = (float(edge) for edge in np.quantile(area, [1 / 3, 2 / 3])) if len(area) else (0.0, 0.0)
    kinds: dict[str, dict[str, set[str]]] = {
        "Size": {"small": set(), "medium": set(), "large": set()}, "Noun": {}, "Attribute": {}
    }  # fmt: skip
    for row, size in zip(rows, area, strict=True):
        kinds["Size"]["small" if size <= low else "medium" if size <= high else "large"].add(row["phrase_id"])
        for word in row["words"]:
            kind = {"head": "Noun", "attribute": "Attribute"}.get(word["role"])
            if kind:
                kinds[kind].setdefault(word["lemma"], set()).add(row["phrase_id"])
    for kind in ("Noun", "Attribute"):
        counts = Counter({name: len(phrases) for name, phrases in kinds[kind].items()})
        kept = sorted(name for name, count in counts.most_common(MOST) if count >= FEWEST)
        kinds[kind] = {name: kinds[kind][name] for name in kept}
    return kinds, (low, high)


def breakdown(
    measures: Mapping[str, pa.Table], rows: Sequence[Mapping[str, Any]], resamples: int, seed: int
) -> Breakdown:
    """Groups with the arms' estimates. ``measures``: by arm; ``rows``: the regions' ``patch_words``."""
    known, edges = members(rows)
    values = {arm: _by_metric(table) for arm, table in measures.items()}
    shown = [key for key in KEYS if any(key in of_arm for of_arm in values.values())]
    kinds = []
    for kind, groups in known.items():
        found = [_group(name, phrases, values, shown, resamples, seed) for name, phrases in groups.items()]
        kinds.append((kind, [group for group in found if group.n]))
    return Breakdown([BY_KEY[key] for key in shown], [pair for pair in kinds if pair[1]], edges)


def _by_metric(table: pa.Table) -> dict[str, dict[str, float]]:
    found = {}
    for key in KEYS:
        mine = table.filter(pc.equal(table["metric"], key))
        if mine.num_rows:
            found[key] = dict(zip(mine["example"].to_pylist(), mine["value"].to_pylist(), strict=True))
    return found


def _group(
    name: str,
    phrases: set[str],
    values: Mapping[str, Mapping[str, Mapping[str, float]]],
    keys: Sequence[str],
    resamples: int,
    seed: int,
) -> Group:
    ordered = sorted(phrases)
    found: dict[str, dict[str, Estimate]] = {key: {} for key in keys}
    for arm, by_metric in values.items():
        for key, of_phrase in by_metric.items():
            mine = [of_phrase[phrase] for phrase in ordered if phrase in of_phrase]
            if mine:
                found[key][arm] = estimate(mine, resamples, seed)
    return Group(name, max((e.n for arms in found.values() for e in arms.values()), default=0), found)
