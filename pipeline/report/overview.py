"""Many arms at a glance: which one is best at what, and which cannot be told from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from pipeline.evaluation.statistics import estimate, over_seeds
from pipeline.report import comparison
from pipeline.report.comparison import Row
from pipeline.report.inputs import Inputs
from pipeline.tables.metrics import Estimate

HEADLINE = (
    "alignment.top1", "alignment.pointing", "compression.after", "decomposition.recall", "position.r2",
    "captioning.objects", "captioning.cider", "referring.accuracy", "question.accuracy",
    "instruction.accuracy",
)  # fmt: skip
"""Metrics in the columns; CIDEr only where captions have no objects to be held against."""

Values = Mapping[str, Mapping[str, Mapping[str, float]]]
"""By arm and metric key, a value an example (or a seed)."""


@dataclass(frozen=True)
class Overview:
    """Arms as rows, some metrics as columns."""

    columns: list[Row]
    counts: dict[str, dict[str, int]]
    """By other arm, how many metrics of all are ``better``, ``level`` and ``worse``."""


def overview(rows: Sequence[Row]) -> Overview | None:
    """What the table at the top shows; nothing for fewer than two differences a metric."""
    others = dict.fromkeys(arm for row in rows for arm in row.differences)
    if len(others) < 2:
        return None
    by_key = {row.metric.key: row for row in rows if len(row.arms) > 1}
    left_out = {"captioning.cider"} if "captioning.objects" in by_key else set()
    return Overview(
        columns=[by_key[key] for key in HEADLINE if key in by_key and key not in left_out],
        counts={
            arm: {
                verdict: sum(row.verdict(arm) == verdict for row in rows)
                for verdict in ("better", "level", "worse")
            }
            for arm in others
        },
    )


def of_examples(inputs: Inputs) -> Values:
    """Every arm's values by metric and example, after fine-tuning."""
    scores = comparison.scores(inputs.predictions)
    tables = {arm: [scores[arm], *([inputs.measures[arm]] if inputs.measures else [])] for arm in inputs.arms}
    return {arm: _by_metric(found) for arm, found in tables.items()}


def beside_best(rows: Sequence[Row], values: Values, resamples: int, seed: int) -> list[Row]:
    """The rows, each with the arms whose paired difference from its best arm includes zero."""
    return _beside_best(rows, values, lambda apart: estimate(apart, resamples, seed))


def beside_best_over_seeds(rows: Sequence[Row], values: Values) -> list[Row]:
    """The same of a study, where differences are paired by seed."""
    return _beside_best(rows, values, over_seeds)


def _beside_best(rows: Sequence[Row], values: Values, over: Callable[[np.ndarray], Estimate]) -> list[Row]:
    return [replace(row, level=frozenset(_level(row, values, over))) for row in rows]


def _level(row: Row, values: Values, over: Callable[[np.ndarray], Estimate]) -> list[str]:
    best, key = row.best, row.metric.key
    if best is None:
        return []
    its = values.get(best, {}).get(key, {})
    found = []
    for arm in row.arms:
        mine = values.get(arm, {}).get(key, {})
        both = sorted(mine.keys() & its.keys())
        if arm != best and len(both) > 1:
            apart = over(np.array([mine[name] - its[name] for name in both]))
            if apart.low <= 0 <= apart.high:
                found.append(arm)
    return found


def _by_metric(tables: Sequence[pa.Table]) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for table in tables:
        columns = (table[name].to_pylist() for name in ("metric", "example", "value"))
        for key, example, value in zip(*columns, strict=True):
            found.setdefault(key, {})[example] = value
    return found
