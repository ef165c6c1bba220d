"""Drawing basics that every overlay shares: fonts, scaling, patches as pixels, outlines, PNG bytes.

A *panel* is a picture scaled for looking at. Small pictures are enlarged by a whole factor with nearest
neighbour, so that a pixel stays a square; large ones are reduced.
"""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from PIL import Image, ImageFilter, ImageFont

from pipeline.tables import masks

SMALLEST_SIDE = 320
LONGEST_SIDE = 560
Box = tuple[float, float, float, float]
Colour = tuple[int, int, int]
LIGHT: Colour = (255, 255, 255)
DARK: Colour = (20, 20, 24)


@dataclass(frozen=True)
class Panel:
    """A scaled picture: ``pixels`` (height, width, 3) uint8, and panel pixels for each image pixel."""

    pixels: np.ndarray
    scale: tuple[float, float]
    """Across and down: they differ by less than a pixel's rounding."""


def panel(picture: Image.Image) -> Panel:
    """The picture, RGB, enlarged to at least 320 px a side or reduced to at most 560 px."""
    width, height = picture.size
    factor = min(-(-SMALLEST_SIDE // min(width, height)), max(LONGEST_SIDE // max(width, height), 1))
    if factor > 1:
        size, method = (width * factor, height * factor), Image.Resampling.NEAREST
    else:
        ratio = min(1.0, LONGEST_SIDE / max(width, height))
        size = (max(1, round(width * ratio)), max(1, round(height * ratio)))
        method = Image.Resampling.LANCZOS
    scaled = picture.convert("RGB").resize(size, method)
    return Panel(np.asarray(scaled), (size[0] / width, size[1] / height))


def patch_of_pixels(on: Panel, x_edges: np.ndarray, y_edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The patch column of each panel column and the patch row of each panel row; -1 outside the grid.

    ``x_edges`` (columns + 1) and ``y_edges`` (rows + 1) are the patches' edges in image pixels.
    """
    height, width = on.pixels.shape[:2]
    found = []
    for side, scale, edges in ((width, on.scale[0], x_edges), (height, on.scale[1], y_edges)):
        centres = (np.arange(side) + 0.5) / scale
        index = np.searchsorted(edges, centres, side="right") - 1
        found.append(np.where((index >= 0) & (index < len(edges) - 1), index, -1))
    return found[0], found[1]


def blend(pixels: np.ndarray, colour: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """``colour`` over ``pixels`` (height, width, 3); where ``alpha`` (height, width) is 0 nothing changes."""
    weight = alpha[..., None]
    return np.rint(pixels * (1 - weight) + colour * weight).astype(np.uint8)


def outline(
    pixels: np.ndarray,
    inside: np.ndarray,
    colour: Colour = LIGHT,
    halo_colour: Colour = DARK,
    width: int = 2,
) -> np.ndarray:
    """A line of ``width`` pixels inside the border of ``inside`` (height, width), a thin halo outside it.

    Of the two tones one is seen on whatever the picture shows.
    """
    # What lies outside the picture is outside the region too: the line goes along the picture's edge.
    shape = Image.fromarray(np.pad(inside, width).astype(np.uint8) * 255)
    within = (slice(width, -width), slice(width, -width))
    core = np.asarray(shape.filter(ImageFilter.MinFilter(2 * width + 1)))[within] > 0
    halo = np.asarray(shape.filter(ImageFilter.MaxFilter(3)))[within] > 0
    drawn = pixels.copy()
    drawn[halo & ~inside] = halo_colour
    drawn[inside & ~core] = colour
    return drawn


def inside_box(on: Panel, box: Box) -> np.ndarray:
    """The panel pixels in a box of image pixels, as a boolean (height, width) array; at least one pixel."""
    height, width = on.pixels.shape[:2]
    inside = np.zeros((height, width), dtype=bool)
    x0, x1 = _pixel_range(box[0], box[2], on.scale[0], width)
    y0, y1 = _pixel_range(box[1], box[3], on.scale[1], height)
    inside[y0:y1, x0:x1] = True
    return inside


def inside_mask(on: Panel, mask: dict[str, Any]) -> np.ndarray:
    """The panel pixels in a mask (COCO RLE of the image as displayed)."""
    height, width = on.pixels.shape[:2]
    scaled = Image.fromarray(masks.decode(mask)).resize((width, height), Image.Resampling.NEAREST)
    return np.asarray(scaled)


def _pixel_range(low: float, high: float, scale: float, side: int) -> tuple[int, int]:
    first = int(np.clip(round(low * scale), 0, side - 1))
    return first, int(np.clip(round(high * scale), first + 1, side))


@lru_cache
def font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, as matplotlib ships it: the same glyphs on every machine."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name), size)


def png(image: Image.Image | np.ndarray) -> bytes:
    """PNG bytes without metadata."""
    buffer = io.BytesIO()
    drawn = image if isinstance(image, Image.Image) else Image.fromarray(image)
    drawn.save(buffer, format="PNG", compress_level=6)
    return buffer.getvalue()


def data_uri(image: Image.Image | np.ndarray) -> str:
    """A picture inside a page or an SVG."""
    return "data:image/png;base64," + base64.b64encode(png(image)).decode()
