"""Pictures of a shard's images, some at a time: how every source that runs a model takes them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from pipeline.errors import UserError
from pipeline.sources.pictures import load_picture

if TYPE_CHECKING:
    from PIL.Image import Image

ELSEWHERE = "the image is not in the same part of the table `images`"


def contents(images: pa.Table) -> dict[str, str]:
    """Of each image of an ``images`` table the SHA-256 of its bytes."""
    return dict(zip(images["image_id"].to_pylist(), images["sha256"].to_pylist(), strict=True))


def batches(
    images: pa.Table,
    root: Path,
    wanted: Collection[str],
    count: int,
    unreadable: dict[str, str],
    of_one_size: bool = False,
) -> Iterator[list[tuple[str, Image]]]:
    """The images with their pictures, in the order of the table, ``count`` at a time.

    Args:
        images: rows of the table ``images``.
        root: the folder that their paths are below.
        wanted: ids of the images to take.
        count: most pictures that are held at a time.
        unreadable: takes the id of each image that cannot be read, and why; it is in no batch.
        of_one_size: give pictures of different sizes in different batches, smallest first. The table's
            sizes set the order; the pictures' own decide.
    """
    chosen = set(wanted)
    ids = images["image_id"].to_pylist()
    rows = [row for row, image_id in enumerate(ids) if image_id in chosen]
    if of_one_size:
        sizes = list(zip(images["width"].to_pylist(), images["height"].to_pylist(), strict=True))
        rows.sort(key=lambda row: sizes[row])
    batch: list[tuple[str, Image]] = []
    for row in rows:
        try:
            picture = load_picture(images["image"][row].as_py(), root, ids[row])
        except UserError as error:
            unreadable[ids[row]] = str(error)
            continue
        if batch and (len(batch) == count or (of_one_size and picture.size != batch[0][1].size)):
            yield batch
            batch = []
        batch.append((ids[row], picture))
    if batch:
        yield batch
