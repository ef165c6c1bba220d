"""Panels put together: titles, colour bars, and the caption with the phrase marked in it, as one PNG."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from PIL import Image, ImageDraw

from pipeline.report import canvas, overlays

MARGIN = 20
GAP = 16
WIDEST_BAR = 360
TITLE, BODY, SMALL = 15, 16, 12
INK, MUTED, PAPER = (28, 30, 34), (104, 108, 116), (255, 255, 255)
MARKER = (255, 224, 130)


@dataclass(frozen=True)
class Run:
    """Characters of a text that stand together on a line, and where: pixels from the text's corner."""

    text: str
    x: float
    line: int
    marked: bool


@dataclass(frozen=True)
class Bar:
    """A colour bar: a colour map's name, the values at its ends as text, and what they measure."""

    colours: str
    low: str
    high: str
    label: str


def split_at(text: str, start: int, end: int) -> tuple[str, str, str]:
    """The text before, in and after the characters ``start:end``."""
    return text[:start], text[start:end], text[end:]


def lay_out(text: str, start: int, end: int, size: int, width: float) -> list[Run]:
    """Break a text into lines of at most ``width`` pixels, with the characters ``start:end`` marked.

    Lines break after spaces; a longer word stands on a line of its own. The runs' texts, one after
    another, are the whole text.
    """
    font = canvas.font(size)
    runs: list[Run] = []
    x, line = 0.0, 0
    for word in re.finditer(r"\S*\s*", text):
        if not word.group():
            continue
        if x > 0 and x + font.getlength(word.group().rstrip()) > width:
            x, line = 0.0, line + 1
        cuts = sorted({word.start(), word.end(), *(c for c in (start, end) if word.start() < c < word.end())})
        for first, last in pairwise(cuts):
            piece = text[first:last]
            marked = start <= first < end
            if runs and runs[-1].line == line and runs[-1].marked == marked:
                runs[-1] = Run(runs[-1].text + piece, runs[-1].x, line, marked)
            else:
                runs.append(Run(piece, x, line, marked))
            x += font.getlength(piece)
    return runs


@dataclass(frozen=True)
class Sheet:
    """Where things stand on a figure: pixels from its corner, panels side by side across the top."""

    across: int
    """Width of the panels with the gaps between them."""
    top: int
    """Of the panels."""
    bars: int
    text: int
    line: int
    """Height of a line of the caption."""
    note: int
    width: int
    height: int
    runs: list[Run]

    @classmethod
    def of(
        cls,
        panels: Sequence[tuple[int, int]],
        caption: str,
        span: tuple[int, int],
        bars: bool = True,
        note: bool = True,
    ) -> Sheet:
        """Lay out panels of these widths and heights, with or without colour bars and a note."""
        across = sum(width for width, _ in panels) + GAP * (len(panels) - 1)
        runs = lay_out(caption, *span, BODY, across)
        line = round(BODY * 1.6)
        top = MARGIN + TITLE + 10
        below = top + max(height for _, height in panels) + 14
        text = below + (44 if bars else 0)
        end = text + line * (1 + max((run.line for run in runs), default=0))
        height = end + (SMALL + 10 if note else 0) + MARGIN
        return cls(across, top, below, text, line, end + 6, across + 2 * MARGIN, height, runs)


def compose(
    panels: Sequence[tuple[str, Image.Image]],
    caption: str,
    span: tuple[int, int],
    bars: Sequence[Bar] = (),
    note: str = "",
) -> Image.Image:
    """Panels side by side under their titles, colour bars, then the caption with ``span`` marked.

    The caption is the legend: the marked characters are the phrase whose patches are lit.
    """
    on = Sheet.of([image.size for _, image in panels], caption, span, bool(bars), bool(note))
    sheet = Image.new("RGB", (on.width, on.height), PAPER)
    draw = ImageDraw.Draw(sheet)
    x = MARGIN
    for title, image in panels:
        draw.text((x, MARGIN), title, INK, canvas.font(TITLE, bold=True))
        sheet.paste(image, (x, on.top))
        x += image.width + GAP
    for index, bar in enumerate(bars):
        width = (on.across - GAP * (len(bars) - 1)) // len(bars)
        _draw_bar(sheet, draw, bar, (MARGIN + index * (width + GAP), on.bars), min(width, WIDEST_BAR))
    for run in on.runs:
        position = (MARGIN + run.x, on.text + run.line * on.line)
        if run.marked:
            _mark(draw, run, position)
        draw.text(position, run.text, INK, canvas.font(BODY))
    if note:
        draw.text((MARGIN, on.note), note, MUTED, canvas.font(SMALL))
    return sheet


def _mark(draw: ImageDraw.ImageDraw, run: Run, position: tuple[float, float]) -> None:
    length = canvas.font(BODY).getlength(run.text.rstrip())
    x, y = position
    draw.rounded_rectangle((x - 2, y - 2, x + length + 2, y + BODY + 4), 4, MARKER)


def _draw_bar(
    sheet: Image.Image, draw: ImageDraw.ImageDraw, bar: Bar, corner: tuple[int, int], width: int
) -> None:
    x, y = corner
    colours = overlays.scale_colours(bar.colours, width)
    sheet.paste(Image.fromarray(np.broadcast_to(colours, (8, width, 3)).copy()), (x, y))
    font = canvas.font(SMALL)
    draw.text((x, y + 12), bar.low, MUTED, font)
    draw.text((x + width - font.getlength(bar.high), y + 12), bar.high, MUTED, font)
    draw.text((x + (width - font.getlength(bar.label)) / 2, y + 12), bar.label, MUTED, font)
