"""One writer at a time in a workspace: a lock that each run holds, and DVC's own locks that it heeds."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import psutil

from pipeline.writer import LOCK, read

LOOK_SECONDS = 1.0


@contextmanager
def sole_writer(project: Path, who: dict[str, Any], tell: Callable[[str], None]) -> Iterator[None]:
    """Hold the workspace; first wait until whoever writes there has ended.

    The lock ends with the process that holds it, however that ends; ``who`` is left in the file then, so that
    `abandoned` finds it.

    Args:
        project: the workspace.
        who: what the file says of the holder; ``name`` and ``pid`` are shown to those who wait.
        tell: called with a sentence whenever what is waited for has changed.
    """
    file = _open(project)
    told = ""
    try:
        while blocker := _take(file) or busy_dvc(project):
            if blocker != told:
                tell(f"Waiting: the workspace is being written to by {blocker}.")
                told = blocker
            fcntl.flock(file, fcntl.LOCK_UN)
            time.sleep(LOOK_SECONDS)
        _note(file, who)
        try:
            yield
        finally:
            _note(file, {})
    finally:
        file.close()


def abandoned(project: Path) -> dict[str, Any]:
    """What the last holder said of itself, if it ended without letting go; until it is `forget`-ed."""
    with _open(project) as file:
        # Looked at before it is locked, so that nobody waits for the one that looks.
        if not read(file) or _take(file):
            return {}
        return read(file)


def forget(project: Path, who: dict[str, Any]) -> None:
    """Remove the note of a holder that `abandoned` gave, unless another has taken the workspace since."""
    with _open(project) as file:
        if who and read(file) == who and not _take(file) and read(file) == who:
            _note(file, {})


def busy_dvc(project: Path) -> str:
    """The DVC process that is at work in the workspace, in words; empty if none is."""
    folder = project / ".dvc" / "tmp"
    try:
        locks = json.loads((folder / "rwlock").read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        locks = {}
    readers = [holder for holders in locks.get("read", {}).values() for holder in holders]
    for holder in [*locks.get("write", {}).values(), *readers]:
        if psutil.pid_exists(holder["pid"]):
            arguments = holder["cmd"].split()[1:]
            return f"`{' '.join(['dvc', *arguments])}` (process {holder['pid']})"
    try:
        with (folder / "lock").open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return ""
    except OSError:
        return "a DVC command"
    return ""


def _open(project: Path) -> IO[str]:
    path = project / LOCK
    path.parent.mkdir(parents=True, exist_ok=True)
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o644), "r+", encoding="utf-8")


def _take(file: IO[str]) -> str:
    """Take the lock if it is free; else say in words who has it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        found = read(file)
        return f"the run {found['name']} (process {found['pid']})" if found else "another run"
    return ""


def _note(file: IO[str], who: dict[str, Any]) -> None:
    file.seek(0)
    file.truncate()
    file.write(json.dumps(who) if who else "")
    file.flush()
