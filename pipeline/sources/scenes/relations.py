"""What is where in a scene: which relations hold, and which hold beyond dispute.

Positions are the centres of the boxes around visible pixels, as shares of the picture's side. Every
relation has two readings. *Clearly*: nobody would deny it (the offset is marked and in the dominant
direction). *Possibly*: somebody might say it (the centre lies on that side at all). What is asserted holds
clearly; what has to be ruled out does not hold even possibly.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

from pipeline.sources.scenes.world import Scene

LEFT, RIGHT, ABOVE, BELOW = DIRECTIONS = ("left of", "right of", "above", "below")
OPPOSITE = {LEFT: RIGHT, RIGHT: LEFT, ABOVE: BELOW, BELOW: ABOVE}
_AXIS_SIGN = {LEFT: (0, -1), RIGHT: (0, 1), ABOVE: (1, -1), BELOW: (1, 1)}
MARKED = 0.14  # offset that is clear at a glance, share of the side
APART = 0.08  # difference of centres that orders things beyond dispute, share of the side
NEAR = 0.12  # widest gap between neighbours, share of the side

Point = tuple[float, float]


class Places:
    """The places of a scene's objects, by their indices."""

    def __init__(self, scene: Scene) -> None:
        double = 2 * scene.side
        self.centres: list[Point] = [
            ((x0 + x1) / double, (y0 + y1) / double) for x0, y0, x1, y1 in scene.boxes
        ]
        self._boxes = [tuple(edge / scene.side for edge in box) for box in scene.boxes]
        self._hides = scene.hides

    def clearly(self, relation: str, a: int, b: int) -> bool:
        """Whether a stands in the relation to b beyond dispute."""
        axis, sign = _AXIS_SIGN[relation]
        p, q = self.centres[a], self.centres[b]
        offset = sign * (p[axis] - q[axis])
        # An exact diagonal counts for both of its directions, whichever way its floats were rounded.
        return offset >= MARKED and offset >= abs(p[1 - axis] - q[1 - axis]) - 1e-9

    def possibly(self, relation: str, a: int, b: int) -> bool:
        """Whether somebody might say that a stands in the relation to b."""
        axis, sign = _AXIS_SIGN[relation]
        return sign * (self.centres[a][axis] - self.centres[b][axis]) > 0

    def all_clearly(self, relation: str, some: Iterable[int], others: Sequence[int]) -> bool:
        """Whether every one of ``some`` stands in the relation to every one of ``others``."""
        return all(self.clearly(relation, a, b) for a in some for b in others)

    def only(self, relation: str, among: Iterable[int], anchor: int) -> int | None:
        """The one of ``among`` that clearly stands in the relation to the anchor, if no other might."""
        might = [a for a in among if a != anchor and self.possibly(relation, a, anchor)]
        return might[0] if len(might) == 1 and self.clearly(relation, might[0], anchor) else None

    def beside(self, a: int, b: int) -> bool:
        """Whether a and b are neighbours, roughly at one height, with little between them."""
        ax0, ay0, ax1, ay1 = self._boxes[a]
        bx0, by0, bx1, by1 = self._boxes[b]
        gap = max(ax0 - bx1, bx0 - ax1)
        level = abs(self.centres[a][1] - self.centres[b][1]) <= 0.5 * min(ay1 - ay0, by1 - by0)
        return level and -0.02 <= gap <= NEAR

    def in_front(self, a: int, b: int) -> bool:
        """Whether a visibly hides some of b."""
        return (a, b) in self._hides

    def between(self, a: int, b: int, c: int) -> bool:
        """Whether a lies between b and c: near the line that joins them, well inside its ends."""
        (px, py), (qx, qy), (rx, ry) = self.centres[a], self.centres[b], self.centres[c]
        dx, dy = rx - qx, ry - qy
        square = dx * dx + dy * dy
        along = (px - qx) * dx + (py - qy) * dy
        across = (px - qx) * dy - (py - qy) * dx
        return square >= 0.09 and 0.25 <= along / square <= 0.75 and across * across <= 0.01 * square

    def in_line(self, some: Iterable[int], axis: int = 0) -> list[int] | None:
        """The objects from left to right (axis 0) or top to bottom (1), if no two are too close to call."""
        line = sorted(some, key=lambda a: self.centres[a][axis])
        apart = all(self.centres[b][axis] - self.centres[a][axis] >= APART for a, b in pairwise(line))
        return line if apart else None
