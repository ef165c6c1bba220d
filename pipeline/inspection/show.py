"""How a dataset looks in a terminal."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pipeline.inspection import cells, describe
from pipeline.inspection.describe import Dataset
from pipeline.inspection.distributions import Histogram, Tally

LOG_WIDTH = 110
"""Columns, where there is no terminal to fit."""
WIDE = 90
QUANTILES = {"min": 0.0, "5 %": 0.05, "median": 0.5, "95 %": 0.95, "max": 1.0}
SHOWN_VALUES = 6
BAR_CELLS = 20


def console() -> Console:
    """A console as wide as the terminal; wide enough for a log where there is none.

    Texts come out as they are: what users named ``[raw]`` or ``:cup:`` is neither style nor picture.
    """
    out = Console(highlight=False, markup=False, emoji=False)
    if not out.is_terminal and "COLUMNS" not in os.environ:
        out.width = LOG_WIDTH
    return out


def section(title: str, body: RenderableType) -> Group:
    """A titled block, with a line of air above."""
    return Group(Text(), Text(title, style="bold cyan"), Padding(body, (0, 0, 0, 2), expand=False))


def grid(*justify: str) -> Table:
    """A table without lines, for aligned text."""
    table = Table.grid(padding=(0, 2))
    for side in justify:
        table.add_column(justify=side)  # type: ignore[arg-type]
    return table


def heading(found: Dataset, rows: int) -> RenderableType:
    """What it is, how much of it, what made it."""
    title = Text.assemble((found.name, "bold"), ("  ", ""), (found.doc, ""))
    facts = grid("left", "left")
    facts.columns[0].style = "dim"
    facts.columns[1].overflow = "fold"
    count = len(found.parts)
    facts.add_row(
        "rows", f"{rows:,} in {count:,} part{'s' * (count > 1)}, {cells.bytes_in_words(found.size)}"
    )
    facts.add_row("path", str(found.path))
    return Group(title, Padding(facts, (0, 0, 0, 2), expand=False))


def origin(found: Dataset, force_digest: bool = False) -> RenderableType:
    """Digests of the content, the parameters and the inputs, and the settings that DVC recorded."""
    lines = grid("left", "left")
    lines.columns[0].style = "dim"
    content = found.content_digest(force_digest)
    if content:
        lines.add_row("content", content)
    elif found.path.is_dir():
        lines.add_row("content", Text("large, not read: --digest reads all of it", style="dim"))
    lines.add_row("parameters", found.made_from.params or "–")
    for name, digest, known in found.inputs():
        style = "yellow" if known.startswith("has changed") else "dim"
        lines.add_row(f"input {name}", Text.assemble(digest, ("  " + known if known else "", style)))
    recorded = describe.settings(found.folder)
    if recorded is None:
        return lines
    lock, stage, settings = recorded
    table = grid("left", "left")
    table.columns[0].style = "dim"
    for name, value in settings.items():
        if value not in ({}, []):
            table.add_row(name, Text(str(value)))
    if not table.row_count:
        return lines
    return Group(lines, Text(f"settings of the stage {stage} in {lock.name}", style="dim italic"), table)


def schema(found: Dataset) -> RenderableType:
    """A line on each column, then the names that filters have for elements of lists."""
    table = grid("left", "left", "left")
    table.columns[0].no_wrap = True
    table.columns[1].style = "green"
    table.columns[2].style = "dim"
    for name, kind, line in describe.columns(found.schema):
        table.add_row(name, Text(kind), Text(line))
    names = describe.elements(found.schema)
    if not names:
        return table
    listed = ", ".join(f"{name} ({column})" for name, column in names)
    return Group(table, Text(f"in --where also: {listed}", style="dim italic"))


def distributions(results: Sequence[Histogram | Tally], width: int = LOG_WIDTH) -> RenderableType:
    """Numbers with their mean, quantiles and shape; values with their shares.

    On less than `WIDE` columns only the mean, the median and the shape are given.
    """
    titles = QUANTILES if width >= WIDE else {"median": 0.5}
    numbers = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    numbers.add_column("", min_width=20)
    for title in ("mean", *titles):
        numbers.add_column(title, justify="right", no_wrap=True)
    numbers.add_column("min to max", no_wrap=True, style="cyan")
    numbers.add_column("of", justify="right", no_wrap=True, style="dim")
    tallies = grid("left", "left", "right", "right", "left")
    tallies.columns[3].style = "dim"
    tallies.columns[4].style = "cyan"
    for each in results:
        if isinstance(each, Tally):
            for row in _values(each):
                tallies.add_row(*row)
        elif each.counts:
            unit = f", {each.unit}" if each.unit else ""
            quantiles = (each.quantile(share) for share in titles.values())
            numbers.add_row(
                f"{each.label}{unit}",
                f"{each.mean():.2f}",
                *map(cells.number, quantiles),
                each.bars(),
                f"{each.count:,}",
            )
        else:
            numbers.add_row(each.label, "none")
    blocks: list[RenderableType] = [table for table in (numbers, tallies) if table.row_count]
    return Group(*(blocks if len(blocks) < 2 else [numbers, Text(), tallies]))


def _values(tally: Tally) -> list[tuple[str | Text, ...]]:
    """(label, value, count, share, bar) of each value; the rarer ones in one row."""
    ranked = tally.ranked()
    if not ranked:
        return [(tally.label, Text("none", style="dim"))]

    def share(count: int) -> str:
        return f"{100 * count / tally.count:.1f} %"

    lines: list[tuple[str | Text, ...]] = [
        ("", Text(value), f"{count:,}", share(count), "█" * max(1, round(BAR_CELLS * count / ranked[0][1])))
        for value, count in ranked[:SHOWN_VALUES]
    ]
    if rest := ranked[SHOWN_VALUES:]:
        count = sum(each for _, each in rest)
        lines.append(("", Text(f"{len(rest):,} others", style="dim"), f"{count:,}", share(count), ""))
    lines[0] = (tally.label, *lines[0][1:])
    return lines


def rows(found: Sequence[dict[str, Any]], root: Path | None) -> RenderableType:
    """Rows that fit: what is the same in all of them is said once, ids that another contains are left out."""
    shown = [cells.shown(row, root) for row in found]
    if len(shown) == 1:
        facts = grid("left", "left")
        facts.columns[0].style = "dim"
        facts.columns[1].overflow = "fold"
        for name, text in shown[0].items():
            facts.add_row(name, Text(text))
        return facts
    names = list(shown[0]) if shown else []
    same = [name for name in names if len({row[name] for row in shown}) == 1]
    inside = [name for name in names if _is_inside(name, names, found)]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    left = [name for name in names if name not in same and name not in inside]
    for name in left:
        is_number = isinstance(found[0][name], (int, float)) and not isinstance(found[0][name], bool)
        table.add_column(
            name,
            justify="right" if is_number else "left",
            no_wrap=name.endswith("_id") or is_number,
            overflow="ellipsis" if name.endswith("_id") else "fold",
        )
    for row in shown:
        table.add_row(*(Text(row[name]) for name in left))
    common = ", ".join(f"{name} {shown[0][name]}" for name in same if name not in inside)
    if not common:
        return table
    return Group(table, Text(f"in all of these: {common}", style="dim italic"))


def _is_inside(name: str, names: Iterable[str], rows: Sequence[dict[str, Any]]) -> bool:
    """Whether another id of the row begins with this one, in every row."""
    if not name.endswith("_id"):
        return False
    others = [each for each in names if each.endswith("_id") and each != name]
    return any(all(str(row[other]).startswith(f"{row[name]}/") for row in rows) for other in others)


def overview(folder: Path, found: Sequence[Dataset]) -> RenderableType:
    """The datasets below a folder, a line each."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for title, side in (("dataset", "left"), ("rows", "right"), ("size", "right"), ("a row is", "left")):
        table.add_column(title, justify=side, no_wrap=title != "a row is")  # type: ignore[arg-type]
    for each in found:
        count = sum(part.num_rows for part in each.tables())
        name = each.path.relative_to(folder).as_posix()
        what = re.split(r"[.:;,] ?", each.doc.removeprefix("A row is "))[0]
        table.add_row(name, f"{count:,}", cells.bytes_in_words(each.size), Text(what, style="dim"))
    return table
