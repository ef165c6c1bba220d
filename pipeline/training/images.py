"""Pictures of a table as the encoder's input."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from torchvision.transforms import v2

from pipeline.sources.pictures import load_picture


def pixels_of(images: pa.Table, root: Path, size: int) -> np.ndarray:
    """uint8 pixels (B, 3, size, size): shorter side to ``size`` (bicubic), centre crop.

    Args:
        images: rows of the ``images`` table (columns ``image_id``, ``image``).
        root: the source's root, for images held by path.
        size: side of the encoder's input, pixels.
    """
    resize = v2.Compose([v2.Resize(size, v2.InterpolationMode.BICUBIC), v2.CenterCrop(size)])
    pixels = np.empty((images.num_rows, 3, size, size), np.uint8)
    columns = zip(images["image_id"].to_pylist(), images["image"].to_pylist(), strict=True)
    for row, (image_id, image) in enumerate(columns):
        picture = load_picture(image, root, image_id)
        if picture.size != (size, size):
            picture = resize(picture)
        pixels[row] = np.asarray(picture).transpose(2, 0, 1)
    return pixels


def normalise(pixels: torch.Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> torch.Tensor:
    """uint8 pixels (B, 3, H, W) as float32 with the encoder's mean and standard deviation taken out."""
    shape = (1, 3, 1, 1)
    centred = pixels.float().div_(255).sub_(torch.tensor(mean).view(shape))
    return centred.div_(torch.tensor(std).view(shape))


def batches(images: pa.Table, size: int) -> Iterator[pa.Table]:
    """The table in slices of ``size`` rows."""
    for start in range(0, images.num_rows, size):
        yield images.slice(start, size)
