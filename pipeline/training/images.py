"""Pictures of a table as the encoder's input."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from pipeline.sources.pictures import load_picture


def pixels_of(images: pa.Table, root: Path, processor) -> np.ndarray:
    """uint8 pixels (B, 3, H, W), resized and cropped as the encoder's own image processor does it.

    Args:
        images: rows of the ``images`` table (columns ``image_id``, ``image``).
        root: the source's root, for images held by path.
        processor: an image processor of transformers; its rescaling and normalisation are left out.
    """
    kept = size_kept(processor)
    columns = zip(images["image_id"].to_pylist(), images["image"].to_pylist(), strict=True)
    pixels = []
    for image_id, image in columns:
        picture = load_picture(image, root, image_id)
        if picture.size == kept:
            pixels.append(np.asarray(picture).transpose(2, 0, 1))
        else:
            made = processor(images=picture, do_rescale=False, do_normalize=False, return_tensors="np")
            pixels.append(made["pixel_values"][0])
    return np.stack(pixels)


def size_kept(processor) -> tuple[int, int] | None:
    """Width and height of images whose pixels a processor leaves as they are; None if there are none."""
    size = {key: value for key, value in dict(processor.size).items() if value is not None}
    side = size.get("shortest_edge")
    width, height = size.get("width", side), size.get("height", side)
    if width is None or height is None:
        return None
    if getattr(processor, "do_center_crop", False):
        crop = dict(processor.crop_size)
        if (crop["width"], crop["height"]) != (width, height):
            return None
    return width, height


def normalise(pixels: torch.Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> torch.Tensor:
    """uint8 pixels (B, 3, H, W) as float32 with the encoder's mean and standard deviation taken out."""
    shape = (1, 3, 1, 1)
    centred = pixels.float().div_(255).sub_(torch.tensor(mean).view(shape))
    return centred.div_(torch.tensor(std).view(shape))


def batches(images: pa.Table, size: int) -> Iterator[pa.Table]:
    """The table in slices of ``size`` rows."""
    for start in range(0, images.num_rows, size):
        yield images.slice(start, size)
