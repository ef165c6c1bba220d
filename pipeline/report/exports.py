"""The results for other programs and for reading: ``metrics.json`` and a Markdown table."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from pipeline.report import arms
from pipeline.report.comparison import Row
from pipeline.report.inputs import Inputs
from pipeline.report.style import floor_title, interval, number, p_value
from pipeline.tables.metrics import Estimate, Estimates, rounded


def metrics_json(inputs: Inputs, rows: Sequence[Row], benchmarks: Mapping[str, Any]) -> str:
    """``{arms, references, pretrained, differences}``, each ``{..: {metric key: estimate}}``, and the rest.

    The first arm is the baseline; ``differences`` are each other arm minus it, with ``p`` where they are
    paired, and with ``holm``, that p adjusted for the arms, where there are several. ``unmeasured`` says why
    a metric was not measured; ``benchmarks`` is what lmms-eval said, where it was asked.
    """
    differences: dict[str, dict[str, Any]] = {arm: {} for arm in list(inputs.arms)[1:]}
    for row in rows:
        adjusted = row.adjusted()
        for arm, difference in row.differences.items():
            ps = {"p": difference.p, "holm": adjusted.get(arm)}
            known = {name: float(f"{p:.9g}") for name, p in ps.items() if p is not None}
            differences[arm] |= _plain({row.metric.key: difference.estimate}, known)
    content = {
        "arms": {arm: _plain(values) for arm, values in inputs.arms.items()},
        "references": {name: _plain(inputs.references[name]) for name in sorted(inputs.references)},
        "pretrained": {arm: _plain(values) for arm, values in inputs.pretrained.items()},
        "differences": differences,
        "unmeasured": {row.metric.key: row.unmeasured for row in rows if row.unmeasured},
        "benchmarks": dict(benchmarks),
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def markdown(rows: Sequence[Row]) -> str:
    """The table in Markdown: shares in per cent, 95 % intervals in brackets.

    Up to two arms side by side, more of them one below the other.
    """
    names = arms_of(rows)
    if len(names) > 2:
        head = ["Metric", "Arm", "Value", "Difference", "p", "Holm", "n"]
        lines = [line for row in rows for line in _lines(row, names)]
    else:
        head = ["Metric", *(arms.title(arm) for arm in names), "Difference", "p", "Floors", "Ceiling", "n"]
        lines = [_cells(row, names) for row in rows]
    texts = {"Metric", "Arm"}
    marks = "".join("| --- " if title in texts else "| ---: " for title in head)
    escaped = [[cell.replace("|", "\\|") for cell in cells] for cells in (head, *lines)]
    first, *rest = ("| " + " | ".join(cells) + " |" for cells in escaped)
    return "\n".join([first, marks + "|", *rest, "", *notes(names), ""])


def notes(names: Sequence[str]) -> list[str]:
    """What the columns of a comparison of these arms mean."""
    if len(names) < 2:
        return []
    if len(names) == 2:
        return [P_NOTE]
    return [f"{P_NOTE} {HOLM_NOTE} Differences are from {arms.title(names[0]).lower()}."]


P_NOTE = (
    "p: two-sided, of no difference, paired by example (swapping the arms' values) or by seed (Student's t)."
)
HOLM_NOTE = "Holm: that p adjusted for all the arms that are compared in the metric."


def arms_of(rows: Sequence[Row]) -> list[str]:
    """The arms of the rows: the longest row has them all, in their order."""
    return max((list(row.arms) for row in rows), key=len, default=[])


def title_of(row: Row) -> str:
    """A metric's whole name, with its unit."""
    metric = row.metric
    return f"{metric.group}: {metric.title}" + (", %" if metric.unit == "share" else "")


def _lines(row: Row, names: Sequence[str]) -> Iterator[list[str]]:
    """Of many arms: a line for each, then the floors and the ceiling."""
    title, adjusted = title_of(row), row.adjusted()
    if row.unmeasured:
        yield [title, row.unmeasured, *[""] * 5]
        return
    for arm in names:
        if arm in row.arms:
            apart = row.differences.get(arm)
            yield [
                title, arms.title(arm), with_interval(row, row.arms[arm]),
                with_interval(row, apart.estimate if apart else None, signed=True),
                p_text(apart.p if apart else None), p_text(adjusted.get(arm)), str(row.arms[arm].n),
            ]  # fmt: skip
    beside = {f"floor: {floor_title(name)}": floor for name, floor in row.floors.items()}
    for name, one in (beside | ({"ceiling": row.ceiling} if row.ceiling else {})).items():
        yield [title, name, number(one.value, row.metric), *[""] * 4]


def p_text(p: float | None) -> str:
    """A p as text, where there is one."""
    return "" if p is None else p_value(p)


def _cells(row: Row, names: Sequence[str]) -> list[str]:
    """Of one or two arms: all in one line."""
    metric = row.metric
    title = title_of(row)
    if row.unmeasured:
        return [title, row.unmeasured, *[""] * (len(names) + 4)]
    values = [with_interval(row, row.arms.get(arm)) for arm in names]
    apart = row.differences.get(names[1]) if len(names) > 1 else None
    differences = [with_interval(row, apart.estimate if apart else None, signed=True)]
    differences.append(p_text(apart.p if apart else None))
    floors = "; ".join(
        f"{floor_title(name)} {number(floor.value, metric)}" for name, floor in row.floors.items()
    )
    ceiling = number(row.ceiling.value, metric) if row.ceiling else ""
    examples = str(max(mine.n for mine in row.arms.values()))
    return [title, *values, *differences, floors, ceiling, examples]


def with_interval(row: Row, estimate: Estimate | None, signed: bool = False) -> str:
    """``value [low to high]``, where it is known."""
    if estimate is None:
        return ""
    return f"{number(estimate.value, row.metric, signed)} [{interval(estimate, row.metric, signed)}]"


def _plain(values: Estimates, also: Mapping[str, float] | None = None) -> dict[str, Any]:
    return {key: rounded(asdict(estimate)) | dict(also or {}) for key, estimate in values.items()}
