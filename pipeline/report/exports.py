"""The results for other programs and papers: ``metrics.json``, a Markdown and a LaTeX table."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pipeline.report import arms
from pipeline.report.comparison import Row
from pipeline.report.inputs import Inputs
from pipeline.report.style import MINUS, floor_title, interval, number, p_value
from pipeline.tables.metrics import Estimate, Estimates, rounded

_LATEX = {
    "\\": r"\textbackslash{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "<": "$<$",
}


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
    """The table in Markdown: shares in per cent, 95 % intervals in brackets; `Table` says how it lies."""
    table = Table.of(rows)
    marks = "".join("| ---: " if column in table.numbers else "| --- " for column in range(len(table.head)))
    lines = ["| " + " | ".join(table.head) + " |", marks + "|"]
    for _, cells in table.lines:
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join([*lines, "", *table.notes, ""])


def latex(rows: Sequence[Row]) -> str:
    """The table in LaTeX (booktabs; longtable where it is long): `Table` says how it lies."""
    table = Table.of(rows)
    body = []
    before = ""
    for block, cells in table.lines:
        if before and block != before:
            body.append(r"\addlinespace")
        # On paper a metric's name stands once, over its arms.
        shown = ["", *cells[1:]] if table.long and block == before else cells
        before = block
        body.append(" & ".join(_tex(cell) for cell in shown) + r" \\")
    kind = "longtable" if table.long else "tabular"
    columns = "".join("r" if column in table.numbers else "l" for column in range(len(table.head)))
    return "\n".join(
        [
            r"% needs \usepackage{booktabs}" + (r" and \usepackage{longtable}" if table.long else ""),
            *(f"% {_tex(note)}" for note in table.notes),
            rf"\begin{{{kind}}}{{{columns}}}",
            r"\toprule",
            " & ".join(_tex(title) for title in table.head) + r" \\",
            r"\midrule",
            *([r"\endhead"] if table.long else []),
            *body,
            r"\bottomrule",
            rf"\end{{{kind}}}",
            "",
        ]
    )


@dataclass(frozen=True)
class Table:
    """The results as lines of text: up to two arms side by side, more of them one below the other."""

    head: list[str]
    numbers: set[int]
    """Columns of numbers."""
    lines: list[tuple[str, list[str]]]
    """Cells of each line, and the block that it stands in."""
    notes: list[str]
    long: bool

    @classmethod
    def of(cls, rows: Sequence[Row]) -> Table:
        """Lay the rows out."""
        names = _arms(rows)
        if len(names) > 2:
            head = ["Metric", "Arm", "Value", "Difference", "p", "Holm", "n"]
            lines = [line for row in rows for line in _lines(row, names)]
            note = f"{P_NOTE} {HOLM_NOTE} Differences are from {arms.title(names[0]).lower()}."
            return cls(head, {2, 3, 4, 5, 6}, lines, [note], long=True)
        head = ["Metric", *(arms.title(arm) for arm in names), "Difference", "p", "Floors", "Ceiling", "n"]
        lines = [(row.metric.group, _cells(row, names)) for row in rows]
        return cls(head, set(range(1, len(head))), lines, [P_NOTE] if len(names) > 1 else [], long=False)


P_NOTE = (
    "p: two-sided, of no difference, paired by example (swapping the arms' values) or by seed (Student's t)."
)
HOLM_NOTE = "Holm: that p adjusted for all the arms that are compared in the metric."


def _arms(rows: Sequence[Row]) -> list[str]:
    """The arms of the rows: the longest row has them all, in their order."""
    return max((list(row.arms) for row in rows), key=len, default=[])


def _title(row: Row) -> str:
    metric = row.metric
    return f"{metric.group}: {metric.title}" + (", %" if metric.unit == "share" else "")


def _lines(row: Row, names: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Of many arms: a line for each, then the floors and the ceiling."""
    title, adjusted = _title(row), row.adjusted()
    if row.unmeasured:
        yield title, [title, row.unmeasured, *[""] * 5]
        return
    for arm in names:
        if arm in row.arms:
            apart = row.differences.get(arm)
            yield title, [
                title, arms.title(arm), _with_interval(row, row.arms[arm]),
                _with_interval(row, apart.estimate if apart else None, signed=True),
                _p(apart.p if apart else None), _p(adjusted.get(arm)), str(row.arms[arm].n),
            ]  # fmt: skip
    beside = {f"floor: {floor_title(name)}": floor for name, floor in row.floors.items()}
    for name, one in (beside | ({"ceiling": row.ceiling} if row.ceiling else {})).items():
        yield title, [title, name, number(one.value, row.metric), *[""] * 4]


def _p(p: float | None) -> str:
    return "" if p is None else p_value(p)


def _cells(row: Row, names: Sequence[str]) -> list[str]:
    """Of one or two arms: all in one line."""
    metric = row.metric
    title = _title(row)
    if row.unmeasured:
        return [title, row.unmeasured, *[""] * (len(names) + 4)]
    values = [_with_interval(row, row.arms.get(arm)) for arm in names]
    apart = row.differences.get(names[1]) if len(names) > 1 else None
    differences = [_with_interval(row, apart.estimate if apart else None, signed=True)]
    differences.append(_p(apart.p if apart else None))
    floors = "; ".join(
        f"{floor_title(name)} {number(floor.value, metric)}" for name, floor in row.floors.items()
    )
    ceiling = number(row.ceiling.value, metric) if row.ceiling else ""
    examples = str(max(mine.n for mine in row.arms.values()))
    return [title, *values, *differences, floors, ceiling, examples]


def _with_interval(row: Row, estimate: Estimate | None, signed: bool = False) -> str:
    if estimate is None:
        return ""
    return f"{number(estimate.value, row.metric, signed)} [{interval(estimate, row.metric, signed)}]"


def _tex(text: str) -> str:
    escaped = "".join(_LATEX.get(sign, sign) for sign in text)
    return escaped.replace(MINUS, "$-$")


def _plain(values: Estimates, also: Mapping[str, float] | None = None) -> dict[str, Any]:
    return {key: rounded(asdict(estimate)) | dict(also or {}) for key, estimate in values.items()}
