"""Where the files of COCO's pictures lie."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipeline.sources import files
from pipeline.sources.reasons import UnusableRowError


def places(set_name: str, file_name: Any) -> tuple[str, ...]:
    """Where a set's picture may lie, below the dataset's root, in the order in which they are tried."""
    return f"{set_name}/{file_name}", f"images/{set_name}/{file_name}", f"{file_name}"


def find(root: Path, set_name: str, file_name: Any) -> str:
    """The picture's path below the root.

    Raises:
        UnusableRowError: ``image_missing``: it is in none of the `places`, or its name leads out of the root.
    """
    if not isinstance(file_name, str) or not file_name:
        raise UnusableRowError("image_missing", f"file_name is {file_name!r}, no name of a file")
    return files.find(root, places(set_name, file_name))


def size_in_bytes(root: Path, set_name: str, file_name: Any) -> int | None:
    """How long the picture's file is; None if it is not there."""
    is_name = isinstance(file_name, str) and file_name
    return files.size_in_bytes(root, places(set_name, file_name)) if is_name else None
