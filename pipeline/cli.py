"""The command ``patchwords``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from pipeline import console
from pipeline.browse import commands as browse_commands
from pipeline.errors import UserError
from pipeline.export import commands as export_commands
from pipeline.inspection import commands as inspection_commands
from pipeline.report import commands as report_commands
from pipeline.report import comparison, exports
from pipeline.report.style import CEILING, FEATURES, interval, number, p_value
from pipeline.tables.metrics import METRICS, Metric

METRICS_FILE = Path("data/metrics.json")
REPORT = Path("data/report/index.html")
LOG_WIDTH = 110  # columns, where there is no terminal to fit

commands = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Settings, results and pictures of the pipeline; `dvc repro` runs it.",
)
report_commands.register(commands)
inspection_commands.register(commands)
export_commands.register(commands)
browse_commands.register(commands)


@commands.command()
def profile(
    name: Annotated[str | None, typer.Argument(help="The profile to switch to; none: list them.")] = None,
    force: Annotated[bool, typer.Option(help="Drop settings of your own in params.yaml.")] = False,
) -> None:
    """Switch params.yaml to a profile; `patchwords profile embedded` puts it back as it came."""
    from pipeline import params, profiles  # so that other commands start without them

    if name is not None:
        profiles.switch(name, force=force)
    current = params.load().profile
    for each in profiles.names():
        print(f"{'*' if each == current else ' '} {each}")


@commands.command()
def results(
    file: Annotated[
        Path, typer.Option(help="Metrics that the report stage wrote, or data/comparisons/study.json.")
    ] = METRICS_FILE,
    markdown: Annotated[bool, typer.Option(help="As a Markdown table.")] = False,
) -> None:
    """Print the arms side by side, beside floors and ceiling, and where the report lies."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"There is no {file}: run `dvc repro` (or `make repro`) to make it.") from error
    except json.JSONDecodeError as error:
        raise UserError(
            f"{file} is not valid JSON ({error}): run `dvc repro report` to make it again."
        ) from error
    if markdown:
        print(exports.markdown(comparison.study_rows(found)), end="")
        return
    out = Console()
    if not out.is_terminal:
        out = Console(width=LOG_WIDTH)
    out.print(results_table(found))
    if REPORT.exists():
        out.print(f"The report: [bold]{REPORT}[/bold]", highlight=False)


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
    for title in (*(["difference [95 %]", "p"] if two else []), "floor", "ceiling"):
        table.add_column(title, justify="right", style="dim", header_style="dim", no_wrap=True)
    group = None
    for metric in METRICS:
        cells = [_value(metric, values.get(metric.key)) for values in arms.values()]
        if not any(cells):
            continue
        apart = [differences.get(arm, {}).get(metric.key) for arm in list(arms)[1:]]
        if two:
            cells += [_difference(metric, apart[0]), _p(metric, apart[0])]
        else:
            cells[1:] = [
                f"{cell} {_short_difference(metric, each)}".rstrip()
                for cell, each in zip(cells[1:], apart, strict=True)
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
            " excludes zero." + _seeds(found)
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


def _short_difference(metric: Metric, estimate: dict[str, float] | None) -> str:
    """The difference alone; a star where its interval excludes zero."""
    if estimate is None or metric.direction == 0:
        return ""
    scale, places = (100, 1) if metric.unit == "share" else (1, 3)
    star = "*" if estimate["low"] is not None and not estimate["low"] <= 0 <= estimate["high"] else ""
    return f"({scale * estimate['value']:+.{places}f}{star})"


def app() -> None:
    """Entry point: users' errors become one line and exit status 2."""
    console.run_command(commands)


if __name__ == "__main__":
    app()
