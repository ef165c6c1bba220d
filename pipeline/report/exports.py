"""The results for other programs and papers: ``metrics.json``, a Markdown and a LaTeX table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from pipeline.report.comparison import Row
from pipeline.report.inputs import Inputs
from pipeline.report.style import ARM_TITLES, ARMS, MINUS, floor_title, interval, number
from pipeline.tables.metrics import Estimate, Estimates

HEAD = ("Metric", *(ARM_TITLES[arm] for arm in ARMS), "Difference", "Floors", "Ceiling", "n")
_LATEX = {"\\": r"\textbackslash{}", **{sign: f"\\{sign}" for sign in "&%$#_{}"}, "~": r"\textasciitilde{}"}


def metrics_json(inputs: Inputs, rows: Sequence[Row]) -> str:
    """``{arms, references, pretrained, differences}``, each ``{..: {metric key: estimate}}``."""
    differences = {row.metric.key: row.difference for row in rows if row.difference is not None}
    content = {
        "arms": {arm: _plain(values) for arm, values in inputs.arms.items()},
        "references": {name: _plain(inputs.references[name]) for name in sorted(inputs.references)},
        "pretrained": {arm: _plain(values) for arm, values in inputs.pretrained.items()},
        "differences": _plain(differences),
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def markdown(rows: Sequence[Row]) -> str:
    """The table in Markdown: shares in per cent, 95 % intervals in brackets."""
    lines = ["| " + " | ".join(HEAD) + " |", "| --- " + "| ---: " * (len(HEAD) - 1) + "|"]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in _cells(row)) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def latex(rows: Sequence[Row]) -> str:
    """The table in LaTeX (booktabs): shares in per cent, 95 % intervals in brackets."""
    body = []
    group = ""
    for row in rows:
        if group and row.metric.group != group:
            body.append(r"\addlinespace")
        group = row.metric.group
        body.append(" & ".join(_tex(cell) for cell in _cells(row)) + r" \\")
    return "\n".join(
        [
            r"% needs \usepackage{booktabs}",
            r"\begin{tabular}{l" + "r" * (len(HEAD) - 1) + "}",
            r"\toprule",
            " & ".join(_tex(title) for title in HEAD) + r" \\",
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            "",
        ]
    )


def _cells(row: Row) -> list[str]:
    metric = row.metric
    title = f"{metric.group}: {metric.title}" + (", %" if metric.unit == "share" else "")
    arms = [_with_interval(row, row.arms.get(arm)) for arm in ARMS]
    floors = "; ".join(
        f"{floor_title(name)} {number(floor.value, metric)}" for name, floor in row.floors.items()
    )
    ceiling = number(row.ceiling.value, metric) if row.ceiling else ""
    examples = str(max(mine.n for mine in row.arms.values()))
    return [title, *arms, _with_interval(row, row.difference, signed=True), floors, ceiling, examples]


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
