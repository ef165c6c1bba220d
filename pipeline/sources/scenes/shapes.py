"""The silhouettes of the twenty nouns, as polygons.

A silhouette is a list of (outline, filled): polygons painted in order, the unfilled ones cut holes.
Outlines are (n, 2) arrays of x, y in any unit, y downwards; drawing scales them to the wanted size.
"""

from __future__ import annotations

import numpy as np

Outline = tuple[np.ndarray, bool]
Silhouette = tuple[Outline, ...]


def _polygon(*points: tuple[float, float]) -> Outline:
    return np.array(points, dtype=float), True


def _box(x0: float, y0: float, x1: float, y1: float) -> Outline:
    return _polygon((x0, y0), (x1, y0), (x1, y1), (x0, y1))


def _ellipse(x: float, y: float, rx: float, ry: float, start: float = 0, stop: float = 360) -> Outline:
    """An ellipse, or its segment from ``start`` to ``stop`` degrees (clockwise from the right)."""
    turn = np.radians(np.linspace(start, stop, 30, endpoint=stop - start < 360))
    return np.stack([x + rx * np.cos(turn), y + ry * np.sin(turn)], axis=1), True


def _hole(outline: Outline) -> Outline:
    return outline[0], False


def _star() -> Outline:
    turn = np.radians(np.arange(10) * 36 - 90)
    radius = np.where(np.arange(10) % 2 == 0, 1.0, 0.45)
    return np.stack([radius * np.cos(turn), radius * np.sin(turn)], axis=1), True


def _crescent() -> Outline:
    """A disc less a smaller one: the outer arc, and the inner one back."""
    disc, bite = (np.array([0.5, 0.5]), 0.5), (np.array([0.74, 0.42]), 0.42)
    towards = np.arctan2(*(bite[0] - disc[0])[::-1])
    turn = towards + np.linspace(0, 2 * np.pi, 72, endpoint=False)
    around = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    outer, inner = (centre + radius * around for centre, radius in (disc, bite))
    outer = outer[np.hypot(*(outer - bite[0]).T) >= bite[1]]
    inner = inner[np.hypot(*(inner - disc[0]).T) <= disc[1]]
    return np.concatenate([outer, inner[::-1]]), True


def _heart() -> Outline:
    # The usual parametric heart, x = 16 sin^3 t.
    t = np.linspace(0, 2 * np.pi, 36, endpoint=False)
    x = 16 * np.sin(t) ** 3
    y = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    return np.stack([x, -y], axis=1), True


def _leaf() -> Outline:
    t = np.linspace(0, 1, 14)
    width = 0.34 * np.sin(np.pi * t**0.8)  # pointed at both ends, widest below the middle
    right = np.stack([0.5 + width, 0.9 * (1 - t)], axis=1)
    left = np.stack([0.5 - width, 0.9 * (1 - t)], axis=1)[::-1]
    return np.concatenate([right, left]), True


def _flag() -> Outline:
    x = np.linspace(0.12, 1.0, 9)
    wave = 0.06 * np.sin((x - 0.12) * 7)
    top = np.stack([x, 0.06 + wave], axis=1)
    bottom = np.stack([x, 0.58 + wave], axis=1)[::-1]
    return np.concatenate([top, bottom]), True


# Ordered so that the first few differ most in silhouette: a small world takes the first k.
SILHOUETTES: dict[str, Silhouette] = {
    "star": (_star(),),
    "ring": (_ellipse(0.5, 0.5, 0.5, 0.5), _hole(_ellipse(0.5, 0.5, 0.27, 0.27))),
    "key": (
        _ellipse(0.22, 0.25, 0.25, 0.25),
        _hole(_ellipse(0.21, 0.25, 0.11, 0.11)),
        _box(0.42, 0.18, 1.1, 0.32),
        _box(0.72, 0.3, 0.83, 0.52),
        _box(0.96, 0.3, 1.1, 0.56),
    ),
    "moon": (_crescent(),),
    "flag": (_box(0.0, 0.0, 0.12, 1.15), _flag()),
    "lamp": (
        _polygon((0.3, 0.0), (0.7, 0.0), (0.95, 0.46), (0.05, 0.46)),
        _box(0.45, 0.44, 0.55, 0.98),
        _ellipse(0.5, 1.0, 0.28, 0.2, 180, 360),
    ),
    "kite": (
        _polygon((0.5, 0.0), (0.88, 0.36), (0.5, 0.8), (0.12, 0.36)),
        _polygon((0.46, 0.76), (0.54, 0.76), (0.62, 1.2), (0.52, 1.2)),
        _polygon((0.36, 0.9), (0.54, 0.98), (0.72, 0.9), (0.72, 1.08), (0.54, 1.0), (0.36, 1.08)),
    ),
    "house": (
        _box(0.1, 0.45, 0.9, 1.0),
        _polygon((0.0, 0.5), (0.5, 0.0), (1.0, 0.5)),
        _box(0.72, 0.05, 0.86, 0.4),
        _hole(_box(0.4, 0.66, 0.6, 1.0)),
    ),
    "boat": (
        _polygon((0.0, 0.66), (1.1, 0.66), (0.88, 1.0), (0.2, 1.0)),
        _box(0.5, 0.0, 0.57, 0.68),
        _polygon((0.6, 0.05), (0.98, 0.58), (0.6, 0.58)),
        _polygon((0.46, 0.16), (0.46, 0.58), (0.16, 0.58)),
    ),
    "cup": (
        _ellipse(0.76, 0.42, 0.28, 0.27),
        _hole(_ellipse(0.76, 0.42, 0.14, 0.14)),
        _polygon((0.0, 0.05), (0.78, 0.05), (0.68, 0.95), (0.1, 0.95)),
    ),
    "tree": (
        _polygon((0.5, 0.0), (0.84, 0.42), (0.16, 0.42)),
        _polygon((0.5, 0.22), (0.95, 0.8), (0.05, 0.8)),
        _box(0.4, 0.78, 0.6, 1.05),
    ),
    "cross": (_box(0.34, 0.0, 0.66, 1.0), _box(0.0, 0.34, 1.0, 0.66)),
    "heart": (_heart(),),
    "arrow": (
        _box(0.0, 0.32, 0.6, 0.6),
        _polygon((0.52, 0.04), (1.1, 0.46), (0.52, 0.88)),
    ),
    "fish": (
        _ellipse(0.42, 0.4, 0.42, 0.3),
        _polygon((0.72, 0.4), (1.15, 0.08), (1.15, 0.72)),
        _polygon((0.3, 0.16), (0.46, -0.06), (0.62, 0.2)),
        _hole(_ellipse(0.2, 0.33, 0.06, 0.06)),
    ),
    "leaf": (
        _leaf(),
        _polygon((0.46, 0.8), (0.54, 0.8), (0.62, 1.15), (0.53, 1.15)),
        _hole(_polygon((0.49, 0.14), (0.51, 0.14), (0.53, 0.72), (0.47, 0.72))),
        _hole(_polygon((0.49, 0.6), (0.69, 0.42), (0.71, 0.46), (0.52, 0.66))),
        _hole(_polygon((0.51, 0.48), (0.32, 0.32), (0.3, 0.36), (0.49, 0.54))),
    ),
    "hat": (_box(0.24, 0.0, 0.84, 0.62), _ellipse(0.54, 0.68, 0.56, 0.12)),
    "flower": (
        *(_ellipse(0.5 + 0.25 * dx, 0.35 + 0.25 * dy, 0.2, 0.2) for dx, dy in
          ((0.0, -1.0), (0.951, -0.309), (0.588, 0.809), (-0.588, 0.809), (-0.951, -0.309))),
        _box(0.45, 0.55, 0.55, 1.15),
        _polygon((0.5, 0.98), (0.72, 0.74), (0.86, 0.78), (0.78, 0.96), (0.5, 1.08)),
        _hole(_ellipse(0.5, 0.35, 0.1, 0.1)),
    ),
    "mushroom": (
        _ellipse(0.5, 0.5, 0.55, 0.5, 180, 360),
        _polygon((0.36, 0.48), (0.64, 0.48), (0.7, 1.0), (0.3, 1.0)),
    ),
    "bell": (
        _ellipse(0.5, 0.42, 0.32, 0.38, 180, 360),
        _polygon((0.18, 0.4), (0.82, 0.4), (0.86, 0.66), (1.0, 0.82), (0.0, 0.82), (0.14, 0.66)),
        _ellipse(0.5, 0.88, 0.13, 0.11),
        _ellipse(0.5, 0.05, 0.09, 0.08),
    ),
}  # fmt: skip

NOUNS = tuple(SILHOUETTES)
