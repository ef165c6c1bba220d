"""The arms against each other and against floors and ceiling: one row a metric."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import hypot

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.evaluation.statistics import paired_difference
from pipeline.report.inputs import Inputs, References, estimate
from pipeline.report.style import ARMS, CEILING, FEATURES, UNTRAINED
from pipeline.tables.metrics import METRICS, Estimate, Estimates, Metric

SCORED_BY = {
    "caption": "captioning.objects",
    "referring": "referring.accuracy",
    "question": "question.accuracy",
    "instruction": "instruction.accuracy",
}
"""The metric that is the mean of a task's scores in ``predictions``."""


@dataclass(frozen=True)
class Row:
    """A metric of both arms, with what stands beside it."""

    metric: Metric
    arms: dict[str, Estimate]
    difference: Estimate | None
    """``patch_aligned`` minus ``caption``."""
    paired: bool
    """The difference's interval comes from the same examples (or seeds) in both arms; otherwise the arms'
    intervals were combined as if independent, which is wider than need be."""
    floors: dict[str, Estimate]
    ceiling: Estimate | None

    @property
    def verdict(self) -> str:
        """``better``, ``worse`` or ``level`` (the interval includes zero); empty if neither way is good."""
        if self.difference is None or self.metric.direction == 0:
            return ""
        if self.difference.low <= 0 <= self.difference.high:
            return "level"
        return "better" if (self.difference.value > 0) == (self.metric.direction > 0) else "worse"

    def against_floors(self, arm: str) -> tuple[str, str] | None:
        """The highest of the arm's floors that it is not above: (``below`` or ``at``, the floor's name).

        ``below``: the arm's interval ends under the floor; ``at``: it includes the floor or reaches it. A
        floor of the other arm's own (``no image: <arm>``) does not count.
        """
        mine = self.arms.get(arm)
        own = {name: floor for name, floor in self.floors.items() if name_of_arm(name) in (None, arm)}
        if mine is None or not own or self.metric.direction <= 0:
            return None
        name, floor = max(own.items(), key=lambda item: item[1].value)
        if mine.high < floor.value:
            return "below", name
        return ("at", name) if mine.low <= floor.value else None


def name_of_arm(reference: str) -> str | None:
    """The arm that a reference belongs to (``no image: caption``), if it belongs to one."""
    arm = reference.partition(": ")[2]
    return arm if arm in ARMS else None


def rows(arms: Mapping[str, Estimates], references: References, paired: Estimates) -> list[Row]:
    """Rows of all metrics that an arm or a reference has, in the order of `METRICS`."""
    found = []
    for metric in METRICS:
        mine = {arm: arms[arm][metric.key] for arm in ARMS if metric.key in arms.get(arm, {})}
        beside = {name: values[metric.key] for name, values in references.items() if metric.key in values}
        if not mine:
            continue
        difference = paired.get(metric.key)
        if difference is None and len(mine) == len(ARMS):
            difference = independent_difference(mine["patch_aligned"], mine["caption"])
        ceiling = beside.pop(FEATURES if metric.probe else CEILING, None)
        if metric.probe:
            beside.pop(UNTRAINED, None)
        found.append(Row(metric, mine, difference, metric.key in paired, beside, ceiling))
    return found


def independent_difference(a: Estimate, b: Estimate) -> Estimate:
    """``a - b`` with the interval of independent estimates: half-widths added in quadrature, side by side."""
    value = a.value - b.value
    below = hypot(a.value - a.low, b.high - b.value)
    above = hypot(a.high - a.value, b.value - b.low)
    return Estimate(value, value - below, value + above, min(a.n, b.n))


def paired_differences(measures: Mapping[str, pa.Table], resamples: int, seed: int) -> Estimates:
    """``patch_aligned - caption`` of each metric, over the examples that were measured in both arms.

    ``measures``: of each arm the table of that name; without both there is nothing to pair.
    """
    if not all(arm in measures for arm in ARMS):
        return {}
    aligned, caption = (measures[arm] for arm in reversed(ARMS))
    both = aligned.join(
        caption, ["metric", "example"], join_type="inner", right_suffix="_caption"
    ).sort_by([("metric", "ascending"), ("example", "ascending")])  # fmt: skip
    found = {}
    for key in both["metric"].unique().to_pylist():
        pairs = both.filter(pc.equal(both["metric"], key))
        first, second = (pairs[name].to_numpy() for name in ("value", "value_caption"))
        found[key] = paired_difference(first, second, resamples, seed).estimate
    return found


def scores(predictions: Mapping[str, pa.Table]) -> dict[str, pa.Table]:
    """Each arm's answers as ``measures``: every task's score under the name of its metric."""
    found = {}
    for arm, table in predictions.items():
        keys = [SCORED_BY.get(task) for task in table["task"].to_pylist()]
        columns = [pa.array(keys, pa.string()), table["conversation_id"], table["score"].cast(pa.float64())]
        found[arm] = pa.table(columns, ["metric", "example", "value"]).drop_null()
    return found


def final_rows(inputs: Inputs, resamples: int, seed: int) -> list[Row]:
    """Rows after fine-tuning, with paired differences."""
    answered = paired_differences(scores(inputs.predictions), resamples, seed)
    measured = paired_differences(inputs.measures, resamples, seed)
    return rows(inputs.arms, inputs.references, answered | measured)


def pretrained_rows(inputs: Inputs, untrained: References, resamples: int, seed: int) -> list[Row]:
    """Rows before fine-tuning, with paired differences."""
    paired = paired_differences(inputs.measures_pretrained, resamples, seed)
    return rows(inputs.pretrained, untrained, paired)


def study_rows(study: Mapping) -> list[Row]:
    """Rows of ``study.json`` (means over seeds, differences paired by seed) or of ``metrics.json``."""
    return rows(_all(study["arms"]), _all(study["references"]), _estimates(study["differences"]))


def study_pretrained_rows(study: Mapping) -> list[Row]:
    """Rows of the study before fine-tuning."""
    return rows(_all(study["pretrained"]), {}, _estimates(study["pretrained_differences"]))


def _all(values: Mapping) -> dict[str, Estimates]:
    return {name: _estimates(found) for name, found in values.items()}


def _estimates(values: Mapping) -> Estimates:
    return {key: estimate(value) for key, value in values.items()}
