"""Learning curves as SVG, in one style, whose colours follow the page's light and dark themes."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.report.arms import Looks
from pipeline.tables.metrics import BY_KEY

INK, MUTED, LINE, LONE = "#1c1e22", "#686c74", "#d9dbe0", "#4f5d75"
# matplotlib writes plain colours; the page reads them as its own variables.
_THEME = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    LINE: "var(--line)",
    LONE: "var(--lone)",
}
MARKERS = {"circle": "o", "square": "s", "triangle": "^", "diamond": "D", "down": "v"}
KINDS = {
    "encoder": "Shared by the arms",
    "language_model": "Shared by the arms",
    "pretrain": "Pre-training of the projector",
    "finetune": "Fine-tuning",
}
LOSSES = {"encoder": "Vision encoder: contrastive loss", "language_model": "Language model: loss"}
TITLES = {
    "loss": ("Loss", "nats a token"),
    "caption_loss": ("Caption loss", "nats a token"),
    "patch_loss": ("Patch loss", "1 \u2212 cosine"),
}
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.size": 9,
    "axes.edgecolor": LINE,
    "axes.labelcolor": MUTED,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
}
CROWD = 4
"""Arms that a plot shows in full; of more, lines carry marks and what stands behind them is left out."""
SMOOTHING = 0.03
"""Share of the steps that a training curve's running mean goes over; the raw curve stays faint behind it."""


@dataclass(frozen=True)
class Plot:
    """A plot and what it shows."""

    title: str
    svg: str


@dataclass(frozen=True)
class Line:
    """A curve: steps, values and, where there is one, its band."""

    arm: str | None
    steps: np.ndarray
    values: np.ndarray
    low: np.ndarray | None = None
    high: np.ndarray | None = None


def curves(
    runs: Mapping[str, pa.Table], looks: Looks, patch_measure: str = TITLES["patch_loss"][1]
) -> dict[str, list[Plot]]:
    """Plots by kind of training: a plot for each measured column, all arms in it."""
    grouped: dict[str, list[Plot]] = {}
    for kind, title in KINDS.items():
        mine = {name: table for name, table in runs.items() if name.partition("-")[0] == kind}
        columns = dict.fromkeys(name for table in mine.values() for name in table.column_names)
        for column in columns:
            if column in ("step", "learning_rate"):
                continue
            lines = [line for name, table in mine.items() if (line := _line(name, table, column))]
            if lines:
                label, measure, factor = described(column)
                if kind in LOSSES and column == "loss":
                    label, measure = LOSSES[kind], "nats" if kind == "encoder" else measure
                if column == "patch_loss":
                    measure = patch_measure
                scaled = [Line(one.arm, one.steps, one.values * factor) for one in lines]
                plot = Plot(label, draw(scaled, label, measure, f"{kind}.{column}", looks))
                grouped.setdefault(title, []).append(plot)
    return grouped


def draw(lines: Sequence[Line], title: str, measure: str, salt: str, looks: Looks) -> str:
    """Learning curves as an SVG element."""

    def paint(axes: Axes) -> None:
        for line in lines:
            draw_line(axes, line, looks)

    return chart(paint, title, "optimiser steps", measure, salt, looks)


def chart(paint: Callable[[Axes], None], title: str, across: str, up: str, salt: str, looks: Looks) -> str:
    """One plot, which ``paint`` draws on, as an SVG element in the page's style.

    ``across`` and ``up`` say what the axes measure; ``salt`` keeps the ids of several plots on a page apart,
    and fixed.
    """
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": salt}):
        figure = Figure(figsize=(4.2, 2.5), layout="constrained")
        axes = figure.subplots()
        paint(axes)
        dress(axes, title, across, up)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return _for_page(buffer.getvalue(), f"{title} by {across}", looks)


def dress(axes: Axes, title: str, across: str, up: str) -> None:
    """A plot's title, axes and grid."""
    axes.set_title(title, loc="left", fontsize=10.5, fontweight="bold", pad=8)
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.grid(axis="y", color=LINE, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(length=0)
    # A logarithmic axis has ticks of its own.
    if axes.get_xscale() == "linear":
        axes.locator_params(axis="x", nbins=5)
    if axes.get_yscale() == "linear":
        axes.locator_params(axis="y", nbins=5)
    axes.margins(x=0.02)


def draw_line(axes: Axes, line: Line, looks: Looks) -> None:
    """One arm's curve, in its look; crowded ones without what stands behind them."""
    look = looks.get(line.arm or "")
    colour = look.colour if look else LONE
    few = len(line.steps) <= 30
    crowded = look is not None and len(looks) > CROWD
    if line.low is not None and line.high is not None:
        axes.fill_between(
            line.steps, line.low, line.high, color=colour, alpha=0.07 if crowded else 0.18, linewidth=0
        )
    if few:
        marker = MARKERS[look.mark] if look else "o"
        axes.plot(line.steps, line.values, color=colour, linewidth=1.6, marker=marker, markersize=3.5)
    else:
        if not crowded:
            axes.plot(line.steps, line.values, color=colour, linewidth=0.6, alpha=0.3)
        axes.plot(
            line.steps, _running_mean(line.values), color=colour, linewidth=1.2 if crowded else 1.8,
            marker=MARKERS[look.mark] if look and crowded else None, markevery=max(1, len(line.steps) // 8),
            markersize=4,
        )  # fmt: skip


def _line(name: str, table: pa.Table, column: str) -> Line | None:
    if column not in table.column_names:
        return None
    steps = table["step"].to_numpy().astype(np.float64)
    values = table[column].to_numpy().astype(np.float64)
    there = np.isfinite(values)
    return Line(name.partition("-")[2] or None, steps[there], values[there]) if there.any() else None


def described(column: str) -> tuple[str, str, float]:
    """A column's title, what its axis measures, and the factor to that unit."""
    if column in TITLES:
        return (*TITLES[column], 1.0)
    key = re.sub(r"^validation[._]", "", column)
    where = "" if key == column else ", validation"
    if key in BY_KEY:
        metric = BY_KEY[key]
        share = metric.unit == "share"
        title = metric.group if metric.title in ("Accuracy", "Followed") else metric.title
        if metric.title.startswith("Accuracy at"):
            title = f"{metric.group}: {metric.title.lower().replace('iou', 'IoU')}"
        return title + where, "per cent" if share else metric.title, 100.0 if share else 1.0
    if key in TITLES:
        title, measure = TITLES[key]
        return title + where, measure, 1.0
    words = key.replace("_", " ").replace(".", " ")
    return words[:1].upper() + words[1:] + where, words, 1.0


def _running_mean(values: np.ndarray) -> np.ndarray:
    """Mean over a window centred on each value, cut off at the ends."""
    half = max(1, round(SMOOTHING * len(values) / 2))
    total = np.concatenate([[0.0], np.cumsum(values)])
    index = np.arange(len(values))
    first, last = np.maximum(index - half, 0), np.minimum(index + half + 1, len(values))
    return (total[last] - total[first]) / (last - first)


def _for_page(svg: str, label: str, looks: Looks) -> str:
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<style.*?</style>", "", body, flags=re.DOTALL)
    body = re.sub(r'<g id="[^"]*"/>', "", body)
    body = re.sub(r'<g id="[^"]*">', "<g>", body)
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(
        r' width="[\d.]+pt" height="[\d.]+pt"| height="[\d.]+pt"| width="[\d.]+pt"', "", body, count=2
    )
    body = re.sub(r"'DejaVu Sans'[^;\"]*", "inherit", body)
    colours = {look.colour: f"var(--{look.css})" for look in looks.values()}
    for plain, variable in (_THEME | colours).items():
        body = body.replace(plain, variable)
    return body.replace("<svg", f'<svg role="img" aria-label="{label}"', 1).strip()
