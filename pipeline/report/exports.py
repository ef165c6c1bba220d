"""The results for other programs and papers: ``metrics.json``, a Markdown and a LaTeX table."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from pipeline.report import arms
from pipeline.report.comparison import Row
from pipeline.report.inputs import Inputs
from pipeline.report.style import MINUS, floor_title, interval, number
from pipeline.tables.metrics import Estimate, Estimates

_LATEX = {"\\": r"\textbackslash{}", **{sign: f"\\{sign}" for sign in "&%$#_{}"}, "~": r"\textasciitilde{}"}


def metrics_json(inputs: Inputs, rows: Sequence[Row], benchmarks: Mapping[str, Any]) -> str:
    """``{arms, references, pretrained, differences}``, each ``{..: {metric key: estimate}}``, and the rest.

    The first arm is the baseline; ``differences`` are each other arm minus it. ``unmeasured`` says why a
    metric was not measured; ``benchmarks`` is what lmms-eval said, where it was asked.
    """
    differences: dict[str, Estimates] = {arm: {} for arm in list(inputs.arms)[1:]}
    for row in rows:
        for arm, difference in row.differences.items():
            differences[arm][row.metric.key] = difference.estimate
    content = {
        "arms": {arm: _plain(values) for arm, values in inputs.arms.items()},
        "references": {name: _plain(inputs.references[name]) for name in sorted(inputs.references)},
        "pretrained": {arm: _plain(values) for arm, values in inputs.pretrained.items()},
        "differences": {arm: _plain(values) for arm, values in differences.items()},
        "unmeasured": {row.metric.key: row.unmeasured for row in rows if row.unmeasured},
        "benchmarks": dict(benchmarks),
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def markdown(rows: Sequence[Row]) -> str:
    """The table in Markdown: shares in per cent, 95 % intervals in brackets."""
    names = _arms(rows)
    head = _head(names)
    lines = ["| " + " | ".join(head) + " |", "| --- " + "| ---: " * (len(head) - 1) + "|"]
    for row in rows:
        cells = (cell.replace("|", "\\|") for cell in _cells(row, names))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def latex(rows: Sequence[Row]) -> str:
    """The table in LaTeX (booktabs): shares in per cent, 95 % intervals in brackets."""
    names = _arms(rows)
    head = _head(names)
    body = []
    group = ""
    for row in rows:
        if group and row.metric.group != group:
            body.append(r"\addlinespace")
        group = row.metric.group
        body.append(" & ".join(_tex(cell) for cell in _cells(row, names)) + r" \\")
    return "\n".join(
        [
            r"% needs \usepackage{booktabs}",
            r"\begin{tabular}{l" + "r" * (len(head) - 1) + "}",
            r"\toprule",
            " & ".join(_tex(title) for title in head) + r" \\",
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            "",
        ]
    )


def _arms(rows: Sequence[Row]) -> list[str]:
    """The arms of the rows: the longest row has them all, in their order."""
    return max((list(row.arms) for row in rows), key=len, default=[])


def _head(names: Sequence[str]) -> list[str]:
    baseline, *others = names or [""]
    titles = [arms.title(arm) for arm in names]
    apart = [f"{arms.title(arm)} \N{MINUS SIGN} {arms.title(baseline).lower()}" for arm in others]
    return ["Metric", *titles, *(apart if len(apart) > 1 else ["Difference"]), "Floors", "Ceiling", "n"]


def _cells(row: Row, names: Sequence[str]) -> list[str]:
    metric = row.metric
    title = f"{metric.group}: {metric.title}" + (", %" if metric.unit == "share" else "")
    if row.unmeasured:
        return [title, row.unmeasured, *[""] * (len(_head(names)) - 2)]
    values = [_with_interval(row, row.arms.get(arm)) for arm in names]
    found = [row.differences.get(arm) for arm in names[1:]] or [None]
    differences = [_with_interval(row, one.estimate if one else None, signed=True) for one in found]
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


def _plain(values: Estimates) -> dict[str, Any]:
    return {
        key: {name: round(value, 6) for name, value in asdict(estimate).items()}
        for key, estimate in values.items()
    }
