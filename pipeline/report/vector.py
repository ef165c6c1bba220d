"""A phrase on its patches as SVG: the picture of `drawing.draw_phrase`, with shapes that stay shapes.

Patches are rectangles that tell their coverage when pointed at, regions are paths, the caption is text; the
photograph alone is pixels. Sizes, colours and the breaking of lines are those of the PNG.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
from PIL import Image

from pipeline.patches.geometry import Geometry
from pipeline.report import canvas, drawing, figure, outlines, overlays
from pipeline.report.lookup import Phrase

STYLE = (
    "text{font-family:'DejaVu Sans',sans-serif;fill:#1c1e22}"
    ".note{fill:#686c74}"
    ".region path{fill:none;vector-effect:non-scaling-stroke}"
    "image{image-rendering:pixelated}"
)


def draw_phrase(picture: Image.Image, phrase: Phrase, row: Mapping[str, Any], geometry: Geometry) -> str:
    """SVG of a phrase: the picture with its regions, the same with its patches lit, bar and caption.

    ``row`` is the phrase's row of ``patch_words``.
    """
    height, width = canvas.panel(picture).pixels.shape[:2]
    sheet = figure.Sheet.of([(width, height)] * 2, phrase.caption, phrase.span)
    regions = "".join(outlines.of_region(region) for region in phrase.regions)
    patches = _patches(row, overlays.patch_edges(geometry, *picture.size), picture.size)
    plain, grey = canvas.data_uri(picture.convert("RGB")), canvas.data_uri(picture.convert("L"))
    frame = (picture.size, (width, height))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {sheet.width} {sheet.height}" '
        f'width="{sheet.width}" height="{sheet.height}" role="img">',
        f"<title>{escape(row['phrase'])}: {escape(phrase.caption)}</title><style>{STYLE}</style>",
        '<rect width="100%" height="100%" fill="#fff"/>',
        _panel("Regions", (figure.MARGIN, sheet.top), frame, _image(plain, picture.size), regions),
        _panel(
            "Patches",
            (figure.MARGIN + width + figure.GAP, sheet.top),
            frame,
            _image(plain, picture.size) + _lit(grey, patches, picture.size),
            regions,
        ),
        _bar(figure.MARGIN, sheet.bars, min(sheet.across, figure.WIDEST_BAR)),
        *_caption(sheet),
        f'<text class="note" x="{figure.MARGIN}" y="{sheet.note + figure.SMALL}" '
        f'font-size="{figure.SMALL}" xml:space="preserve">{escape(drawing.note_of(row))}</text>',
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _patches(row: Mapping[str, Any], edges: overlays.Edges, size: tuple[int, int]) -> list[str]:
    """Each lit patch as a rectangle in image pixels, cut at the image's border."""
    x, y = (np.clip(edge, 0, side) for edge, side in zip(edges, size, strict=True))
    colours = overlays.scale_colours(overlays.COVERAGE_MAP)
    low, high = overlays.COVERAGE_ALPHA
    found = []
    for patch, share in zip(row["patches"], row["coverage"], strict=True):
        down, over = divmod(patch, row["grid"][1])
        colour = bytes(colours[round(share * (len(colours) - 1))]).hex()
        found.append(
            f'<rect x="{x[over]:g}" y="{y[down]:g}" width="{x[over + 1] - x[over]:g}" '
            f'height="{y[down + 1] - y[down]:g}" fill="#{colour}" '
            f'fill-opacity="{low + (high - low) * share:.3g}">'
            f"<title>row {down + 1}, column {over + 1}: {share:.0%} covered</title></rect>"
        )
    return found


def _lit(grey: str, patches: list[str], size: tuple[int, int]) -> str:
    """The picture in grey below the lit patches alone, so that a colour tells the coverage, and they."""
    if not patches:
        return ""
    holes = "".join(patches)
    clip = f'<clipPath id="lit">{holes}</clipPath>'
    return f'{clip}<g clip-path="url(#lit)">{_image(grey, size)}</g><g class="patches">{holes}</g>'


def _panel(
    title: str,
    corner: tuple[int, int],
    frame: tuple[tuple[int, int], tuple[int, int]],
    content: str,
    regions: str,
) -> str:
    (x, y), (inner, outer) = corner, frame
    return (
        f'<text x="{x}" y="{y - 10}" font-size="{figure.TITLE}" font-weight="bold">{title}</text>'
        f'<svg x="{x}" y="{y}" width="{outer[0]}" height="{outer[1]}" '
        f'viewBox="0 0 {inner[0]} {inner[1]}" preserveAspectRatio="none">{content}'
        f'<g class="region"><path d="{regions}" stroke="#141418" stroke-width="4"/>'
        f'<path d="{regions}" stroke="#fff" stroke-width="2"/></g></svg>'
    )


def _image(data: str, size: tuple[int, int]) -> str:
    return f'<image width="{size[0]}" height="{size[1]}" preserveAspectRatio="none" href="{data}"/>'


def _bar(x: int, y: int, width: int) -> str:
    colours = overlays.scale_colours(overlays.COVERAGE_MAP, 12)
    stops = "".join(
        f'<stop offset="{k / (len(colours) - 1):.3g}" stop-color="#{bytes(colour).hex()}"/>'
        for k, colour in enumerate(colours)
    )
    labels = (("start", x, "0"), ("middle", x + width / 2, "coverage of the patch"), ("end", x + width, "1"))
    return (
        f'<linearGradient id="coverage">{stops}</linearGradient>'
        f'<rect x="{x}" y="{y}" width="{width}" height="8" fill="url(#coverage)"/>'
        + "".join(
            f'<text class="note" x="{place:g}" y="{y + 24}" text-anchor="{anchor}" '
            f'font-size="{figure.SMALL}">{label}</text>'
            for anchor, place, label in labels
        )
    )


def _caption(sheet: figure.Sheet) -> list[str]:
    """The caption's lines; each run is as long as in the PNG, whatever font the viewer has."""
    font = canvas.font(figure.BODY)
    drawn = []
    for run in sheet.runs:
        x, y = figure.MARGIN + run.x, sheet.text + run.line * sheet.line
        words = run.text.rstrip()
        length = font.getlength(words)
        if run.marked:
            drawn.append(
                f'<rect x="{x - 2:.1f}" y="{y - 2}" width="{length + 4:.1f}" height="{figure.BODY + 6}" '
                f'rx="4" fill="#{bytes(figure.MARKER).hex()}"/>'
            )
        if words:
            indent = font.getlength(words[: len(words) - len(words.lstrip())])
            drawn.append(
                f'<text x="{x + indent:.1f}" y="{y + figure.BODY - 2}" font-size="{figure.BODY}" '
                f'textLength="{length - indent:.1f}">{escape(words.lstrip())}</text>'
            )
    return drawn
