"""Pixels: silhouettes, patterns, backgrounds, and where things go.

Each silhouette is drawn once, four times as large, and averaged down; it then moves by whole pixels, so
that a try at placing it costs one look at the pixels below it.
"""

from __future__ import annotations

import io
import math
from functools import cache
from random import Random

import numpy as np
from PIL import Image, ImageChops, ImageDraw
from pycocotools import mask as coco

from pipeline.params import ScenesParams
from pipeline.sources.scenes import world
from pipeline.sources.scenes.shapes import SILHOUETTES
from pipeline.sources.scenes.world import COLOURS, Scene, Thing
from pipeline.tables import masks

_FINE = 4  # supersampling
_TRIES = 30  # places tried for a thing before it is left out
_RESTARTS = 20  # scenes tried before one with fewer things than asked for is kept
_VISIBLY = 0.03  # share of an object that has to be hidden for "behind" to be said

# Muted tones, far from the colours of things, with an adjective that is true of each.
_TONES = {
    "grey": ((128, 128, 130), (150, 150, 148), (142, 146, 152)),
    "light": ((186, 190, 196), (196, 188, 176), (184, 194, 182)),
    "dark": ((84, 88, 98), (98, 90, 84), (82, 94, 88)),
}

# Where a thing lies: x, y of its window's upper left corner; its opacity; the pixels that it fills, bool.
Window = tuple[int, int, Image.Image, np.ndarray]


def draw(params: ScenesParams, rng: Random) -> Scene:
    """Make one scene; everything in it comes from ``params`` and ``rng``.

    Things are placed by rejection, wholly inside the picture, and hide at most ``params.overlap`` of any
    earlier one. What does not fit is left out; a scene with fewer than ``params.objects[0]`` things is
    kept only if twenty tries at the whole scene bring no better one.
    """
    fewest = params.objects[0]
    things, windows, owner = _place(params, world.sample(params, rng), rng)
    for _ in range(_RESTARTS):
        if len(things) >= fewest:
            break
        again = _place(params, world.sample(params, rng), rng)
        if len(again[0]) > len(things):
            things, windows, owner = again
    background, canvas = _background(params.image_size, rng)
    for thing, (x, y, opacity, _) in zip(things, windows, strict=True):
        _paint(canvas, thing, x, y, opacity, rng)
    file = io.BytesIO()
    canvas.save(file, "PNG", compress_level=1)
    visible = owner[:, :, None] == np.arange(1, len(things) + 1, dtype=owner.dtype)
    encoded = coco.encode(np.asfortranarray(visible.view(np.uint8)))
    return Scene(
        side=params.image_size,
        things=tuple(things),
        boxes=tuple((x, y, x + w, y + h) for x, y, w, h in coco.toBbox(encoded).tolist()),
        masks=tuple(masks.from_coco(mask) for mask in encoded),
        hides=_hidden(windows, owner),
        background=background,
        png=file.getvalue(),
    )


def silhouette(thing: Thing) -> Image.Image:
    """Opacity of the thing, an 8-bit grey picture, its longer side ``thing.length`` pixels."""
    outlines, ends, filled = _outlines(thing.noun)
    cos, sin = math.cos(thing.angle), math.sin(thing.angle)
    turned = outlines @ np.array([[thing.aspect * cos, thing.aspect * sin], [-sin, cos]])
    turned -= turned.min(axis=0)
    extent = turned.max(axis=0)
    scale = thing.length / extent.max()
    width, height = (max(1, math.ceil(side)) for side in (extent * scale).tolist())
    points = (turned * (scale * _FINE) - 0.5).ravel().tolist()
    fine = Image.new("L", (width * _FINE, height * _FINE))
    pen = ImageDraw.Draw(fine)
    start = 0
    for end, ink in zip(ends, filled, strict=True):
        pen.polygon(points[start:end], fill=ink)
        start = end
    return fine.reduce(_FINE)


@cache
def _outlines(noun: str) -> tuple[np.ndarray, tuple[int, ...], tuple[int, ...]]:
    """All points of a silhouette, where each polygon ends in the flat list, and its ink."""
    polygons = SILHOUETTES[noun]
    ends = np.cumsum([2 * len(points) for points, _ in polygons])
    return np.concatenate([p for p, _ in polygons]), tuple(ends.tolist()), tuple(255 * f for _, f in polygons)


def _place(
    params: ScenesParams, wanted: list[Thing], rng: Random
) -> tuple[list[Thing], list[Window], np.ndarray]:
    side = params.image_size
    # Which thing owns each pixel: 0 for none, k + 1 for thing k.
    owner = np.zeros((side, side), dtype=np.uint8 if len(wanted) < 255 else np.uint16)
    things: list[Thing] = []
    windows: list[Window] = []
    spare = [side * side]  # pixels that may still be hidden: of the background, and of each thing
    for thing in wanted:
        opacity = silhouette(thing)
        solid = np.asarray(opacity) >= 128
        height, width = solid.shape
        if height > side or width > side:
            continue
        for _ in range(_TRIES):
            x, y = rng.randint(0, side - width), rng.randint(0, side - height)
            below = owner[y : y + height, x : x + width]
            hidden = np.bincount(below[solid], minlength=len(spare)).tolist()
            if any(lost > free for lost, free in zip(hidden, spare, strict=True)):
                continue
            if any(
                lost and other.colour == thing.colour for lost, other in zip(hidden[1:], things, strict=True)
            ):
                continue  # two of one colour would melt into one shape
            spare = [free - lost for lost, free in zip(hidden, spare, strict=True)]
            spare.append(int(params.overlap * np.count_nonzero(solid)))
            things.append(thing)
            windows.append((x, y, opacity, solid))
            below[solid] = len(things)
            break
    return things, windows, owner


def _hidden(windows: list[Window], owner: np.ndarray) -> frozenset[tuple[int, int]]:
    """(nearer, farther) for every pair of which the nearer owns a visible share of the farther's pixels."""
    pairs = []
    for far, (x, y, _, solid) in enumerate(windows[:-1]):
        height, width = solid.shape
        owners = np.bincount(owner[y : y + height, x : x + width][solid])
        least = _VISIBLY * owners.sum()
        pairs += [(near, far) for near in range(far + 1, len(owners) - 1) if owners[near + 1] > least]
    return frozenset(pairs)


def _background(side: int, rng: Random) -> tuple[str, Image.Image]:
    """A few tones, stretched smoothly over the picture: solid, gradient or soft noise."""
    word = rng.choice(tuple(_TONES))
    tone = rng.choice(_TONES[word])
    cells = rng.choice((1, 2, 5))
    swing = {1: 0, 2: 22, 5: 16}[cells]
    values = []
    for _ in range(cells * cells):
        shift = rng.randint(-swing, swing)
        values += [level + shift for level in tone]
    small = Image.frombytes("RGB", (cells, cells), bytes(values))
    return word, small.resize((side, side), Image.Resampling.BICUBIC)


def _paint(canvas: Image.Image, thing: Thing, x: int, y: int, opacity: Image.Image, rng: Random) -> None:
    colour = tuple(max(0, min(255, level + rng.randint(-8, 8))) for level in COLOURS[thing.colour])
    canvas.paste(colour, (x, y), opacity)
    if thing.pattern != "plain":
        # The second tone leaves the colour's name true: lighter marks, or darker ones on light colours.
        towards = 255 if sum(colour) < 480 else 0
        second = tuple(int(0.45 * level + 0.55 * towards) for level in colour)
        marks = _pattern(thing.pattern, max(4, canvas.width // 12)).crop((0, 0, *opacity.size))
        canvas.paste(second, (x, y), ImageChops.multiply(opacity, marks))


@cache
def _pattern(pattern: str, period: int) -> Image.Image:
    """Marks of a pattern, 512 x 512, repeating every ``period`` pixels."""
    fine = (np.arange(512 * _FINE) + 0.5) / (_FINE * period) % 1
    x, y = fine[None, :], fine[:, None]
    if pattern == "striped":
        marks = (x + y) % 1 < 0.42
    elif pattern == "dotted":
        marks = (x - 0.5) ** 2 + (y - 0.5) ** 2 < 0.3**2
    else:
        marks = (x < 0.5) != (y < 0.5)
    return Image.fromarray(marks.astype(np.uint8) * 255).reduce(_FINE)
