"""What is in a scene: things with a noun, a colour, a pattern, a size; and the scene itself."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from pipeline.params import ScenesParams
from pipeline.sources.scenes.shapes import NOUNS

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (214, 30, 38),
    "green": (34, 150, 52),
    "blue": (30, 72, 216),
    "yellow": (250, 218, 32),
    "white": (252, 252, 250),
    "black": (16, 16, 18),
    "purple": (126, 32, 172),
    "orange": (250, 132, 16),
    "pink": (252, 142, 190),
    "brown": (112, 64, 24),
}
PATTERNS = ("plain", "striped", "dotted", "checked")

# Lengths come from three separate bands of the range, so that "small" and "large" are never a matter of
# opinion; a range narrower than this ratio has no size words at all.
_SIZE_BANDS = {"small": (0.0, 0.2), "": (0.38, 0.62), "large": (0.8, 1.0)}
_SIZE_RATIO = 1.4


@dataclass(frozen=True, slots=True)
class Thing:
    """An object of a scene, before it has a place."""

    noun: str
    colour: str
    pattern: str
    size: str
    """``small``, ``large``, or empty where it is clearly neither."""
    length: float
    """Longer side, pixels."""
    aspect: float
    """Factor on the silhouette's width."""
    angle: float
    """Rotation, radians."""

    @property
    def attributes(self) -> list[str]:
        """Colour, then pattern unless plain, then size if it is clear."""
        return [self.colour, *([self.pattern] if self.pattern != "plain" else []), *filter(None, [self.size])]


@dataclass(frozen=True, slots=True)
class Scene:
    """A drawn scene: parallel tuples over its objects, farthest first, and what lies behind them."""

    side: int
    """Width and height, pixels."""
    things: tuple[Thing, ...]
    boxes: tuple[tuple[float, float, float, float], ...]
    """Tight boxes of the visible pixels: x0, y0, x1, y1, half-open."""
    masks: tuple[dict, ...]
    """Visible pixels, as values of a mask column."""
    hides: frozenset[tuple[int, int]]
    """(nearer, farther) where the nearer object visibly hides some of the farther."""
    background: str
    """An adjective that is true of the background."""
    png: bytes


def sample(params: ScenesParams, rng: Random) -> list[Thing]:
    """Draw what a scene would hold if everything found a place.

    Nouns and colours repeat within a scene more often than chance would have it: an expression such as
    "the red cup" needs its colour only where there is another cup.
    """
    nouns, colours = NOUNS[: params.nouns], tuple(COLOURS)[: params.colours]
    things: list[Thing] = []
    for _ in range(rng.randint(*params.objects)):
        noun, colour = rng.choice(nouns), rng.choice(colours)
        if things:
            other, chance = rng.choice(things), rng.random()
            if chance < 0.5:
                noun = other.noun
            if chance < 0.12 or 0.5 <= chance < 0.65:
                colour = other.colour
        size, length = _size(params, rng)
        things.append(
            Thing(
                noun=noun,
                colour=colour,
                pattern=rng.choice(PATTERNS[: params.patterns]),
                size=size,
                length=length,
                aspect=rng.uniform(0.88, 1.14),
                angle=rng.uniform(-0.2, 0.2),
            )
        )
    return things


def _size(params: ScenesParams, rng: Random) -> tuple[str, float]:
    low, high = (share * params.image_size for share in params.object_size)
    if high < _SIZE_RATIO * low:
        return "", rng.uniform(low, high)
    size = rng.choice(("small", "", "large"))
    first, last = _SIZE_BANDS[size]
    return size, low + (high - low) * rng.uniform(first, last)
