"""Overlays: a phrase on its patches, similarity maps, boxes. The one drawing code for all of them.

The patch grid lies on the encoder's input (resized, cropped or padded), so patches are drawn where their
edges fall in the image's own pixels: a patch that sees padding is cut at the picture's border, and what the
crop leaves out carries no patch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from PIL import Image

from pipeline.patches.geometry import Geometry
from pipeline.report import canvas
from pipeline.report.canvas import Box, Colour, Panel

COVERAGE_MAP = "YlOrRd"
SIMILARITY_MAP = "viridis"
COVERAGE_ALPHA = (0.55, 0.85)
"""Opacity of a patch that is hardly, and one that is wholly covered."""
SIMILARITY_ALPHA = 0.78
GRID_ALPHA = 0.22
SMALLEST_PATCH = 6
"""Panel pixels a patch needs for its grid lines to be drawn."""

Edges = tuple[np.ndarray, np.ndarray]


def patch_edges(geometry: Geometry, width: int, height: int) -> Edges:
    """Edges of the patches in pixels of a ``width`` x ``height`` image: (columns + 1,) and (rows + 1,).

    The inverse of the encoder's preprocessing; edges may lie outside the image where it was padded.
    """
    rows, columns = geometry.grid
    scale_x, scale_y, shift_x, shift_y = (float(part[0]) for part in geometry.transform(width, height))
    across = (np.arange(columns + 1) * geometry.patch[1] - shift_x) / scale_x
    down = (np.arange(rows + 1) * geometry.patch[0] - shift_y) / scale_y
    return across, down


def dense(patches: Sequence[int], coverage: Sequence[float], grid: Sequence[int]) -> np.ndarray:
    """A ``patch_words`` row's patches as a (rows, columns) array of coverage, 0 where unlit."""
    values = np.zeros(grid[0] * grid[1], dtype=np.float64)
    values[np.asarray(patches, dtype=np.int64)] = np.asarray(coverage, dtype=np.float64)
    return values.reshape(grid[0], grid[1])


def coverage_panel(
    picture: Image.Image, edges: Edges, coverage: np.ndarray, regions: Sequence[Mapping[str, Any]] = ()
) -> Image.Image:
    """The picture with a phrase's patches lit by their coverage and its regions outlined.

    ``coverage`` (rows, columns), 0 to 1; a patch of 0 is left as it is, a lit one is drawn over the picture
    in grey, so that the colour tells the coverage whatever colour the object has. ``regions`` are rows of
    the table ``regions``: the mask is outlined where there is one, else the box.
    """
    on = canvas.panel(picture)
    low, high = COVERAGE_ALPHA
    alpha = np.where(coverage > 0, low + (high - low) * coverage, 0.0)
    grey = np.asarray(Image.fromarray(on.pixels).convert("L").convert("RGB"))
    pixels = _paint(on, grey, edges, _colours(COVERAGE_MAP, coverage), alpha)
    pixels = _grid_lines(Panel(pixels, on.scale), edges)
    return Image.fromarray(_outlines(Panel(pixels, on.scale), regions))


def similarity_panel(
    picture: Image.Image,
    edges: Edges,
    similarity: np.ndarray,
    limits: tuple[float, float],
    regions: Sequence[Mapping[str, Any]] = (),
) -> Image.Image:
    """The picture in grey under the similarity of each patch, (rows, columns), coloured between ``limits``.

    Give both arms' panels the same limits (`shared_limits`), so that colours compare.
    """
    on = canvas.panel(picture.convert("L").convert("RGB"))
    low, high = limits
    scaled = (np.asarray(similarity, dtype=np.float64) - low) / max(high - low, 1e-9)
    colours = _colours(SIMILARITY_MAP, np.clip(scaled, 0, 1))
    pixels = _paint(on, on.pixels, edges, colours, np.full(scaled.shape, SIMILARITY_ALPHA))
    return Image.fromarray(_outlines(Panel(pixels, on.scale), regions))


def shared_limits(maps: Sequence[np.ndarray]) -> tuple[float, float]:
    """The smallest and the largest similarity of all maps: one colour scale for them."""
    return float(min(np.min(one) for one in maps)), float(max(np.max(one) for one in maps))


def box_panel(
    picture: Image.Image, boxes: Sequence[tuple[Box, Colour]], true: Box | None = None
) -> Image.Image:
    """The picture with boxes (image pixels, half-open) in their colours, later ones on top.

    The ``true`` box goes below them, in the white and black that outlines regions.
    """
    on = canvas.panel(picture)
    pixels = on.pixels
    if true is not None:
        pixels = canvas.outline(pixels, canvas.inside_box(on, true), width=3)
    for box, colour in boxes:
        pixels = canvas.outline(pixels, canvas.inside_box(on, box), colour, canvas.LIGHT, width=3)
    return Image.fromarray(pixels)


def scale_colours(name: str, steps: int = 256) -> np.ndarray:
    """A colour map as (steps, 3) uint8, lowest value first: for colour bars."""
    return np.rint(_colours(name, np.linspace(0, 1, steps))).astype(np.uint8)


def _paint(on: Panel, under: np.ndarray, edges: Edges, colours: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """The panel with each patch of ``alpha`` above 0 painted over ``under``, (height, width, 3).

    ``colours`` (rows, columns, 3) and ``alpha`` (rows, columns) are the patches'.
    """
    columns, rows = canvas.patch_of_pixels(on, *edges)
    # Index -1, what no patch sees, takes the row and column of nothing that are put last.
    padded_alpha = np.pad(alpha, ((0, 1), (0, 1)))
    padded_colours = np.pad(colours, ((0, 1), (0, 1), (0, 0)))
    where = np.ix_(rows, columns)
    weight = padded_alpha[where]
    return np.where(weight[..., None] > 0, canvas.blend(under, padded_colours[where], weight), on.pixels)


def _colours(name: str, values: np.ndarray) -> np.ndarray:
    return matplotlib.colormaps[name](values)[..., :3] * 255


def _grid_lines(on: Panel, edges: Edges) -> np.ndarray:
    """Thin lines between patches, left out where patches are too small to tell apart."""
    across, down = edges[0] * on.scale[0], edges[1] * on.scale[1]
    if min(across[1] - across[0], down[1] - down[0]) < SMALLEST_PATCH:
        return on.pixels
    columns, rows = canvas.patch_of_pixels(on, *edges)
    change_x = np.diff(columns, prepend=columns[:1]) != 0
    change_y = np.diff(rows, prepend=rows[:1]) != 0
    lines = (change_x[None, :] & (rows >= 0)[:, None]) | (change_y[:, None] & (columns >= 0)[None, :])
    return canvas.blend(on.pixels, np.array(canvas.LIGHT, dtype=np.float64), lines * GRID_ALPHA)


def _outlines(on: Panel, regions: Sequence[Mapping[str, Any]]) -> np.ndarray:
    pixels = on.pixels
    for region in regions:
        mask = region.get("mask")
        inside = canvas.inside_mask(on, mask) if mask else canvas.inside_box(on, region["box"])
        pixels = canvas.outline(pixels, inside)
    return pixels
