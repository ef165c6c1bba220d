"""The commit that numbers were made at."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

RECORDS = (":!dvc.lock", ":!data/metrics.json")
"""What `dvc repro` itself writes among the committed files."""


def current(folder: Path = Path()) -> str:
    """The commit that a folder is at, and whether files differ from it that are not the run's own records."""
    if shutil.which("git") is None:
        return "unknown: git is not installed"
    head = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=folder, capture_output=True, text=True)
    if head.returncode:
        return "not in a git repository"
    changed = ["git", "status", "--porcelain", "--untracked-files=no", "--", ".", *RECORDS]
    edited = subprocess.run(changed, cwd=folder, capture_output=True, text=True).stdout.strip()
    return head.stdout.strip() + (" with changes" if edited else "")
