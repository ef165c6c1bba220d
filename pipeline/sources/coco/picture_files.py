"""The files of COCO's pictures: where they lie, and whether they are whole."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from PIL import ExifTags, Image

from pipeline.errors import UserError
from pipeline.sources.coco.reasons import UnusableRowError
from pipeline.sources.pictures import file_below

_TURNED = (5, 6, 7, 8)  # EXIF orientations that swap width and height


def places(set_name: str, file_name: Any) -> tuple[str, ...]:
    """Where a set's picture may lie, below the dataset's root, in the order in which they are tried."""
    return f"{set_name}/{file_name}", f"images/{set_name}/{file_name}", f"{file_name}"


def find(root: Path, set_name: str, file_name: Any) -> str:
    """The picture's path below the root.

    Raises:
        UnusableRowError: ``image_missing``: it is in none of the `places`, or its name leads out of the root.
    """
    tried = places(set_name, file_name)
    try:
        if isinstance(file_name, str) and file_name:
            for path in tried:
                if file_below(root, path).is_file():
                    return path
    except UserError as error:
        raise UnusableRowError("image_missing", str(error)) from error
    raise UnusableRowError("image_missing", f"there is none of {', '.join(map(repr, tried))} below {root}")


def size_in_bytes(root: Path, set_name: str, file_name: Any) -> int | None:
    """How long the picture's file is; None if it is not there."""
    try:
        return (root / find(root, set_name, file_name)).stat().st_size
    except UnusableRowError:
        return None


def displayed_size(content: bytes, name: str) -> tuple[int, int]:
    """Width and height of an encoded picture as displayed (EXIF orientation applied), in pixels.

    All of the picture is decoded, so that a file that was cut short is found here and not in training.

    Raises:
        UnusableRowError: ``image_corrupt``.
    """
    try:
        with Image.open(io.BytesIO(content)) as picture:
            width, height = picture.size
            # A JPEG's stream is read to its end at any scale; the smallest takes two thirds of the time.
            picture.draft(None, (1, 1))
            picture.load()
            turned = picture.getexif().get(ExifTags.Base.Orientation) in _TURNED
    except Exception as error:  # Pillow's decoders raise what they like on damaged bytes
        raise UnusableRowError("image_corrupt", f"{name} cannot be decoded: {error}") from error
    return (height, width) if turned else (width, height)
