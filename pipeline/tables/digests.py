"""Short, stable digests of parameters, files and datasets: what provenance and resuming rest on."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

DIGEST_LENGTH = 16  # hexadecimal digits: 64 bits, ample for telling versions of one dataset apart


def of_bytes(data: bytes) -> str:
    """Digest of some bytes."""
    return hashlib.sha256(data).hexdigest()[:DIGEST_LENGTH]


def of_value(value: Any) -> str:
    """Digest of a JSON-like value; the order of a mapping's keys does not matter."""
    return of_bytes(json.dumps(value, sort_keys=True, ensure_ascii=False, default=str).encode())


def of_file(path: Path) -> str:
    """Digest of a file's content, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:DIGEST_LENGTH]


def of_files(folder: Path, pattern: str = "*") -> str:
    """Digest of the names and contents of the files in a folder that match a glob pattern."""
    files = sorted(path for path in folder.rglob(pattern) if path.is_file())
    return of_value([[path.relative_to(folder).as_posix(), of_file(path)] for path in files])
