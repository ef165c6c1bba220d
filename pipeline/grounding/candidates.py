"""What a detector says of an image and its texts before any threshold: little enough to be kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

FLOOR = 0.05
"""Boxes below this probability are not kept: of a detector's hundreds of boxes all but a few."""

_COLUMNS = 6  # x0, y0, x1, y1, best, mean


class Candidates(NamedTuple):
    """The boxes of one text that may turn out to be its regions."""

    best: float
    """The highest score of any box, above the floor or not; 0 without boxes."""
    mean: float
    """The highest mean score of any box."""
    rows: np.ndarray
    """Pixel box x0, y0, x1, y1, then ``best`` and ``mean`` of the box, float32 (boxes, 6)."""


def gather(boxes_Q4: np.ndarray, best_Q: np.ndarray, mean_Q: np.ndarray, floor: float) -> Candidates:
    """The candidates of one text: boxes with ``best`` above ``floor``, in the detector's order."""
    above = best_Q > floor
    rows = np.column_stack([boxes_Q4[above], best_Q[above], mean_Q[above]]).astype("<f4", copy=False)
    return Candidates(float(best_Q.max(initial=0)), float(mean_Q.max(initial=0)), rows)


def floor_of(threshold: float) -> float:
    """The floor that serves a threshold: the usual one, or none at all."""
    return FLOOR if threshold >= FLOOR else 0.0


def pack(size: tuple[int, int], found: Sequence[Candidates | None]) -> bytes:
    """An image's size (width, height, pixels) and each text's candidates (None: it has no token) as bytes."""
    counts = [-1 if one is None else len(one.rows) for one in found]
    some = [one for one in found if one is not None]
    return b"".join(
        [
            np.array([*size, *counts], "<i4").tobytes(),
            np.array([(one.best, one.mean) for one in some], "<f4").tobytes(),
            *(one.rows.astype("<f4").tobytes() for one in some),
        ]
    )


def unpack(data: bytes, count: int) -> tuple[tuple[int, int], list[Candidates | None]]:
    """What `pack` was given; ``count`` texts."""
    width, height, *counts = np.frombuffer(data, "<i4", count + 2).tolist()
    numbers = np.frombuffer(data, "<f4", offset=4 * (count + 2))
    some = sum(number >= 0 for number in counts)
    highest = numbers[: 2 * some].reshape(-1, 2).tolist()
    rows = numbers[2 * some :].reshape(-1, _COLUMNS)
    found: list[Candidates | None] = []
    first = taken = 0
    for number in counts:
        if number < 0:
            found.append(None)
            continue
        best, mean = highest[taken]
        found.append(Candidates(best, mean, rows[first : first + number]))
        first, taken = first + number, taken + 1
    return (width, height), found
