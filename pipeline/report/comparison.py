"""The arms against the first of them and against floors and ceiling: one row a metric."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import hypot

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.evaluation.statistics import holm, paired_difference
from pipeline.report.inputs import Inputs, References, estimate, estimates
from pipeline.report.style import CEILING, FEATURES, UNTRAINED
from pipeline.tables.metrics import METRICS, Estimate, Estimates, Metric

SCORED_BY = {
    "caption": "captioning.objects",
    "referring": "referring.accuracy",
    "question": "question.accuracy",
    "instruction": "instruction.accuracy",
}
"""The metric that is the mean of a task's scores in ``predictions``."""


@dataclass(frozen=True)
class Difference:
    """An arm minus the baseline."""

    estimate: Estimate
    paired: bool
    """Its interval comes from the same examples (or seeds) in both arms; otherwise the arms' intervals were
    combined as if independent, which is wider than need be."""
    p: float | None = None
    """Two-sided, of no difference: by swapping the two arms within examples, over seeds Student's paired t.
    Only of paired differences."""


@dataclass(frozen=True)
class Row:
    """A metric of the arms, with what stands beside it."""

    metric: Metric
    arms: dict[str, Estimate]
    """In the order of the arms, without those that have no such metric."""
    differences: dict[str, Difference]
    """Each other arm minus the baseline, where both have the metric."""
    floors: dict[str, Estimate]
    ceiling: Estimate | None
    unmeasured: str = ""
    """Why no arm has it, in words; only where none has."""
    level: frozenset[str] = frozenset()
    """Arms whose paired difference from the best one includes zero, where that is known."""

    @property
    def best(self) -> str | None:
        """The arm of the best value, of three or more; none where neither way is good.

        An arm without an interval (of one seed) is not called best while others have one.
        """
        if len(self.arms) < 3 or self.metric.direction == 0:
            return None
        known = [arm for arm, mine in self.arms.items() if mine.has_interval] or list(self.arms)
        return max(known, key=lambda arm: self.metric.direction * self.arms[arm].value)

    @property
    def same(self) -> bool:
        """Whether three or more arms have one and the same value: there is nothing to compare."""
        return len(self.arms) > 2 and len({one.value for one in self.arms.values()}) == 1

    def verdict(self, arm: str) -> str:
        """Of an arm against the baseline: ``better``, ``worse`` or ``level`` (the interval includes zero).

        Empty if there is no difference, none with an interval, or neither way is good.
        """
        if arm not in self.differences or self.metric.direction == 0:
            return ""
        found = self.differences[arm].estimate
        if not found.has_interval:
            return ""
        if found.low <= 0 <= found.high:
            return "level"
        return "better" if (found.value > 0) == (self.metric.direction > 0) else "worse"

    def adjusted(self) -> dict[str, float]:
        """By arm, its difference's p adjusted by Holm for all the arms that this metric compares.

        Empty where no more than one is compared: there is nothing to adjust for.
        """
        known = {arm: found.p for arm, found in self.differences.items() if found.p is not None}
        return dict(zip(known, holm(list(known.values())), strict=True)) if len(known) > 1 else {}

    def against_floors(self, arm: str) -> tuple[str, str] | None:
        """The highest of the arm's floors that it is not above: (``below`` or ``at``, the floor's name).

        ``below``: the arm's interval ends under the floor; ``at``: it includes the floor or reaches it. A
        floor of another arm's own (``no image: <arm>``) does not count.
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
    return reference.partition(": ")[2] or None


def rows(
    arms: Mapping[str, Estimates],
    references: References,
    paired: Mapping[str, Mapping[str, Difference]],
    unmeasured: Mapping[str, str] | None = None,
) -> list[Row]:
    """Rows of all metrics that an arm has, or that have a reason for being in none, as `METRICS` orders them.

    Args:
        arms: estimates by arm, the baseline first.
        references: floors and ceiling.
        paired: by arm, what is known of its paired difference from the baseline.
        unmeasured: by metric, why it was not measured.
    """
    found = []
    baseline, *others = arms or [""]
    for metric in METRICS:
        mine = {arm: values[metric.key] for arm, values in arms.items() if metric.key in values}
        beside = {name: values[metric.key] for name, values in references.items() if metric.key in values}
        if not mine:
            if unmeasured and metric.key in unmeasured:
                found.append(Row(metric, {}, {}, {}, None, unmeasured[metric.key]))
            continue
        differences = {}
        for arm in others:
            known = paired.get(arm, {}).get(metric.key)
            if known is not None:
                differences[arm] = known
            elif arm in mine and baseline in mine:
                apart = independent_difference(mine[arm], mine[baseline])
                differences[arm] = Difference(apart, paired=False)
        ceiling = beside.pop(FEATURES if metric.probe else CEILING, None)
        if metric.probe:
            beside.pop(UNTRAINED, None)
        found.append(Row(metric, mine, differences, beside, ceiling))
    return found


def independent_difference(a: Estimate, b: Estimate) -> Estimate:
    """``a - b`` with the interval of independent estimates: half-widths added in quadrature, side by side."""
    value = a.value - b.value
    below = hypot(a.value - a.low, b.high - b.value)
    above = hypot(a.high - a.value, b.value - b.low)
    return Estimate(value, value - below, value + above, min(a.n, b.n))


def paired_differences(
    measures: Mapping[str, pa.Table], resamples: int, seed: int
) -> dict[str, dict[str, Difference]]:
    """By other arm, its difference from the first in each metric, over the examples measured in both.

    ``measures``: of each arm the table of that name, the baseline first.
    """
    baseline, *others = measures or [""]
    return {arm: _paired_difference(measures[arm], measures[baseline], resamples, seed) for arm in others}


def _paired_difference(
    mine: pa.Table, baseline: pa.Table, resamples: int, seed: int
) -> dict[str, Difference]:
    both = mine.join(
        baseline, ["metric", "example"], join_type="inner", right_suffix="_baseline"
    ).sort_by([("metric", "ascending"), ("example", "ascending")])  # fmt: skip
    found = {}
    for key in both["metric"].unique().to_pylist():
        pairs = both.filter(pc.equal(both["metric"], key))
        first, second = (pairs[name].to_numpy() for name in ("value", "value_baseline"))
        apart = paired_difference(first, second, resamples, seed)
        found[key] = Difference(apart.estimate, paired=True, p=apart.p)
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
    arms = {*answered, *measured}
    paired = {arm: answered.get(arm, {}) | measured.get(arm, {}) for arm in arms}
    return rows(inputs.arms, inputs.references, paired, inputs.unmeasured)


def pretrained_rows(inputs: Inputs, untrained: References, resamples: int, seed: int) -> list[Row]:
    """Rows before fine-tuning, with paired differences."""
    paired = paired_differences(inputs.measures_pretrained, resamples, seed)
    return rows(inputs.pretrained, untrained, paired)


def study_rows(study: Mapping) -> list[Row]:
    """Rows of ``study.json`` (means over seeds, differences paired by seed) or of ``metrics.json``."""
    return rows(
        _all(study["arms"]), _all(study["references"]), _apart(study["differences"]), study.get("unmeasured")
    )


def study_pretrained_rows(study: Mapping) -> list[Row]:
    """Rows of the study before fine-tuning."""
    return rows(_all(study["pretrained"]), {}, _apart(study["pretrained_differences"]))


def _apart(values: Mapping) -> dict[str, dict[str, Difference]]:
    """Differences as they were written; those written without ``p`` have none."""
    return {
        arm: {key: Difference(estimate(one), True, one.get("p")) for key, one in found.items()}
        for arm, found in values.items()
    }


def _all(values: Mapping) -> dict[str, Estimates]:
    return {name: estimates(found) for name, found in values.items()}
