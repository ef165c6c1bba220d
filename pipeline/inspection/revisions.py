"""A dataset as it was in a revision of the project: fetched by the `dvc` command from DVC's cache."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from pipeline.errors import UserError
from pipeline.inspection.describe import Dataset

LOCK = "dvc.lock"


def fetch(path: Path, revision: str, target: Path) -> Dataset:
    """The dataset that was at ``path`` in a git revision, copied or linked below ``target``.

    ``dvc.lock`` of the revision is put beside it, so that the settings of that time are found too.

    Raises:
        UserError: the path is in no git repository, there is no such revision, or DVC has no such data in its
            cache or remotes.
    """
    folder = path.resolve()
    above = next((each for each in folder.parents if each.is_dir()), Path("/"))
    root = Path(_run(["git", "-C", str(above), "rev-parse", "--show-toplevel"], "It is in no git repository"))
    relative = folder.relative_to(root.resolve())
    known = ["git", "-C", str(root), "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}"]
    commit = _run(known, f"There is no revision {revision!r} of {root}")
    copy = target / relative
    copy.parent.mkdir(parents=True, exist_ok=True)
    _run(
        [sys.executable, "-m", "dvc", "get", str(root), str(relative), "--rev", commit, "--out", str(copy)],
        f"DVC could not get {relative} of {revision} (is it in a remote only? run `dvc fetch --all-commits`)",
    )
    lock = subprocess.run(
        ["git", "-C", str(root), "show", f"{commit}:{LOCK}"], capture_output=True, check=False
    )
    if lock.returncode == 0:
        (target / LOCK).write_bytes(lock.stdout)
    return Dataset(copy)


def _run(command: list[str], trouble: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        raise UserError(f"{trouble}: {said[0].removeprefix('ERROR: ') if said else 'no more is known'}.")
    return done.stdout.strip()
