"""The arms side by side in a terminal, or, where they are many, one below the other."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from pipeline.report import comparison
from pipeline.report.style import CEILING, FEATURES, interval, number, p_value
from pipeline.tables.metrics import METRICS, Metric


def results_table(found: dict[str, Any]) -> Table:
    """Metrics as rows, grouped; arms, their difference with its interval, floor and ceiling as columns.

    Args:
        found: ``{"arms": {arm: {metric key: {value, low, high, n}}}, "references": {name: {...}},
            "differences": {arm: {metric key: {...}}}}``; the last may be missing. The first arm is the
            baseline. Where there are more than two, differences stand in the arms' own columns; more than
            four stand below each other.
    """
    arms, references = found.get("arms", {}), found.get("references", {})
    differences = found.get("differences", {})
    if len(arms) > MOST_ACROSS:
        return arms_below_each_other(found)
    two = len(arms) == 2
    floors = {name: values for name, values in references.items() if name != CEILING}
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("", max_width=46)
    for arm in arms:
        table.add_column(arm.replace("_", "-"), justify="right")
    with_p = two and any("p" in each for of_arm in differences.values() for each in of_arm.values())
    extra = [*(["difference [95 %]"] if two else []), *(["p"] if with_p else [])]
    for title in (*extra, "floor", "ceiling"):
        table.add_column(title, justify="right", style="dim", header_style="dim", no_wrap=True)
    group = None
    rows = comparison.study_rows({"references": {}, "differences": {}, **found}) if len(arms) > 2 else []
    held = {row.metric.key: row.adjusted() for row in rows}
    for metric in METRICS:
        cells = [_value(metric, values.get(metric.key)) for values in arms.values()]
        if not any(cells):
            continue
        apart = [differences.get(arm, {}).get(metric.key) for arm in list(arms)[1:]]
        if two:
            cells += [_difference(metric, apart[0]), *([_p(metric, apart[0])] if with_p else [])]
        else:
            cells[1:] = [
                f"{cell} {_short_difference(metric, each, held.get(metric.key, {}).get(arm))}".rstrip()
                for arm, cell, each in zip(list(arms)[1:], cells[1:], apart, strict=True)
            ]
        if metric.group != group:
            group = metric.group
            table.add_row(f"[bold]{group}[/bold]")
        known = [
            values[metric.key] for values in floors.values() if metric.key in values and not metric.probe
        ]
        ceiling = references.get(FEATURES if metric.probe else CEILING, {})
        has_floor = known and metric.direction > 0 and not metric.probe
        floor = max(known, key=lambda estimate: estimate["value"]) if has_floor else None
        table.add_row(
            f"  {metric.title}{_ARROWS[metric.direction]}",
            *cells,
            _value(metric, floor),
            _value(metric, ceiling.get(metric.key)),
        )
    if len(arms) > 2:
        table.caption = (
            f"In brackets the difference from {next(iter(arms)).replace('_', '-')}; *: its 95 % interval"
            " excludes zero; **: p is at most 0.05 also when it is adjusted (Holm) for the arms compared."
            + _seeds(found)
        )
        table.caption_justify = "left"
    return table


def arms_below_each_other(found: dict[str, Any]) -> Table:
    """Many arms: a line for each under its metric, with the difference's p and that adjusted by Holm."""
    rows = comparison.study_rows({"references": {}, "differences": {}, **found})
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("", max_width=40)
    for title in ("value [95 %]", "difference [95 %]", "p", "Holm"):
        table.add_column(title, justify="right")
    for row in rows:
        if not row.arms or row.same:
            continue
        floors = [one.value for one in row.floors.values()] if row.metric.direction > 0 else []
        floor = f"[dim]floor {number(max(floors), row.metric)}[/dim]" if floors else ""
        ceiling = f"[dim]ceiling {number(row.ceiling.value, row.metric)}[/dim]" if row.ceiling else ""
        title = f"[bold]{row.metric.group}: {row.metric.title}{_ARROWS[row.metric.direction]}[/bold]"
        table.add_row(f"{title}{', %' if row.metric.unit == 'share' else ''}", floor, ceiling)
        adjusted = row.adjusted()
        for arm, mine in row.arms.items():
            apart = row.differences.get(arm)
            shown = apart.estimate if apart else None
            table.add_row(
                f"  {arm.replace('_', '-')}{' (best)' if arm == row.best else ''}",
                f"{number(mine.value, row.metric)} \\[{interval(mine, row.metric)}]",
                f"{number(shown.value, row.metric, True)} \\[{interval(shown, row.metric, True)}]"
                if shown else "",
                p_value(apart.p) if apart and apart.p is not None else "",
                p_value(adjusted[arm]) if arm in adjusted else "",
            )  # fmt: skip
    table.caption = (
        f"Differences are from {next(iter(found['arms'])).replace('_', '-')}; Holm: p adjusted for all arms"
        " that are compared in the metric." + _seeds(found)
    )
    table.caption_justify = "left"
    return table


def _seeds(found: dict[str, Any]) -> str:
    """How many seeds each arm of a study has, where they are not all done."""
    done = {arm: len(seeds) for arm, seeds in found.get("seeds_done", {}).items()}
    if all(count == found.get("seeds") for count in done.values()):
        return ""
    told = ", ".join(f"{arm.replace('_', '-')} {count}" for arm, count in done.items())
    return f" Seeds done of {found['seeds']}: {told}."


MOST_ACROSS = 4
"""Arms that stand side by side in a terminal."""
_ARROWS = {1: " ↑", -1: " ↓", 0: ""}


def _value(metric: Metric, estimate: dict[str, float] | None) -> str:
    if estimate is None:
        return ""
    return f"{100 * estimate['value']:.1f} %" if metric.unit == "share" else f"{estimate['value']:.3f}"


def _difference(metric: Metric, estimate: dict[str, float] | None) -> str:
    if estimate is None or metric.direction == 0:
        return ""
    scale, places = (100, 1) if metric.unit == "share" else (1, 3)
    if estimate["low"] is None:
        return f"{scale * estimate['value']:+.{places}f} (one seed)"
    value, low, high = (f"{scale * estimate[name]:+.{places}f}" for name in ("value", "low", "high"))
    return f"{value} \\[{low}, {high}]"


def _p(metric: Metric, estimate: dict[str, float] | None) -> str:
    if estimate is None or metric.direction == 0 or estimate.get("p") is None:
        return ""
    return p_value(estimate["p"])


def _short_difference(metric: Metric, estimate: dict[str, float] | None, holm: float | None) -> str:
    """The difference alone; a star where its interval excludes zero, two where its p holds as well."""
    if estimate is None or metric.direction == 0:
        return ""
    scale, places = (100, 1) if metric.unit == "share" else (1, 3)
    star = "*" if estimate["low"] is not None and not estimate["low"] <= 0 <= estimate["high"] else ""
    also = "*" if star and holm is not None and holm <= 0.05 else ""
    return f"({scale * estimate['value']:+.{places}f}{star}{also})"
