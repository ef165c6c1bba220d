"""From a row of the ``images`` table to pixels: the one place where an image file is opened."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps, UnidentifiedImageError

from pipeline.errors import UserError


def file_below(root: Path, path: str | Path) -> Path:
    """The file ``path`` below ``root``, which may not exist.

    Links are followed before the check, so that no link inside the root leads out of it either; the root
    itself may be a link.

    Raises:
        UserError: the path is absolute, climbs with ``..``, or leads out of the root through a link.
    """
    relative = Path(path)
    advice = f"Paths of images must lie below the source's root, {root}: mend the path, or move the root up."
    if relative.is_absolute() or ".." in relative.parts:
        raise UserError(f"The path {str(path)!r} leaves the dataset. {advice}")
    try:
        real = (root / relative).resolve()
    except (ValueError, OSError, RuntimeError) as error:  # a NUL character, a loop of links
        raise UserError(f"The path {str(path)!r} is no path ({error}). {advice}") from error
    if not real.is_relative_to(root.resolve()):
        raise UserError(f"The path {str(path)!r} is a link that leaves the dataset. {advice}")
    return root / relative


def load_picture(image: Mapping[str, Any], root: Path, image_id: str) -> Image.Image:
    """The picture of one value of the ``image`` column, as displayed.

    Args:
        image: ``{"bytes": encoded bytes or None, "path": path below root or None}``; bytes win.
        root: the source's root folder; nothing outside it is read.
        image_id: what the error message calls the image.

    Returns:
        An RGB picture with its EXIF orientation applied: boxes and masks are in its pixels.

    Raises:
        UserError: the file is missing, outside the root, or no picture that can be decoded.
    """
    data, path = image.get("bytes"), image.get("path")
    if data is None and not path:
        raise UserError(f"Image {image_id} has neither bytes nor a path: run the ingest stage again.")
    where = "in the table" if data is not None else f"at {path!r} below {root}"
    try:
        with Image.open(io.BytesIO(data) if data is not None else file_below(root, str(path))) as picture:
            return _eight_bits(ImageOps.exif_transpose(picture)).convert("RGB")
    except FileNotFoundError as error:
        raise UserError(
            f"Image {image_id} is missing: there is no file {where}. Put it back, or run ingest again."
        ) from error
    except UserError as error:
        raise UserError(f"Image {image_id}: {error}") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        # Pillow's own words name an object in memory, and the same inputs must give the same bytes.
        why = "no picture in a format that is known" if isinstance(error, UnidentifiedImageError) else error
        raise UserError(
            f"Image {image_id}, {where}, cannot be read ({why}). Replace the file, or run ingest again,"
            " which rejects it."
        ) from error


def _eight_bits(picture: Image.Image) -> Image.Image:
    """Greys of 16 bits as greys of 8; other pictures as they are.

    Pillow's own conversion clips at 255, which makes such a picture white.
    """
    if not picture.mode.startswith("I;16"):
        return picture
    return picture.convert("I").point(lambda value: value * (1 / 257)).convert("L")
