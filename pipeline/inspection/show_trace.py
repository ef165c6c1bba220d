"""How a lineage looks in a terminal: from the patches down to the picture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pipeline.inspection import cells, show
from pipeline.inspection.trace import Trace

SHADES = "·░▒▓█"


def trace(found: Trace) -> RenderableType:
    """A block for each step of the lineage, then what is missing."""
    blocks: list[RenderableType] = []
    if found.patch_word:
        blocks.append(
            show.section(f"patch word  {found.phrase_id}", _patch_word(found.patch_word, found.patch))
        )
    else:
        blocks.append(show.section(f"no patch words  {found.phrase_id}", Text("the phrase lies on no patch")))
    blocks += [show.section(f"← region  {row['region_id']}", _region(row)) for row in found.regions]
    if found.phrase:
        blocks.append(show.section(f"← phrase  {found.phrase_id}", _phrase(found.phrase)))
    if found.caption:
        blocks.append(show.section(f"← caption  {found.caption['caption_id']}", _caption(found)))
    if found.image:
        blocks.append(show.section(f"← image  {found.image['image_id']}", _image(found.image)))
    if found.rejects:
        table = show.grid("left", "left", "left")
        for row in found.rejects:
            table.add_row(row["stage"], Text(row["key"]), Text(f"{row['reason']}: {row['message']}"))
        blocks.append(show.section("rejected", table))
    if found.missing:
        blocks.append(show.section("missing", Text("\n".join(found.missing), style="yellow")))
    return Group(*blocks)


def _facts(**facts: str) -> Table:
    table = show.grid("left", "left")
    table.columns[0].style = "dim"
    table.columns[1].overflow = "fold"
    for name, value in facts.items():
        table.add_row(name, Text(value))
    return table


def _patch_word(row: Mapping[str, Any], patch: int | None) -> RenderableType:
    words = ", ".join(f"{word['text']} ({word['role']})" for word in row["words"])
    covered = row["coverage"]
    span = f"{min(covered):.2f} to {max(covered):.2f} of a patch" if covered else "none"
    facts = _facts(
        words=words,
        patches=f"{len(row['patches'])} of {' × '.join(map(str, row['grid']))}, coverage {span}",
        score=f"{row['score']:.2f} by {row['annotator']}, split {row['split']}",
    )
    if patch is not None:
        down, across = divmod(patch, row["grid"][1])
        share = covered[row["patches"].index(patch)]
        facts.add_row("patch", f"{patch}: row {down}, column {across}, covered {share:.2f}", style="bold")
    picture = Table.grid(padding=(0, 4))
    picture.add_row(_shaded(row, patch), facts)
    return picture


def _shaded(row: Mapping[str, Any], patch: int | None) -> Text:
    """The patch grid, two characters a patch, the darker the more of it is covered; 0,0 at the top left."""
    rows, columns = row["grid"]
    shades = [SHADES[0]] * (rows * columns)
    for place, share in zip(row["patches"], row["coverage"], strict=True):
        shades[place] = SHADES[min(4, 1 + int(share * 4))]
    text = Text()
    for place, shade in enumerate(shades):
        style = "reverse bold" if place == patch else "dim" if shade == SHADES[0] else "yellow"
        text.append(shade * 2 if shade != SHADES[0] else f"{shade} ", style=style)
        if (place + 1) % columns == 0 and place + 1 < len(shades):
            text.append("\n")
    return text


def _region(row: Mapping[str, Any]) -> RenderableType:
    x0, y0, x1, y1 = row["box"]
    size = f"{cells.number(round(x1 - x0, 1))} × {cells.number(round(y1 - y0, 1))} px"
    return _facts(
        box=f"{cells.box(row['box'])} ({size})",
        mask=cells.mask(row["mask"]) if row["mask"] else "none: the whole box",
        score=f"{row['score']:.2f} by {row['annotator']}",
    )


def _phrase(row: Mapping[str, Any]) -> RenderableType:
    words = ", ".join(
        f"{word['text']} ({word['role']}, {word['start']}–{word['end']})" for word in row["words"]
    )
    return _facts(text=f"{row['text']}{' (several things)' if row['is_plural'] else ''}", words=words)


def _caption(found: Trace) -> RenderableType:
    assert found.caption is not None and found.phrase is not None
    text = Text(found.caption["text"])
    start, end = found.phrase["start"], found.phrase["end"]
    text.stylize("bold black on yellow", start, end)
    marks = "".join("^" if start <= place < end else " " for place in range(end))
    line = Group(text, Text(marks, style="yellow")) if "\n" not in found.caption["text"] else text
    return Group(line, Text(f"characters {start} to {end}, the end exclusive", style="dim"))


def _image(row: Mapping[str, Any]) -> RenderableType:
    return _facts(
        size=f"{row['width']} × {row['height']} px, split {row['split']}",
        picture=cells.picture(row["image"])
        + (" in the table" if row["image"].get("bytes") is not None else ""),
        sha256=row["sha256"],
    )
