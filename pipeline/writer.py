"""One writer at a time: a stage that `dvc repro` starts in a shell heeds a run that holds the workspace.

`flows.workspace` takes the lock, for a run started in the Prefect UI and for ablations. DVC itself keeps two
of its processes from the same stage, but not from different ones; and an experiment has its own settings in
params.yaml.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from pipeline.errors import UserError

LOCK = Path(".work/writer.lock")
WRITER_VARIABLE = "PATCHWORDS_WRITER"  # the process that a stage belongs to and that holds the workspace
STAGE_VARIABLE = "DVC_STAGE"  # set by DVC for a stage's command


def check(project: Path = Path(), variables: Mapping[str, str] = os.environ) -> None:
    """Let a stage of DVC's begin, unless a run that it is no part of holds the workspace.

    Raises:
        UserError: such a run does.
    """
    if STAGE_VARIABLE not in variables:
        return
    found = holder(project)
    if found and str(found["pid"]) != variables.get(WRITER_VARIABLE):
        raise UserError(
            f"{variables[STAGE_VARIABLE]}: the workspace is being written to by the run {found['name']}"
            f" (process {found['pid']}): wait until it has ended, or stop it where it was started."
        )


def holder(project: Path) -> dict[str, Any]:
    """What the run that holds the workspace says of itself; empty if none does."""
    found: dict[str, Any] = {}
    try:
        with (project / LOCK).open(encoding="utf-8") as file:
            found = read(file)
            if found:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # refused while somebody holds it
    except OSError:  # there is no such file, or somebody holds it
        return found
    return {}


def read(file: IO[str]) -> dict[str, Any]:
    """The note in the lock's file."""
    file.seek(0)
    try:
        return dict(json.loads(file.read() or "{}"))
    except json.JSONDecodeError:
        return {}
