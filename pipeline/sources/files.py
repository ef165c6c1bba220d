"""A dataset's picture files: where they lie, whether they are whole, and how large they are shown."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from PIL import ExifTags, Image

from pipeline.errors import UserError
from pipeline.sources.pictures import file_below
from pipeline.sources.reasons import UnusableRowError

_TURNED = (5, 6, 7, 8)  # EXIF orientations that swap width and height


def find(root: Path, tried: Sequence[str]) -> str:
    """The first of some paths below the root that is a file.

    Raises:
        UnusableRowError: ``image_missing``: none is there, or one leads out of the root.
    """
    if not tried:
        raise UnusableRowError("image_missing", "the row names no picture")
    try:
        for path in tried:
            if path and file_below(root, path).is_file():
                return path
    except UserError as error:
        raise UnusableRowError("image_missing", str(error)) from error
    except (OSError, ValueError) as error:  # a name too long for the file system, or no name at all
        raise UnusableRowError("image_missing", f"{tried[0]!r} is no path ({error})") from error
    raise UnusableRowError("image_missing", f"there is none of {', '.join(map(repr, tried))} below {root}")


def size_in_bytes(root: Path, tried: Sequence[str]) -> int | None:
    """How long the picture's file is; None if it is not there."""
    try:
        return (root / find(root, tried)).stat().st_size
    except (UnusableRowError, OSError):
        return None


def content_of(root: Path, path: str) -> bytes:
    """The bytes of a picture's file.

    Raises:
        UnusableRowError: ``image_missing``: it cannot be read.
    """
    try:
        return (root / path).read_bytes()
    except OSError as error:
        raise UnusableRowError("image_missing", f"{path} cannot be read: {error.strerror}") from error


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
