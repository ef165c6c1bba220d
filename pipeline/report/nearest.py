"""An image's patches labelled by the words that their vision tokens are nearest to, as SVG."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape

from PIL import Image

from pipeline.report import canvas
from pipeline.report.overlays import Edges

SIDE = 480
"""Longest side of a panel, in units of its own."""
MOST = 12
"""Labels along a side; on a finer grid every second (third, ...) patch is labelled."""
LARGEST = 15
CARRIED = 0.25
"""Share of a patch that a phrase has to cover for its words to be right there."""


@dataclass(frozen=True)
class Panel:
    """One arm at one stage of training."""

    arm: str
    stage: str
    svg: str
    right: int
    """Labelled patches whose word is one that a phrase says of them, of `carrying`."""
    carrying: int


def carried_words(rows: Sequence[Mapping[str, Any]], patches: int) -> list[set[str]]:
    """The words of each patch of an image, from its rows of ``patch_words``."""
    found: list[set[str]] = [set() for _ in range(patches)]
    for row in rows:
        words = {word["text"].lower() for word in row["words"] if word["role"] != "number"}
        for patch, coverage in zip(row["patches"], row["coverage"], strict=True):
            if coverage >= CARRIED:
                found[patch] |= words
    return found


def panel(
    picture: Image.Image,
    edges: Edges,
    labels: Mapping[str, Any],
    carried: Sequence[Collection[str]],
    arm: str,
    stage: str,
) -> Panel:
    """The picture, pale, with each patch's nearest word; words that a phrase says of the patch are marked.

    ``labels`` is the image's row of ``patch_labels``; ``carried`` what `carried_words` gives.
    """
    width, height = picture.size
    scale = SIDE / max(width, height)
    rows, columns = labels["grid"]
    step = -(-max(rows, columns) // MOST)
    x, y = ([float(edge) * scale for edge in axis] for axis in edges)
    drawn, right, carrying = [], 0, 0
    for down in range(step // 2, rows, step):
        for over in range(step // 2, columns, step):
            patch = down * columns + over
            word = labels["words"][patch]
            hit = word in carried[patch]
            right, carrying = right + hit, carrying + bool(carried[patch])
            first, last = max(over - step // 2, 0), min(over - step // 2 + step, columns)
            top, bottom = max(down - step // 2, 0), min(down - step // 2 + step, rows)
            cell = (x[first], y[top], x[last] - x[first], y[bottom] - y[top])
            said = f"{word}, cosine {labels['similarity'][patch]:.2f}" + (
                f"; the captions say {', '.join(sorted(carried[patch]))}" if carried[patch] else ""
            )
            drawn.append(_cell(cell, word, hit, said))
    name = f"{right} of {carrying} patches that a phrase covers have one of its words nearest"
    svg = (
        f'<svg class="nearest" role="img" aria-label="{escape(name)}" '
        f'viewBox="0 0 {width * scale:g} {height * scale:g}">'
        f'<image width="{width * scale:g}" height="{height * scale:g}" opacity=".45" '
        f'preserveAspectRatio="none" href="{canvas.data_uri(picture)}"/>{"".join(drawn)}</svg>'
    )
    return Panel(arm, stage, svg, right, carrying)


def _cell(box: tuple[float, float, float, float], word: str, hit: bool, said: str) -> str:
    x, y, width, height = box
    size = min(LARGEST, height * 0.45, 1.75 * (width - 2) / max(len(word), 1))
    kind = ' class="hit"' if hit else ""
    return (
        f"<g{kind}><title>{escape(said)}</title>"
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"/>'
        f'<text x="{x + width / 2:.1f}" y="{y + height / 2 + size / 3:.1f}" text-anchor="middle" '
        f'font-size="{size:.1f}">{escape(word)}</text></g>'
    )
