"""A DVC experiment inside a workspace that is put back afterwards as it was.

`dvc exp run` works in the workspace, so that it reuses what is built and can be resumed; it leaves its own
settings and results there, and git's HEAD on no branch if it is killed. What it changes of the files that are
no stage's cached output is kept aside meanwhile, in ``.work``, where a run that was killed leaves it for the
next one; the outputs themselves are checked out again.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flows import processes
from pipeline.errors import UserError
from pipeline.tables import folders

ASIDE = Path(".work/before-experiment")
FILES = (Path("params.yaml"), Path("dvc.lock"), Path("data/metrics.json"))
BRANCH = "branch"  # in ASIDE: the git branch, if the workspace was on one
BACK = "files-are-back"  # in ASIDE: only the outputs are still to be put back


@contextmanager
def aside(project: Path) -> Iterator[None]:
    """Put the workspace's settings, lock, outputs and git branch back when the block is left, however it is.

    Raises:
        UserError: as in `put_back`.
    """
    if (project / ASIDE).exists():
        raise RuntimeError(f"{project / ASIDE} holds what a killed run set aside: put it back first")

    def copy(partial: Path) -> None:
        for file in FILES:
            if (project / file).exists():
                (partial / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(project / file, partial / file)
        if branch := _git(project, "symbolic-ref", "-q", "HEAD"):
            (partial / BRANCH).write_text(branch, encoding="utf-8")

    folders.publish(copy, project / ASIDE)
    try:
        yield
    finally:
        put_back(project)


def put_back(project: Path) -> bool:
    """Put back what an experiment set aside; whether there was anything.

    Raises:
        UserError: git or DVC could not; the message says what is left to do.
    """
    folder = project / ASIDE
    if not folder.exists():
        return False
    if not (folder / BACK).exists():
        for file in FILES:
            if (folder / file).exists():
                shutil.copy2(folder / file, project / file)
            else:
                (project / file).unlink(missing_ok=True)
        if (folder / BRANCH).exists():
            _return_to(project, (folder / BRANCH).read_text(encoding="utf-8"))
        # Stopped from here on, the next run must not lay these files over what was edited meanwhile.
        (folder / BACK).touch()
    failed = _check_out(project)
    shutil.rmtree(folder)
    if failed:
        raise UserError(
            f"data/ could not be put back as it was before the experiment: {failed}\n"
            "Settings and dvc.lock are: run `dvc checkout --force` when that is mended."
        )
    return True


def _return_to(project: Path, branch: str) -> None:
    """HEAD to the branch and an index like it: what DVC does, left to itself (`detach_head` of scmrepo)."""
    if _git(project, "symbolic-ref", "-q", "HEAD"):
        return  # DVC did, or somebody has gone to another branch since
    if not _git(project, "for-each-ref", "--count=1", "--contains", "HEAD"):
        return  # somebody has committed since, and only HEAD leads to that
    for command in (["symbolic-ref", "HEAD", branch], ["reset", "-q"]):
        done = subprocess.run(["git", *command], cwd=project, capture_output=True, text=True, check=False)
        if done.returncode:
            raise UserError(
                f"git could not go back to {branch}: `git {' '.join(command)}` says {done.stderr.strip()!r}. "
                "Mend that; the next run, or `make ablations`, puts back the rest."
            )


def _check_out(project: Path) -> str:
    """Outputs as dvc.lock has them; why not, if DVC could not."""
    # What the lock does not know (never built) or DVC does not cache is missing, and no fault.
    command = [*processes.DVC, "checkout", "--force", "--allow-missing", "-q"]
    with processes.running(command, folder=project) as running:
        told = list(running.lines())
        return "\n".join([*told, f"DVC ended with status {running.status}."]) if running.status else ""


def _git(project: Path, *arguments: str) -> str:
    """What git answers; nothing where it has no answer, where there is no git, or no repository."""
    if shutil.which("git") is None:
        return ""
    done = subprocess.run(["git", *arguments], cwd=project, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""
