"""How the difference between two versions of a dataset looks in a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pipeline.inspection import cells, show
from pipeline.inspection.describe import Dataset
from pipeline.inspection.diff import Difference, Settings
from pipeline.inspection.distributions import Histogram, Tally


def heading(before: Dataset, after: Dataset, labels: tuple[str, str], result: Difference) -> RenderableType:
    """Which two, and how many rows are the same, changed, added and gone."""
    table = show.grid("left", "right", "left")
    table.columns[0].style = "dim"
    for side, label, found in (("before", labels[0], before), ("after", labels[1], after)):
        table.add_row(side, f"{found.table.num_rows:,} rows", Text(label))
    counts = Text.assemble(
        f"{result.same:,} rows the same, ",
        (f"{result.changed:,} changed", "yellow" if result.changed else ""),
        ", ",
        (f"{result.added:,} added", "green" if result.added else ""),
        ", ",
        (f"{result.gone:,} gone", "red" if result.gone else ""),
        style="bold",
    )
    return Group(Text(before.name, style="bold"), table, Text(), counts)


def settings(found: Settings) -> RenderableType | None:
    """Digests and settings that differ; None if none does."""
    table = show.grid("left", "left", "left", "left")
    table.columns[0].style = "dim"
    for name, (one, other) in found.values.items():
        table.add_row(name, Text(_value(one), style="red"), "→", Text(_value(other), style="green"))
    pairs = [("parameters", found.params), *((f"input {name}", pair) for name, pair in found.inputs.items())]
    for name, (one, other) in pairs:
        if one != other:
            table.add_row(name, one or "–", "→", other or "–")
    return table if table.row_count else None


def _value(value: Any) -> str:
    return "–" if value is None else str(value)


def columns(result: Difference) -> RenderableType:
    """In how many rows each column differs, with examples."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("column", no_wrap=True)
    table.add_column("rows", justify="right", no_wrap=True)
    if any(result.examples.values()):
        table.add_column("for instance", no_wrap=True, style="dim")
        table.add_column("before", style="red")
        table.add_column("after", style="green")
    for name, count in sorted(result.by_column.items(), key=lambda entry: -entry[1]):
        head = (name, f"{count:,}")
        if not result.examples[name]:
            table.add_row(*head)
        for change in result.examples[name]:
            key = " ".join(str(change.before[part]) for part in result.key)
            texts = (cells.shown(row)[name] for row in (change.before, change.after))
            table.add_row(*head, Text(key), *map(Text, texts))
            head = ("", "")
    return table


def _moved(one: Histogram, other: Histogram) -> bool:
    """Whether a mean, as printed, or a quantile differs."""
    if f"{one.mean():.3f}" != f"{other.mean():.3f}":
        return True
    return any(one.quantile(share) != other.quantile(share) for share in (0, 0.05, 0.5, 0.95, 1))


def distributions(
    before: Sequence[Histogram | Tally], after: Sequence[Histogram | Tally]
) -> RenderableType | None:
    """Means and shares that moved; None if none did."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("")
    for title in ("before", "after", "difference"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("before", style="cyan", no_wrap=True)
    table.add_column("after", style="cyan", no_wrap=True)
    for one, other in zip(before, after, strict=True):
        if isinstance(one, Histogram) and isinstance(other, Histogram):
            if one.counts and other.counts and _moved(one, other):
                means = one.mean(), other.mean()
                label = f"{one.label}, mean{f', {one.unit}' if one.unit else ''}"
                numbers = (f"{means[0]:.3f}", f"{means[1]:.3f}", f"{means[1] - means[0]:+.3f}")
                table.add_row(label, *numbers, one.bars(), other.bars())
        elif isinstance(one, Tally) and isinstance(other, Tally):
            for value in sorted({*one.counts, *other.counts}):
                pair = one.counts[value], other.counts[value]
                if pair[0] != pair[1]:
                    table.add_row(
                        f"{one.label} {value}", f"{pair[0]:,}", f"{pair[1]:,}", f"{pair[1] - pair[0]:+,}"
                    )
    return table if table.row_count else None
