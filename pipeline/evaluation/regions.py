"""The held-out regions that a projector is judged on: their patches, words and boxes.

Shapes: B images, N vision tokens of an image, D width, R regions.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from pipeline.evaluation.alignment import region_patches
from pipeline.tables import dataset
from pipeline.tables.dense import dense_coverage
from pipeline.training.features import ImageFeatures
from pipeline.training.losses import pool_regions
from pipeline.training.supervision import check_grid

BATCH = 500

Measures = dict[str, tuple[list[str], np.ndarray]]
"""Of each metric the examples that it was measured on and its value for each."""


@dataclass(frozen=True)
class Regions:
    """Held-out regions: their image's number, dense coverage (R, N), phrases and words."""

    table: pa.Table
    image: np.ndarray
    coverage: np.ndarray
    words: list[list[dict]]

    def __len__(self) -> int:
        return len(self.words)

    @property
    def phrase_ids(self) -> list[str]:
        """The phrase that each region shows."""
        return self.table["phrase_id"].to_pylist()

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the patch grid; of no region it is unknown, and an error to ask for."""
        rows, columns = self.table["grid"][0].as_py()
        return rows, columns

    def of_role(self, role: str) -> list[list[str]]:
        """The lemmas of each region's words with a role."""
        return [[word["lemma"] for word in words if word["role"] == role] for words in self.words]

    def boxes(self) -> np.ndarray:
        """The box around each region's patches, (R, 4): x0, y0, x1, y1 in patches, half-open."""
        on_RHW = region_patches(self.coverage).reshape(-1, *self.grid)
        lines = (on_RHW.max(1), on_RHW.max(2))  # columns, then rows, that the region is on
        (x0, x1), (y0, y1) = ((line.argmax(1), line.shape[1] - line[:, ::-1].argmax(1)) for line in lines)
        return np.stack([x0, y0, x1, y1], axis=1)


def load_regions(folder: Path, features: ImageFeatures, most: int) -> Regions:
    """The first ``most`` patch words of the features' images, every image in its turn.

    ``folder`` is the dataset ``true_words``.
    """
    number = {image: index for index, image in enumerate(features.image_ids)}
    table = dataset.read(folder)
    check_grid(table, features.patch_count, folder)
    keep = [row for row, image in enumerate(table["image_id"].to_pylist()) if image in number][:most]
    table = table.take(keep)
    image = np.asarray([number[image] for image in table["image_id"].to_pylist()], np.int64)
    coverage = dense_coverage(table).reshape(-1, features.patch_count)
    return Regions(table, image, coverage, table["words"].to_pylist())


def region_vectors(tokens_BND: torch.Tensor, regions: Regions) -> torch.Tensor:
    """v (R, D): each region's coverage-weighted mean token."""
    weights = torch.from_numpy(regions.coverage).unsqueeze(1)
    return torch.cat(
        [
            pool_regions(
                tokens_BND[regions.image[start : start + BATCH]], weights[start : start + BATCH]
            ).squeeze(1)
            for start in range(0, len(regions.image), BATCH)
        ]
    )
