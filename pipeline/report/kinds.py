"""Scores of the tasks by kind of example: questions of colour and of count, RefCOCO's testA and testB."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from pipeline.evaluation.statistics import estimate, paired_difference
from pipeline.report.comparison import Difference, Row
from pipeline.tables.metrics import Metric

TASKS = {"referring": "Referring expressions", "question": "Questions", "instruction": "Instructions"}
FEWEST = 5
"""Examples that a kind needs to be shown."""


def rows(predictions: Mapping[str, pa.Table], resamples: int, seed: int) -> list[Row]:
    """A row for each kind of the tasks that have several, the first arm the baseline."""
    scores: dict[tuple[str, str], dict[str, dict[str, float]]] = {}
    for arm, table in predictions.items():
        columns = (table[name].to_pylist() for name in ("task", "kind", "conversation_id", "score"))
        for task, kind, name, score in zip(*columns, strict=True):
            if task in TASKS and kind is not None:
                scores.setdefault((task, kind), {}).setdefault(arm, {})[name] = score
    found = []
    for task, title in TASKS.items():
        kinds = sorted(kind for one, kind in scores if one == task)
        for kind in kinds if len(kinds) > 1 else []:
            by_arm = scores[task, kind]
            if min(len(values) for values in by_arm.values()) < FEWEST:
                continue
            metric = Metric(
                f"{task}.{kind}", title, kind.replace("_", " "), "share", 1, f"score of the kind {kind}"
            )
            found.append(_row(metric, by_arm, next(iter(predictions)), resamples, seed))
    return found


def _row(
    metric: Metric, by_arm: Mapping[str, Mapping[str, float]], baseline: str, resamples: int, seed: int
) -> Row:
    arms = {arm: estimate(list(values.values()), resamples, seed) for arm, values in by_arm.items()}
    differences = {}
    for arm, values in by_arm.items():
        both = sorted(values.keys() & by_arm.get(baseline, {}).keys())
        if arm != baseline and both:
            first, second = ([of[name] for name in both] for of in (values, by_arm[baseline]))
            apart = paired_difference(first, second, resamples, seed)
            differences[arm] = Difference(apart.estimate, True, apart.p)
    return Row(metric, arms, differences, {}, None)
