"""Outside benchmarks in the report: what lmms-eval said of each arm's checkpoint, as rows like all others.

``data/benchmarks/<arm>/results.json`` is ``{task: {metric: {value, stderr, low, high, n,
higher_is_better}}}``; beside it lie each task's samples, one JSON object a line, which pair the arms.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from math import nan
from pathlib import Path
from typing import Any

from pipeline.errors import UserError
from pipeline.evaluation.statistics import paired_difference
from pipeline.report.comparison import Difference, Row, independent_difference
from pipeline.tables.metrics import Estimate, Metric

Results = dict[str, dict[str, dict[str, Any]]]


def read(data: Path, arms: Sequence[str]) -> dict[str, Results]:
    """The results by arm, without arms that have none.

    Raises:
        UserError: a file is cut short.
    """
    found = {}
    for arm in arms:
        path = data / "benchmarks" / arm / "results.json"
        if path.exists():
            try:
                found[arm] = json.loads(path.read_text(encoding="utf-8"))
            except json.JSONDecodeError as error:
                raise UserError(
                    f"{path} is not whole JSON ({error}): run `dvc repro benchmarks` to make it again."
                ) from error
    return {arm: results for arm, results in found.items() if results}


def rows(data: Path, found: dict[str, Results], resamples: int, seed: int) -> list[Row]:
    """A row for each task's metrics, the first arm the baseline."""
    baseline, *others = found or [""]
    listed = [(task, name) for results in found.values() for task in results for name in results[task]]
    made = []
    for task, name in dict.fromkeys(listed):
        values = {arm: results[task][name] for arm, results in found.items() if name in results.get(task, {})}
        arms = {arm: _estimate(value) for arm, value in values.items()}
        differences: dict[str, Difference] = {}
        if baseline in arms:
            for arm in others:
                if arm in arms:
                    first, second = (_samples(data, one, task, name) for one in (arm, baseline))
                    difference = _difference(arms[arm], arms[baseline], first, second, resamples, seed)
                    differences |= {arm: difference} if difference else {}
        metric = _metric(task, name, next(iter(values.values())).get("higher_is_better"))
        made.append(Row(metric, arms, differences, {}, None))
    return made


def _metric(task: str, name: str, higher_is_better: bool | None) -> Metric:
    direction = 0 if higher_is_better is None else 1 if higher_is_better else -1
    return Metric(f"{task}.{name}", task, name, "number", direction, f"{name} of lmms-eval's task {task}")


def _estimate(value: dict[str, Any]) -> Estimate:
    """Without an interval where lmms-eval gives no standard error: its edges are no numbers."""
    low, high = (nan if value[edge] is None else value[edge] for edge in ("low", "high"))
    return Estimate(value["value"], low, high, value["n"] or 0)


def _samples(data: Path, arm: str, task: str, name: str) -> dict[Any, float]:
    """What the metric says of each sample, by its number, where it says a number of each."""
    part, dot, metric = name.rpartition(".")
    path = data / "benchmarks" / arm / f"{part if dot else task}.jsonl"
    if not path.exists():
        return {}
    samples = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    values = {row["doc_id"]: row.get(metric.partition(" (")[0]) for row in samples}
    return values if all(isinstance(value, (int, float)) for value in values.values()) else {}


def _difference(
    mine: Estimate,
    baseline: Estimate,
    my_samples: dict[Any, float],
    its_samples: dict[Any, float],
    resamples: int,
    seed: int,
) -> Difference | None:
    if my_samples and my_samples.keys() == its_samples.keys():
        first, second = ([of[key] for key in sorted(my_samples)] for of in (my_samples, its_samples))
        found = paired_difference(first, second, resamples, seed)
        # A metric that is no mean of its samples (a ratio, a score of a judge) is not what they pair.
        if abs(found.estimate.value - (mine.value - baseline.value)) < 1e-6:
            return Difference(found.estimate, True, found.p)
    apart = independent_difference(mine, baseline)
    return Difference(apart, paired=False) if apart.has_interval else None
