"""A folder that appears whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import UserError


@contextmanager
def whole(out: Path, overwrite: bool = False) -> Iterator[Path]:
    """An empty folder beside ``out``, which takes its place when the block ends without an error.

    Raises:
        UserError: there is something at ``out`` already and it is not to be replaced, or nothing can be
            written there.
    """
    is_taken = out.exists() and (not out.is_dir() or any(out.iterdir()))
    if is_taken and not overwrite:
        raise UserError(f"{out} is not empty: give another folder, or --overwrite to replace it.")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    except OSError as error:
        raise UserError(f"{out} cannot be made: {error.strerror}. Give another folder.") from error
    try:
        made = scratch / "new"
        made.mkdir()
        yield made
        if out.exists():
            os.replace(out, scratch / "old")
        os.replace(made, out)
    except OSError as error:
        raise UserError(
            f"{out} could not be written: {error.strerror or error}. Nothing half-written was left."
        ) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
