"""Pictures of exported images: what they are called, and their bytes, EXIF orientation included."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pipeline.errors import UserError
from pipeline.sources.pictures import file_below

LONGEST = 200
"""Bytes of a file's name in UTF-8, its ending not counted; most file systems take 255 in all."""
_PLAIN = frozenset("/ ,+@=()[]'_.-~")
_KINDS = ((b"\x89PNG", ".png"), (b"\xff\xd8", ".jpg"), (b"GIF8", ".gif"), (b"BM", ".bmp"), (b"II*", ".tif"))
_SUFFIXES = {".jpg": (".jpg", ".jpeg"), ".tif": (".tif", ".tiff")}


class MissingPictureError(Exception):
    """The file of a picture is not there."""


def content(image: Mapping[str, Any], root: Path) -> bytes:
    """The encoded picture of a row of ``images``, as it is.

    Raises:
        MissingPictureError: its file is not there, or leads out of the root.
    """
    data, path = image["image"]["bytes"], image["image"]["path"]
    if data is not None:
        return data
    try:
        return file_below(root, path or "").read_bytes()
    except (OSError, UserError) as error:
        raise MissingPictureError(f"{image['image_id']}: there is no file {path!r} below {root}") from error


def file_name(image: Mapping[str, Any], copied: bytes | None) -> str:
    """What the picture is called: its id with the ending of its kind, or, if it is not copied, its path.

    Raises:
        UserError: it is not to be copied, and lies in the table.
    """
    if copied is None:
        if not image["image"]["path"]:
            raise UserError(
                "The pictures are in the table and in no files that could be named: give --images copy."
            )
        return image["image"]["path"]
    name = safe_name(image["image_id"])
    kind = ending(copied)
    if name.lower().endswith(_SUFFIXES.get(kind, (kind,))):
        return name
    return f"{name}{kind}"


def safe_name(image_id: str) -> str:
    """An id as a path below any folder: what leads upwards, or cannot be in a name, is spelled out.

    Letters, marks and digits of every script stay. Of a name that is longer than file systems take, the
    beginning stays, with a digest of all of it.
    """
    parts = image_id.split("/")
    if any(part in ("", ".", "..") for part in parts):
        return _short(_spelled(image_id).replace("/", "%2F").replace(".", "%2E"))
    return "/".join(map(_short, _spelled(image_id).split("/")))


def _spelled(text: str) -> str:
    return "".join(
        each if each in _PLAIN or unicodedata.category(each)[0] in "LMN" else quote(each, safe="")
        for each in text
    )


def _short(name: str) -> str:
    encoded = name.encode()
    if len(encoded) <= LONGEST:
        return name
    digest = f"-{hashlib.sha256(encoded).hexdigest()[:16]}"
    return encoded[: LONGEST - len(digest)].decode(errors="ignore") + digest


def ending(copied: bytes) -> str:
    """The ending of a file with these bytes: ``.png``."""
    if copied[:4] == b"RIFF" and copied[8:12] == b"WEBP":
        return ".webp"
    return next((kind for start, kind in _KINDS if copied.startswith(start)), ".img")


def put(folder: Path, name: str, copied: bytes | None) -> None:
    """Write a copied picture below a folder; nothing if it is not copied."""
    if copied is None:
        return
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(copied)
