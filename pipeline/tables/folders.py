"""Folders that are there whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

WORK = Path(".work/partial")


def publish(build: Callable[[Path], object], target: Path) -> None:
    """Have ``build`` fill a new folder, and move it to ``target`` only when it is whole.

    What lay at ``target`` stays there until then, also where ``build`` fails or is killed.

    Args:
        build: is given the folder to fill, which exists and is empty.
        target: a path below the project is made in the work area; any other beside itself, as renaming
            works within one file system alone.
    """
    partial = target.with_name(f".{target.name}.partial") if target.is_absolute() else WORK / target
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    build(partial)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(target, ignore_errors=True)
    os.replace(partial, target)
