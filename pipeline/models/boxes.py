"""Boxes as words that a language model reads and writes, and back.

Boxes are ``(x0, y0, x1, y1)`` in pixels of the image as displayed, half-open. The formats:

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
``llava_padded``
    The same of the square that LLaVA pads an image to (``expand2square``: the shorter side is centred, an odd
    pixel more at its end), as in its own referring data.
``qwen``
    ``{"bbox_2d": [77, 144, 288, 384]}``: pixels of the image, as Qwen2.5-VL writes them (arXiv 2502.13923).
    Its pixels are those of the image that it was given: give that one's size where it was resized before.
``qwen_thousandths``
    ``<|box_start|>(120,300),(450,800)<|box_end|>``: thousandths of width and height, as Qwen2-VL (arXiv
    2409.12191).
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

Box = tuple[float, float, float, float]

Name = Literal["bins", "llava", "llava_padded", "qwen", "qwen_thousandths"]
NAMES = get_args(Name)

_NUMBER = r"\s*(\d*\.?\d+|\d+\.)\s*"
_LLAVA = re.compile(rf"\[{_NUMBER},{_NUMBER},{_NUMBER},{_NUMBER}\]")
_PATTERNS = {
    "bins": re.compile(r"<b(\d+)>\s*<b(\d+)>\s*<b(\d+)>\s*<b(\d+)>"),
    "llava": _LLAVA,
    "llava_padded": _LLAVA,
    "qwen": re.compile(rf"[\"']bbox_2d[\"']\s*:\s*{_LLAVA.pattern}"),
    "qwen_thousandths": re.compile(
        rf"<\|box_start\|>\s*\({_NUMBER},{_NUMBER}\)\s*,\s*\({_NUMBER},{_NUMBER}\)\s*<\|box_end\|>"
    ),
}


@dataclass(frozen=True)
class BoxFormat:
    """How boxes are written: ``bins`` with a number of bins a side; the other formats ignore ``bins``."""

    name: Name = "bins"
    bins: int = 16

    def __post_init__(self) -> None:
        if self.name not in NAMES:
            raise ValueError(f"box format {self.name!r} is not known: it is one of {', '.join(NAMES)}")
        if self.bins < 2:
            raise ValueError(f"a box format needs at least 2 bins, got {self.bins}")

    def words(self) -> tuple[str, ...]:
        """The words that a tokenizer needs for this format, in order; only ``bins`` has any."""
        return tuple(self._word(i) for i in range(self.bins)) if self.name == "bins" else ()

    def render(self, box: Sequence[float], width: float, height: float) -> str:
        """Write a box of an image of ``width x height`` pixels; what lies outside the image is cut off.

        Raises ValueError for a box that is not finite or has no area within the image.
        """
        x0, y0, x1, y1 = (float(edge) for edge in box)
        words: list[str] = []
        left, above, sides = self._frame(width, height)
        for low, high, side in ((x0, x1, width), (y0, y1, height)):
            low, high = max(low, 0.0), min(high, float(side))
            if not low < high:  # also true of NaN
                raise ValueError(f"box {tuple(box)} has no area in an image of {width} x {height} pixels")
            offset, whole = (left, sides[0]) if not words else (above, sides[1])
            words += self._write_span((low + offset) / whole, (high + offset) / whole, whole)
        x0_word, x1_word, y0_word, y1_word = words
        return self._sentence(x0_word, y0_word, x1_word, y1_word)

    def parse(self, text: str, width: float, height: float) -> Box | None:
        """The first box in a text, in pixels; None where there is none, or it is inverted or out of range."""
        match = _PATTERNS[self.name].search(text)
        if match is None:
            return None
        x0, y0, x1, y1 = match.groups()
        left, above, sides = self._frame(width, height)
        across, down = self._read_span(x0, x1, sides[0]), self._read_span(y0, y1, sides[1])
        if across is None or down is None:
            return None
        return (
            across[0] * sides[0] - left, down[0] * sides[1] - above,
            across[1] * sides[0] - left, down[1] * sides[1] - above,
        )  # fmt: skip

    def _frame(self, width: float, height: float) -> tuple[float, float, tuple[float, float]]:
        """Where the image lies in what boxes are given in: its left and upper edge, and the frame's sides."""
        if self.name != "llava_padded":
            return 0.0, 0.0, (width, height)
        side = max(width, height)
        return (side - width) // 2, (side - height) // 2, (side, side)

    def _sentence(self, x0: str, y0: str, x1: str, y1: str) -> str:
        if self.name == "bins":
            return " ".join((x0, y0, x1, y1))
        if self.name == "qwen_thousandths":
            return f"<|box_start|>({x0},{y0}),({x1},{y1})<|box_end|>"
        listed = f"[{x0}, {y0}, {x1}, {y1}]"
        return f'{{"bbox_2d": {listed}}}' if self.name == "qwen" else listed

    def _units(self, side: float) -> float:
        """Steps of a coordinate along a side."""
        return {"qwen": side, "qwen_thousandths": 1000}.get(self.name, 100)

    def _word(self, index: int) -> str:
        return f"<b{index:0{max(2, len(str(self.bins - 1)))}d}>"

    def _write_span(self, low: float, high: float, side: float) -> tuple[str, str]:
        """Words for two shares of a side, 0 <= low < high <= 1."""
        if self.name == "bins":
            first = min(math.floor(low * self.bins), self.bins - 1)
            return self._word(first), self._word(max(math.ceil(high * self.bins) - 1, first))
        units = self._units(side)
        start, stop = round(low * units), round(high * units)
        if start == stop:  # thinner than a step: the step that it starts in
            start = min(math.floor(low * units), math.ceil(units) - 1)
            stop = start + 1
        if self.name in ("llava", "llava_padded"):
            return f"{start / 100:.2f}", f"{stop / 100:.2f}"
        return str(start), str(stop)

    def _read_span(self, start: str, stop: str, side: float) -> tuple[float, float] | None:
        """Two words as shares of a side; None if they are out of range or inverted."""
        if self.name == "bins":
            first, last = int(start), int(stop)
            if not first <= last < self.bins:
                return None
            inset = 0.5 if first < last else 1 / 6
            return (first + inset) / self.bins, (last + 1 - inset) / self.bins
        whole = 1.0 if self.name in ("llava", "llava_padded") else self._units(side)
        low, high = float(start) / whole, float(stop) / whole
        return (low, high) if 0.0 <= low < high <= 1.0 else None
