"""Boxes as words that a language model reads and writes, and back.

Boxes are ``(x0, y0, x1, y1)`` in pixels of the image as displayed, half-open. Two formats:

``bins``
    Four words, ``<b03> <b05> <b10> <b12>``, of a small vocabulary of its own. Bin i of B covers i/B to
    (i + 1)/B of the image's side: ``x0`` is written as the bin that the box's first point lies in, ``x1`` as
    the bin of its last point (an edge that falls on a bin's border closes the bin before it).
    Read back as the bins' centres: the centre is the median of where an edge may lie, hence the least
    expected displacement, for edges anywhere in the bin as for edges on whole pixels. Where both edges share
    a bin the box is read as the bin's middle two thirds, the best expected IoU for two random edges in it.
``llava``
    ``[0.12, 0.30, 0.45, 0.80]``: shares of the image's width and height, two decimals, as LLaVA-1.5 is
    trained to write them (Liu et al., arXiv 2310.03744). Shares of the image itself, not of a padded square.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Box = tuple[float, float, float, float]

_BINS = re.compile(r"<b(\d+)>\s*<b(\d+)>\s*<b(\d+)>\s*<b(\d+)>")
_NUMBER = r"\s*(\d*\.?\d+|\d+\.)\s*"
_LLAVA = re.compile(rf"\[{_NUMBER},{_NUMBER},{_NUMBER},{_NUMBER}\]")


@dataclass(frozen=True)
class BoxFormat:
    """How boxes are written: ``bins`` with a number of bins a side, or ``llava`` (which ignores ``bins``)."""

    name: Literal["bins", "llava"] = "bins"
    bins: int = 16

    def __post_init__(self) -> None:
        if self.name not in ("bins", "llava"):
            raise ValueError(f"box format {self.name!r} is not known: use 'bins' or 'llava'")
        if self.bins < 2:
            raise ValueError(f"a box format needs at least 2 bins, got {self.bins}")

    def words(self) -> tuple[str, ...]:
        """The words that a tokenizer needs for this format, in order; none for ``llava``."""
        return tuple(self._word(i) for i in range(self.bins)) if self.name == "bins" else ()

    def render(self, box: Sequence[float], width: float, height: float) -> str:
        """Write a box of an image of ``width x height`` pixels; what lies outside the image is cut off.

        Raises ValueError for a box that is not finite or has no area within the image.
        """
        x0, y0, x1, y1 = (float(edge) for edge in box)
        spans = []
        for low, high, side in ((x0, x1, width), (y0, y1, height)):
            low, high = max(low, 0.0), min(high, float(side))
            if not low < high:  # also true of NaN
                raise ValueError(f"box {tuple(box)} has no area in an image of {width} x {height} pixels")
            spans.append(self._write_span(low / side, high / side))
        (x0_word, x1_word), (y0_word, y1_word) = spans
        words = (x0_word, y0_word, x1_word, y1_word)
        return " ".join(words) if self.name == "bins" else f"[{', '.join(words)}]"

    def parse(self, text: str, width: float, height: float) -> Box | None:
        """The first box in a text, in pixels; None where there is none, or it is inverted or out of range."""
        match = (_BINS if self.name == "bins" else _LLAVA).search(text)
        if match is None:
            return None
        x0, y0, x1, y1 = match.groups()
        across, down = self._read_span(x0, x1), self._read_span(y0, y1)
        if across is None or down is None:
            return None
        return across[0] * width, down[0] * height, across[1] * width, down[1] * height

    def _word(self, index: int) -> str:
        return f"<b{index:0{max(2, len(str(self.bins - 1)))}d}>"

    def _write_span(self, low: float, high: float) -> tuple[str, str]:
        """Words for two shares of a side, 0 <= low < high <= 1."""
        if self.name == "bins":
            first = min(math.floor(low * self.bins), self.bins - 1)
            return self._word(first), self._word(max(math.ceil(high * self.bins) - 1, first))
        start, stop = round(low * 100), round(high * 100)
        if start == stop:  # thinner than two decimals can say: the hundredth that it starts in
            start = min(math.floor(low * 100), 99)
            stop = start + 1
        return f"{start / 100:.2f}", f"{stop / 100:.2f}"

    def _read_span(self, start: str, stop: str) -> tuple[float, float] | None:
        """Two words as shares of a side; None if they are out of range or inverted."""
        if self.name == "bins":
            first, last = int(start), int(stop)
            if not first <= last < self.bins:
                return None
            inset = 0.5 if first < last else 1 / 6
            return (first + inset) / self.bins, (last + 1 - inset) / self.bins
        low, high = float(start), float(stop)
        return (low, high) if 0.0 <= low < high <= 1.0 else None
