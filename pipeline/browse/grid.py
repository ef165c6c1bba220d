"""Where the encoder's patches lie on an image, and the colours that the report gives them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from pipeline.errors import UserError
from pipeline.patches.geometry import Geometry


@dataclass(frozen=True)
class Edges:
    """Edges of the patches in image pixels, cut at the image's border."""

    x: list[float]
    y: list[float]
    width: int
    height: int

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns."""
        return len(self.y) - 1, len(self.x) - 1

    def shares(self, patches: list[int]) -> list[tuple[float, float, float, float]]:
        """Patches as (left, top, width, height), shares of the picture's width and height."""
        found = []
        for patch in patches:
            row, column = divmod(patch, self.grid[1])
            left, right = self.x[column] / self.width, self.x[column + 1] / self.width
            top, bottom = self.y[row] / self.height, self.y[row + 1] / self.height
            found.append((round(left, 5), round(top, 5), round(right - left, 5), round(bottom - top, 5)))
        return found


class Grids:
    """Patch edges for images of any size, by the encoder of a data folder."""

    def __init__(self, data: Path) -> None:
        self.geometry: Geometry | None = None
        self.problem: str | None = None
        """Why there are no edges, if there are none."""
        folder = data / "models" / "encoder"
        if not folder.is_dir():
            self.problem = (
                f"There is no encoder at {folder}, so patches cannot be placed on pictures:"
                " run `dvc repro encoder` to make it."
            )
            return
        try:
            self.geometry = Geometry.from_encoder(folder)
        except UserError as error:
            self.problem = str(error)

    def edges(self, width: int, height: int) -> Edges | None:
        """The edges on an image of this size; None where the encoder is missing."""
        return None if self.geometry is None else _edges(self.geometry, width, height)


@lru_cache(maxsize=4096)
def _edges(geometry: Geometry, width: int, height: int) -> Edges:
    # Imported here: the drawing code brings matplotlib, which the first page does without.
    from pipeline.report import overlays

    x, y = overlays.patch_edges(geometry, width, height)
    return Edges(
        [round(float(edge), 4) for edge in np.clip(x, 0, width)],
        [round(float(edge), 4) for edge in np.clip(y, 0, height)],
        width,
        height,
    )


@lru_cache(maxsize=1)
def coverage_colours(steps: int = 64) -> list[str]:
    """The report's colours of coverage 0 to 1, evenly spaced, as ``#rrggbb``."""
    from pipeline.report import overlays

    return _hexadecimal(overlays.scale_colours(overlays.COVERAGE_MAP, steps))


@lru_cache(maxsize=1)
def similarity_colours(steps: int = 16) -> list[str]:
    """The report's colours of similarity, lowest first, as ``#rrggbb``."""
    from pipeline.report import overlays

    return _hexadecimal(overlays.scale_colours(overlays.SIMILARITY_MAP, steps))


def _hexadecimal(colours: np.ndarray) -> list[str]:
    return [f"#{bytes(rgb).hex()}" for rgb in colours]
