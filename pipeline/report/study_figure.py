"""A study's tasks over fine-tuning steps, mean and interval over seeds: on the page and by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from pipeline.errors import UserError
from pipeline.report.arms import Looks
from pipeline.report.arms import looks as looks_of
from pipeline.report.plots import MARKERS, STYLE, Line, Plot, described, draw, draw_line, dress


def study_curves(
    tasks: Mapping[str, Mapping[str, Mapping[str, Sequence[float]]]], looks: Looks
) -> list[Plot]:
    """Plots of the study: ``{metric key: {arm: {step, value, low, high}}}``, lists of one length each."""
    return [
        Plot(label, draw(lines, label, measure, f"study.{key}", looks))
        for key, (label, measure, lines) in _of_study(tasks).items()
    ]


def write_study_figure(study: Mapping[str, Any], path: Path) -> None:
    """Draw a study's curves, two beside each other, with a legend below: for a README or a paper.

    Raises:
        UserError: the file holds no curves, or its name ends in what cannot be drawn.
    """
    tasks = _of_study(study.get("curves") or {})
    if not tasks:
        raise UserError("There are no curves over fine-tuning steps in the file: name a study's, study.json.")
    if path.suffix not in (".png", ".svg", ".pdf"):
        raise UserError(f"--figure {path}: name a .png, .svg or .pdf file.")
    looks = looks_of(study["arms"])
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": "study"}):
        rows = -(-len(tasks) // 2)
        figure = Figure(figsize=(8.4, 2.6 * rows + 0.5), layout="constrained")
        panels = figure.subplots(rows, 2, squeeze=False).flat
        for axes, (label, measure, lines) in zip(panels, tasks.values(), strict=False):
            for line in lines:
                draw_line(axes, line, looks)
            dress(axes, label, "optimiser steps", measure)
        for axes in list(panels)[len(tasks) :]:
            axes.set_axis_off()
        keys = [
            Line2D([], [], color=look.colour, marker=MARKERS[look.mark], markersize=4, label=look.title)
            for look in looks.values()
        ]
        figure.legend(handles=keys, loc="outside lower center", ncols=min(5, len(keys)), frameon=False)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=140, metadata={"Date": None} if path.suffix == ".svg" else None)


def _of_study(
    tasks: Mapping[str, Mapping[str, Mapping[str, Sequence[float]]]],
) -> dict[str, tuple[str, str, list[Line]]]:
    """By metric, a title, what the axis measures, and the arms' lines."""
    found = {}
    for key, of_arms in tasks.items():
        label, measure, factor = described(key)
        lines = []
        for arm, of_arm in of_arms.items():
            # Null, where one seed has no interval, becomes NaN, which is not drawn.
            steps, value, low, high = (
                np.array(of_arm[name], dtype=np.float64) for name in ("step", "value", "low", "high")
            )
            lines.append(Line(arm, steps, value * factor, low * factor, high * factor))
        found[key] = label, measure, lines
    return found
