"""The frozen encoder's patch tokens of every image: computed once, shared by arms, seeds and evaluation.

Or, with ``train.cache_features: false``, whenever they are asked for (`pipeline.training.on_demand`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from pipeline import params as parameters
from pipeline.console import run_command
from pipeline.models import encoder as encoders
from pipeline.tables import dataset, digests, schemas
from pipeline.tables.dataset import Provenance
from pipeline.training import on_demand
from pipeline.training.images import batches, normalise, pixels_of
from pipeline.training.on_demand import OnDemand
from pipeline.training.runtime import DATA, Progress, device, prepare, publish

BATCH = 256


def main() -> None:
    """Write ``data/features`` from ``params.yaml``."""
    params = parameters.load()
    prepare(params.seed, params.compute.threads)
    images, encoder = DATA / "images", DATA / "models/encoder"
    layers = params.train.projector.feature_layers
    if params.train.cache_features:
        publish(
            lambda folder: compute(images, params.source.path, encoder, layers, folder, device()),
            DATA / "features",
        )
    else:
        publish(
            lambda folder: on_demand.write_marker(folder, layers, provenance(images, encoder, layers)),
            DATA / "features",
        )


def provenance(images: Path, encoder: Path, layers: Sequence[int]) -> Provenance:
    """What features are made from, whether they are cached or not."""
    return Provenance(
        digests.of_value(list(layers)),
        {"images": digests.of_files(images), "encoder": digests.of_files(encoder, "*.safetensors")},
    )


def compute(
    images: Path, root: Path, encoder: Path, layers: Sequence[int], target: Path, device: str = "cpu"
) -> None:
    """Write the ``features`` dataset, a part for each part of ``images``.

    Args:
        images: the ``images`` dataset.
        root: the source's root, for images held by path.
        encoder: folder of the vision tower.
        layers: indices into its hidden states, which are put side by side.
        target: folder to write, which must not exist.
        device: where the tower runs.
    """
    tower, processor = encoders.load(encoder)
    tower.to(device)
    made_from = provenance(images, encoder, layers)
    progress = Progress("features", dataset.count_rows(images))
    for index, part in enumerate(dataset.iter_parts(images)):
        rows: list[bytes] = []
        shape = [0, 0]
        for tokens_BNW in encoded(part, root, tower, processor, layers, device):
            shape = list(tokens_BNW.shape[1:])
            rows.extend(image.tobytes() for image in tokens_BNW)
        table = pa.table(
            {
                "image_id": part["image_id"],
                "split": part["split"],
                "shape": pa.array([shape] * part.num_rows, pa.list_(pa.int32(), 2)),
                "tokens": pa.array(rows, pa.large_binary()),
            },
        )
        dataset.write_part(target, index, table.cast(schemas.SCHEMAS["features"]), "features", made_from)
        progress.advance(part.num_rows)


def encoded(
    images: pa.Table, root: Path, tower: torch.nn.Module, processor, layers: Sequence[int], device: str
) -> Iterator[np.ndarray]:
    """The tokens of rows of ``images``, `BATCH` images at a time: float16 (B, N, W)."""
    mean, std = tuple(processor.image_mean), tuple(processor.image_std)
    for batch in batches(images, BATCH):
        pixels = normalise(torch.from_numpy(pixels_of(batch, root, processor)), mean, std)
        yield on_demand.encode(tower, pixels.to(device), layers).cpu().numpy()


@dataclass(frozen=True)
class Features:
    """Features of one split's images, memory-mapped: (N, W) float16 for each of ``image_ids``."""

    image_ids: list[str]
    parts: list[np.ndarray]
    part_of: np.ndarray
    row_of: np.ndarray

    def __len__(self) -> int:
        return len(self.image_ids)

    @property
    def patch_count(self) -> int:
        """N, the vision tokens of an image."""
        return self.parts[0].shape[1]

    def entries(self, images: Sequence[int] | np.ndarray) -> dict[str, torch.Tensor]:
        """What a batch holds of images by number: ``features``, float32 (B, N, W)."""
        return {"features": self.take(images)}

    def take(self, images: Sequence[int] | np.ndarray) -> torch.Tensor:
        """float32 features (B, N, W) of images by number."""
        rows = [self.parts[self.part_of[image]][self.row_of[image]] for image in images]
        return torch.from_numpy(np.stack(rows)).float()


ImageFeatures = Features | OnDemand
"""Features of one split's images, from the cache or made when asked for."""


def load(folder: Path, split: str, root: Path, only: Sequence[str] | None = None) -> ImageFeatures:
    """The features of a split's images, in the order of the table; ``only`` keeps some of them.

    Args:
        folder: what the stage ``features`` wrote; `on_demand` needs images and encoder beside it.
        split: its name.
        root: the source's root, for images held by path, which are read where nothing is cached.
        only: ids of the images that are kept; None: all.
    """
    if (folder / on_demand.MARKER).exists():
        return on_demand.load(folder, split, root, only)
    wanted = None if only is None else set(only)
    ids: list[str] = []
    arrays: list[np.ndarray] = []
    part_of: list[int] = []
    row_of: list[int] = []
    for table in dataset.iter_parts(folder):
        splits = table["split"].to_pylist()
        here = [
            (row, image)
            for row, image in enumerate(table["image_id"].to_pylist())
            if splits[row] == split and (wanted is None or image in wanted)
        ]
        if not here:
            continue
        count, width = table["shape"][0].as_py()
        tokens = table["tokens"].combine_chunks()
        # Rows are of equal length, so that the column's bytes are one array: nothing is copied.
        data = np.frombuffer(tokens.buffers()[2], np.float16)
        offset = np.frombuffer(tokens.buffers()[1], np.int64)[tokens.offset] // 2
        arrays.append(data[offset : offset + len(tokens) * count * width].reshape(len(tokens), count, width))
        ids.extend(image for _, image in here)
        part_of.extend([len(arrays) - 1] * len(here))
        row_of.extend(row for row, _ in here)
    return Features(ids, arrays, np.asarray(part_of), np.asarray(row_of))


if __name__ == "__main__":
    run_command(main)
