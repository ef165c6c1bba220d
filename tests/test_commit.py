"""The commit that a page and a study name."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pipeline import commit


def git(*arguments: str) -> str:
    user = ("-c", "user.name=a", "-c", "user.email=a@b")
    return subprocess.run(
        ["git", *user, *arguments], capture_output=True, text=True, check=True
    ).stdout.strip()


def test_the_commit_and_whether_more_than_the_run_s_records_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert commit.current() == "not in a git repository"
    git("init", "-q")
    for name in ("code.py", "dvc.lock"):
        Path(name).write_text("1")
    git("add", ".")
    git("commit", "-qm", "first")
    head = git("rev-parse", "--short", "HEAD")
    Path("dvc.lock").write_text("2")  # what a run itself writes
    Path("new.txt").write_text("1")
    assert commit.current() == head
    Path("code.py").write_text("2")
    assert commit.current() == f"{head} with changes"
