"""A metric at a glance: the arms with their intervals on one axis, floors and ceiling as ticks."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan

from markupsafe import Markup, escape

from pipeline.report.arms import Looks
from pipeline.report.comparison import Row, name_of_arm
from pipeline.report.style import number

WIDTH, PAD = 200, 6
TOP, LANE = 11, 12
"""The first arm's height above the next edge, and what lies between two arms."""


def strip(row: Row, looks: Looks, only: str | None = None) -> Markup:
    """The row as an SVG element: marks with intervals in the arms' colours, floors dashed, ceiling solid.

    With ``only``, that arm's lane alone, on the axis of all: lanes one above the other read as one picture.
    Shares run from 0 to 100 %; other numbers from the smallest to the largest value shown (or 0).
    """
    low, high = _limits(row)
    lanes = {arm: TOP + LANE * place for place, arm in enumerate([only] if only else looks)}
    height = TOP + LANE * len(lanes) - 1

    def x(value: float) -> float:
        share = (min(max(value, low), high) - low) / (high - low)
        return round(PAD + share * (WIDTH - 2 * PAD), 1)

    parts = [f'<line class="axis" x1="{PAD}" x2="{WIDTH - PAD}" y1="{height - 3}" y2="{height - 3}"/>']
    for name, floor in row.floors.items():
        tone = name_of_arm(name)
        if only and tone not in (None, only):
            continue
        at = x(floor.value)
        # Over all lanes, or over its own arm's.
        top, bottom = (lanes[tone] - 6, lanes[tone] + 6) if tone in lanes else (2, height - 3)
        kind = f"floor {looks[tone].css}" if tone in lanes else "floor"
        parts.append(_tick(kind, at, top, bottom, f"{name}: {number(floor.value, row.metric)}"))
    if row.ceiling:
        label = f"ceiling: {number(row.ceiling.value, row.metric)}"
        parts.append(_tick("ceiling", x(row.ceiling.value), 2, height - 3, label))
    shown = {arm: mine for arm, mine in row.arms.items() if arm in lanes}
    for arm, mine in shown.items():
        y = lanes[arm]
        bar = f'<line x1="{x(mine.low)}" x2="{x(mine.high)}" y1="{y}" y2="{y}"/>' if mine.has_interval else ""
        parts.append(f'<g class="{looks[arm].css}">{bar}{_mark(looks[arm].mark, x(mine.value), y)}</g>')
    label = "; ".join(f"{looks[arm].title} {number(mine.value, row.metric)}" for arm, mine in shown.items())
    return Markup(
        f'<svg class="strip" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(label)}">'
        + "".join(parts)
        + "</svg>"
    )


def _limits(row: Row) -> tuple[float, float]:
    shown = [*row.arms.values(), *row.floors.values(), *([row.ceiling] if row.ceiling else [])]
    edges = [edge for one in shown for edge in (one.low, one.value, one.high) if not isnan(edge)]
    low = min(0.0, *edges)
    if row.metric.unit == "share":
        return low, 1.0
    return low, max(1.05 * max(edges), low + 1e-6)


def _tick(kind: str, x: float, top: int, bottom: int, label: str) -> str:
    line = f'<line class="{kind}" x1="{x}" x2="{x}" y1="{top}" y2="{bottom}">'
    return f"{line}<title>{escape(label)}</title></line>"


def _mark(mark: str, x: float, y: int) -> str:
    """One of `arms.MARKS`: arms are told apart without colour too."""
    if mark == "circle":
        return f'<circle cx="{x}" cy="{y}" r="4"/>'
    if mark == "square":
        return f'<rect x="{x - 3.5:.1f}" y="{y - 3.5}" width="7" height="7"/>'
    corners = {
        "triangle": ((0, -4.5), (4.5, 3.5), (-4.5, 3.5)),
        "diamond": ((0, -5), (5, 0), (0, 5), (-5, 0)),
        "down": ((0, 4.5), (4.5, -3.5), (-4.5, -3.5)),
    }[mark]
    points = " ".join(f"{x + right:.1f},{y + down}" for right, down in corners)
    return f'<polygon points="{points}"/>'


def bars(values: Sequence[float]) -> list[float]:
    """Values as per cent of the largest: widths of bars in a table."""
    largest = max(values, default=0.0)
    return [100 * value / largest if largest else 0.0 for value in values]
