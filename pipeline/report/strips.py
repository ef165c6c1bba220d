"""A metric at a glance: both arms with their intervals on one axis, floors and ceiling as ticks."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup, escape

from pipeline.report.comparison import Row, name_of_arm
from pipeline.report.style import ARM_TITLES, number

WIDTH, HEIGHT, PAD = 200, 34, 6
LANES = {"caption": 11, "patch_aligned": 23}


def strip(row: Row) -> Markup:
    """The row as an SVG element: dots with intervals in the arms' colours, floors dashed, ceiling solid.

    Shares run from 0 to 100 %; other numbers from the smallest to the largest value shown (or 0).
    """
    low, high = _limits(row)

    def x(value: float) -> float:
        share = (min(max(value, low), high) - low) / (high - low)
        return round(PAD + share * (WIDTH - 2 * PAD), 1)

    parts = [f'<line class="axis" x1="{PAD}" x2="{WIDTH - PAD}" y1="{HEIGHT - 3}" y2="{HEIGHT - 3}"/>']
    for name, floor in row.floors.items():
        tone = name_of_arm(name)
        at, (top, bottom) = x(floor.value), _span(tone)
        kind = f"floor {_class(tone)}" if tone else "floor"
        parts.append(_tick(kind, at, top, bottom, f"{name}: {number(floor.value, row.metric)}"))
    if row.ceiling:
        label = f"ceiling: {number(row.ceiling.value, row.metric)}"
        parts.append(_tick("ceiling", x(row.ceiling.value), 2, HEIGHT - 3, label))
    for arm, mine in row.arms.items():
        y = LANES[arm]
        parts.append(
            f'<g class="{_class(arm)}"><line x1="{x(mine.low)}" x2="{x(mine.high)}" y1="{y}" y2="{y}"/>'
            + _mark(arm, x(mine.value), y)
            + "</g>"
        )
    label = "; ".join(f"{ARM_TITLES[arm]} {number(mine.value, row.metric)}" for arm, mine in row.arms.items())
    return Markup(
        f'<svg class="strip" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label)}">'
        + "".join(parts)
        + "</svg>"
    )


def _limits(row: Row) -> tuple[float, float]:
    shown = [*row.arms.values(), *row.floors.values(), *([row.ceiling] if row.ceiling else [])]
    low = min(0.0, *(one.low for one in shown))
    if row.metric.unit == "share":
        return low, 1.0
    return low, max((1.05 * max(one.high for one in shown)), low + 1e-6)


def _span(arm: str | None) -> tuple[int, int]:
    """Top and bottom of a floor's tick: over both lanes, or over its own arm's."""
    return (2, HEIGHT - 3) if arm is None else (LANES[arm] - 6, LANES[arm] + 6)


def _tick(kind: str, x: float, top: int, bottom: int, label: str) -> str:
    line = f'<line class="{kind}" x1="{x}" x2="{x}" y1="{top}" y2="{bottom}">'
    return f"{line}<title>{escape(label)}</title></line>"


def _mark(arm: str, x: float, y: int) -> str:
    """A dot, or a square for the patch-aligned arm: told apart without colour too."""
    if arm == "patch_aligned":
        return f'<rect x="{x - 3.5:.1f}" y="{y - 3.5}" width="7" height="7"/>'
    return f'<circle cx="{x}" cy="{y}" r="4"/>'


def _class(arm: str) -> str:
    return arm.replace("_", "-")


def bars(values: Sequence[float]) -> list[float]:
    """Values as per cent of the largest: widths of bars in a table."""
    largest = max(values, default=0.0)
    return [100 * value / largest if largest else 0.0 for value in values]
