"""What the numbers say, in sentences: which way the question falls, by how much, and how far to trust it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.report.comparison import Row
from pipeline.report.style import ARM_TITLES, ARMS, interval, number, unit

PRIMARY = "referring.accuracy"
"""The paper's largest gain is on referring expressions, so the headline rests on them."""


@dataclass(frozen=True)
class Answer:
    """The report's opening."""

    headline: str
    detail: str
    caveats: list[str]


def answer(rows: Sequence[Row], seeds: int | None = None) -> Answer:
    """The answer in a sentence with its interval, and what limits it.

    ``rows`` are those of the study where ``seeds`` says how many it ran, else those of the one run. Neither
    arm is called better while the difference's interval includes zero, nor while the captions-only arm has
    not risen above its floor: such an experiment cannot tell.
    """
    by_key = {row.metric.key: row for row in rows}
    primary = by_key.get(PRIMARY)
    if primary is None or primary.difference is None:
        return Answer(
            "Referring expressions were not measured in both arms.",
            "The headline rests on them; the tables below say what was measured.",
            _caveats(rows, seeds),
        )
    return Answer(_headline(primary), _detail(primary), _caveats(rows, seeds))


def sorted_out(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Rows by verdict: ``better``, ``worse``, ``level``; metrics that are neither good nor bad left out."""
    return {
        verdict: [row for row in rows if row.verdict == verdict] for verdict in ("better", "worse", "level")
    }


def change(row: Row) -> str:
    """A row's difference with its interval, such as ``+2.1 points (0.4 to 3.8)``."""
    if row.difference is None:
        return ""
    metric = row.metric
    value = number(row.difference.value, metric, signed=True) + unit(metric, signed=True)
    return f"{value} ({interval(row.difference, metric, signed=True)})"


def _headline(row: Row) -> str:
    floor = row.against_floors("caption")
    aligned_floor = row.against_floors("patch_aligned")
    if floor and (aligned_floor or row.verdict != "better"):
        return "Not settled: referring expressions were not learned well enough to compare the arms."
    return {
        "better": "Yes, here: aligned patches help the model find what people refer to.",
        "worse": "No, not here: with aligned patches the model finds less of what people refer to.",
        "level": "No difference shown in finding what people refer to.",
    }[row.verdict]


def _detail(row: Row) -> str:
    metric, difference = row.metric, row.difference
    assert difference is not None
    values = {arm: number(row.arms[arm].value, metric) + unit(metric) for arm in ARMS}
    zero = ", which includes zero" if row.verdict == "level" else ""
    return (
        f"Patch-aligned training gives {values['patch_aligned']} of referring expressions the right box"
        f" (IoU 0.5 or more), captions alone {values['caption']}: a difference of"
        f" {number(difference.value, metric, signed=True)}{unit(metric, signed=True)}, 95\u202f% interval"
        f" {interval(difference, metric, signed=True)}{zero}."
    )


def _caveats(rows: Sequence[Row], seeds: int | None) -> list[str]:
    found = []
    for row in rows:
        for arm in ARMS:
            floor = row.against_floors(arm)
            if floor:
                found.append(_under_floor(row, arm, *floor))
    if seeds is None:
        found.append(
            "One training run an arm: intervals cover the choice of test examples, not the luck of training."
            " Runs that differ in their seed alone can differ by more. “make study” runs several seeds."
        )
    else:
        found.append(f"Intervals are over {seeds} seeds: each arm was trained {seeds} times.")
    judged = sum(1 for row in rows if row.verdict)
    if judged > 1:
        found.append(
            f"{judged} differences are looked at, each with a 95\u202f% interval: of twenty, one excludes"
            " zero by chance."
        )
    return found


def _under_floor(row: Row, arm: str, how: str, floor: str) -> str:
    where = "below its floor" if how == "below" else "not above its floor"
    metric = row.metric
    mine, other = (number(one.value, metric) + unit(metric) for one in (row.arms[arm], row.floors[floor]))
    return (
        f"{metric.group}: \u201c{metric.title}\u201d of {ARM_TITLES[arm].lower()} is {where}"
        f" ({mine}; {floor.partition(':')[0]}: {other})."
    )
