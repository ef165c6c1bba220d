"""What the numbers say, in sentences: which way the question falls, by how much, and how far to trust it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from pipeline.report import arms
from pipeline.report.comparison import Row
from pipeline.report.style import interval, number, p_value, unit

PRIMARY = "referring.accuracy"
"""The paper's largest gain is on referring expressions, so the headline rests on them."""


PEOPLE = "dataset"  # the annotation source that copies what people drew


@dataclass(frozen=True)
class Answer:
    """The report's opening."""

    headline: str
    detail: str
    caveats: list[str]


def answer(
    rows: Sequence[Row],
    seeds: int | None = None,
    done: Mapping[str, int] | None = None,
    judges: Collection[str] = (),
) -> Answer:
    """The answer in a sentence with its interval, and what limits it.

    ``rows`` are those of the study where ``seeds`` says how many it is of, else those of the one run;
    ``done`` are the seeds that each arm has, where the study was stopped before it had them all; ``judges``
    the annotation sources of the regions that alignment is measured on. No arm is called better while its
    difference's interval includes zero, nor while the baseline has not risen above its floor: such an
    experiment cannot tell.
    """
    by_key = {row.metric.key: row for row in rows}
    caveats = [*_judged_by(judges), *_caveats(rows, seeds, done or {})]
    primary = by_key.get(PRIMARY)
    if primary is None or not primary.differences:
        return Answer(
            "Referring expressions were not measured in two arms.",
            "The headline rests on them; the tables below say what was measured.",
            caveats,
        )
    return Answer(_headline(primary), _detail(primary), caveats)


def sorted_out(rows: Sequence[Row]) -> dict[str, dict[str, list[Row]]]:
    """By other arm, rows by verdict: ``better``, ``worse``, ``level``; without what is neither."""
    others = dict.fromkeys(arm for row in rows for arm in row.differences)
    return {
        arm: {
            verdict: [row for row in rows if row.verdict(arm) == verdict]
            for verdict in ("better", "worse", "level")
        }
        for arm in others
    }


def change(row: Row, arm: str) -> str:
    """An arm's difference with its interval, such as ``+2.1 points (0.4 to 3.8)``."""
    if arm not in row.differences:
        return ""
    metric, difference = row.metric, row.differences[arm].estimate
    value = number(difference.value, metric, signed=True) + unit(metric, signed=True)
    return f"{value} ({interval(difference, metric, signed=True)})"


SETTLED = {
    "better": "Yes, here: aligned patches help the model find what people refer to.",
    "worse": "No, not here: with aligned patches the model finds less of what people refer to.",
    "level": "No difference shown in finding what people refer to.",
}


def _headline(row: Row) -> str:
    judged = [arm for arm in row.differences if row.verdict(arm)]
    if not judged:
        return "Not settled: of referring expressions there is no difference with an interval yet."
    settled = [arm for arm in judged if _is_settled(row, arm)]
    if not settled:
        return "Not settled: referring expressions were not learned well enough to compare the arms."
    verdicts = {_counted(row, arm) for arm in settled}
    if len(verdicts) == 1:
        return SETTLED[verdicts.pop()]
    parts = []
    for verdict, words in (("better", "more"), ("worse", "less"), ("level", "as much, as far as is shown")):
        named = [arms.title(arm) for arm in settled if _counted(row, arm) == verdict]
        if named:
            parts.append(f"{words} with {_listed(named)}")
    return f"It depends on the loss: the model finds {'; '.join(parts)}."


def _counted(row: Row, arm: str) -> str:
    """The verdict that counts how many arms were compared: none is better whose adjusted p is above 0.05."""
    return "level" if row.adjusted().get(arm, 0.0) > 0.05 else row.verdict(arm)


def _is_settled(row: Row, arm: str) -> bool:
    baseline = next(iter(row.arms))
    floor = row.against_floors(baseline)
    return not (floor and (row.against_floors(arm) or _counted(row, arm) != "better"))


def _detail(row: Row) -> str:
    metric = row.metric
    values = {arm: number(mine.value, metric) + unit(metric) for arm, mine in row.arms.items()}
    baseline = next(iter(row.arms))
    if len(row.differences) > 1:
        known = [arm for arm, found in row.differences.items() if found.estimate.has_interval]
        fewer = " that have an interval" if 0 < len(known) < len(row.differences) else ""
        ranked = sorted(known or row.differences, key=lambda arm: -row.arms[arm].value)
        first, last = (
            f"{arms.title(arm)} {values[arm]}, a difference of {change(row, arm)}{_p_of(row, arm)}"
            for arm in (ranked[0], ranked[-1])
        )
        return (
            f"{arms.title(baseline)} gives {values[baseline]} of referring expressions the right box (IoU 0.5"
            f" or more). Of the {len(ranked)} other arms{fewer}, the highest: {first}; the lowest: {last}"
            " (95\u202f% intervals)."
        )
    ((arm, difference),) = row.differences.items()
    zero = ", which includes zero" if row.verdict(arm) == "level" else ""
    zero += _p_of(row, arm)
    return (
        f"{_SUBJECT.get(arm, arms.title(arm))} gives {values[arm]} of referring expressions the right box"
        f" (IoU 0.5 or more), {_OBJECT.get(baseline, arms.title(baseline))} {values[baseline]}: a difference"
        f" of {number(difference.estimate.value, metric, signed=True)}{unit(metric, signed=True)},"
        f" 95\u202f% interval {interval(difference.estimate, metric, signed=True)}{zero}."
    )


def _p_of(row: Row, arm: str) -> str:
    """Its p, and that adjusted for the arms that are compared."""
    p, adjusted = row.differences[arm].p, row.adjusted()
    if p is None:
        return ""
    also = f"; {p_value(adjusted[arm])} by Holm for {len(adjusted)} arms" if arm in adjusted else ""
    told = p_value(p)
    return f", p {told if told.startswith('<') else f'= {told}'}{also}"


_SUBJECT = {"patch_aligned": "Patch-aligned training"}
_OBJECT = {"caption": "captions alone"}


def _listed(names: Sequence[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def _judged_by(judges: Collection[str]) -> list[str]:
    """A warning where no person's annotations tell what a patch shows."""
    others = sorted(set(judges) - {PEOPLE})
    if not others:
        return []
    return [
        f"Nobody annotated the held-out images: alignment is measured on regions of {_listed(others)}, whose"
        " mistakes training may have learned."
    ]


def _caveats(rows: Sequence[Row], seeds: int | None, done: Mapping[str, int]) -> list[str]:
    found = []
    for row in rows:
        under = {arm: floor for arm in row.arms if (floor := row.against_floors(arm))}
        if len(row.arms) <= 2:
            found += [_under_floor(row, arm, *floor) for arm, floor in under.items()]
        elif under:
            found.append(_all_under_floor(row, under))
    if seeds is None:
        found.append(
            "One training run an arm: intervals cover the choice of test examples, not the luck of training."
            " Runs that differ in their seed alone can differ by more. “make study” runs several seeds."
        )
    elif any(count < seeds for count in done.values()):
        told = ", ".join(f"{arms.title(arm)} {count}" for arm, count in done.items())
        found.append(
            f"The study is not whole: of {seeds} seeds there are {told}. Differences are over the seeds that"
            " both arms have; one seed alone has no interval."
        )
    else:
        found.append(f"Intervals are over {seeds} seeds: each arm was trained {seeds} times.")
    judged = sum(1 for row in rows for arm in row.differences if row.verdict(arm))
    if judged > 1:
        found.append(
            f"{judged} differences are looked at, each with a 95\u202f% interval: of twenty, one excludes"
            " zero by chance." + _held(rows)
        )
    return found


def _held(rows: Sequence[Row]) -> str:
    """How many differences of many arms hold, when it counts that so many arms were looked at."""
    apart = [(row, arm) for row in rows for arm in row.differences if row.verdict(arm) in ("better", "worse")]
    adjusted = [row.adjusted().get(arm) for row, arm in apart]
    if not adjusted or None in adjusted:
        return ""
    held = sum(p is not None and p <= 0.05 for p in adjusted)
    return (
        f" Of these intervals {len(apart)} exclude zero; {held} of those keep p \u2264 0.05 when it is"
        " adjusted (Holm) for all the arms compared in the metric. That does not adjust for looking at many"
        " metrics."
    )


def _all_under_floor(row: Row, under: Mapping[str, tuple[str, str]]) -> str:
    """The arms of a metric that are not above their floors, in one sentence."""
    metric = row.metric
    floors = {name.partition(":")[0]: row.floors[name] for _, name in under.values()}
    beside = "; ".join(f"{name}: {number(one.value, metric)}{unit(metric)}" for name, one in floors.items())
    who, named = f"all {len(row.arms)} arms", ""
    if len(under) < len(row.arms):
        who = f"{len(under)} of {len(row.arms)} arms"
        named = f" ({_listed([arms.title(arm).lower() for arm in under])})"
    values = [row.arms[arm].value for arm in under]
    ends = dict.fromkeys(number(value, metric) for value in (min(values), max(values)))
    span = " to ".join(ends)
    return (
        f"{metric.group}: \u201c{metric.title}\u201d is not above its floor in"
        f" {who}{named}: {span}{unit(metric)}; {beside}."
    )


def _under_floor(row: Row, arm: str, how: str, floor: str) -> str:
    where = "below its floor" if how == "below" else "not above its floor"
    metric = row.metric
    mine, other = (number(one.value, metric) + unit(metric) for one in (row.arms[arm], row.floors[floor]))
    return (
        f"{metric.group}: \u201c{metric.title}\u201d of {arms.title(arm).lower()} is {where}"
        f" ({mine}; {floor.partition(':')[0]}: {other})."
    )
