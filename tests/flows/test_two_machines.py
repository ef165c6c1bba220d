"""One machine annotates, another trains, by DVC alone: two clones, a remote in a folder.

The stages are those of ``dvc.yaml`` with their data and settings; in place of its command each writes some
text, so that what is tested is how they are tied together.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from contextlib import chdir
from pathlib import Path

import pytest
import yaml
from dvc.repo import Repo

ROOT = Path(__file__).parents[2]
WRITE = """
import sys
from pathlib import Path
stage, *outs = sys.argv[1:]
with open("ran.log", "a") as log:
    log.write(stage + "\\n")
for out in map(Path, outs):
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.suffix:
        out.write_text(stage)
    else:
        out.mkdir(exist_ok=True)
        for name in ("part", "config.json", "preprocessor_config.json"):
            (out / name).write_text(f"{stage} {name}")
"""
DATA_STAGES = ["true_words", "language_model", "audit"]
TRAINING = ["evaluate", "references", "benchmarks"]
NOT_KEPT = {"data/features"}
"""What DVC keeps no copy of, and so does not push: each machine that needs it makes it."""


def simple(stage: dict, name: str) -> dict:
    """A stage that writes its outputs; its code is left out of what it depends on."""
    outs = [
        next(iter(out)) if isinstance(out, dict) else out
        for kind in ("outs", "metrics", "plots")
        for out in stage.get(kind, [])
    ]
    deps = [dep for dep in stage["deps"] if dep.startswith("data/") or dep == "${source.path}"]
    return {**stage, "deps": deps, "cmd": f"{sys.executable} write.py {name} {' '.join(outs)}"}


def git(folder: Path, *words: str) -> None:
    who = ["-c", "user.name=a", "-c", "user.email=a@b.example"]
    subprocess.run(["git", "-C", folder, *who, *words], check=True, capture_output=True)


def ran(folder: Path) -> set[str]:
    log = folder / "ran.log"
    return set(log.read_text().split()) if log.exists() else set()


def changed(status: dict) -> set[str]:
    """Paths that ``dvc status`` tells of."""
    found = [entry for entries in status.values() for entry in entries if isinstance(entry, dict)]
    return {path for entry in found for paths in entry.values() for path in paths}


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A workspace with a raw dataset that git does not know, and a remote."""
    folder = tmp_path / "here"
    folder.mkdir()
    document = yaml.safe_load((ROOT / "dvc.yaml").read_text())
    for name, stage in document["stages"].items():
        if "foreach" in stage:
            stage["do"] = simple(stage["do"], name)
        else:
            document["stages"][name] = simple(stage, name)
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": document["stages"]}, sort_keys=False))
    shutil.copy(ROOT / "params.yaml", folder)
    (folder / "write.py").write_text(WRITE)
    (folder / "data/raw").mkdir(parents=True)
    (folder / "data/raw/pictures").write_text("raw")
    (folder / "data/comparisons").mkdir()
    (folder / "data/comparisons/.gitignore").write_text("*\n")
    (folder / ".gitignore").write_text("/data/\nran.log\n")
    git(folder, "init", "-q")
    with Repo.init(str(folder)) as repo, repo.config.edit() as config:
        config["core"] |= {"analytics": False, "remote": "shared"}
        config["remote"] = {"shared": {"url": str(tmp_path / "remote")}}
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "start")
    return folder


def test_one_machine_annotates_and_another_trains_without_the_raw_data(here, tmp_path):
    with chdir(here), Repo(".") as repo:
        repo.reproduce(targets=DATA_STAGES)
        repo.push()
    assert {"ingest", "ground", "patch_words"} <= ran(here) and "pretrain" not in ran(here)
    git(here, "add", "dvc.lock")
    git(here, "commit", "-q", "-m", "data")

    there = tmp_path / "there"
    subprocess.run(["git", "clone", "-q", here, there], check=True)
    with chdir(there), Repo(".") as repo:
        repo.reproduce(targets=TRAINING, pull=True, allow_missing=True)
        repo.push()
    assert not (there / "data/raw").exists()
    assert ran(there) == {"features", "pretrain", "finetune", "references", "evaluate", "benchmarks"}
    git(there, "add", "dvc.lock")
    git(there, "commit", "-q", "-m", "models")

    git(here, "pull", "-q", str(there), "HEAD")
    with chdir(here), Repo(".") as repo:
        repo.pull(allow_missing=True)
        assert (here / "data/models/finetune/caption/part").read_text() == "finetune part"
        assert changed(repo.status(targets=TRAINING, with_deps=True)) == NOT_KEPT
        before = len((here / "ran.log").read_text().split())
        repo.reproduce(allow_missing=True)
        assert (here / "ran.log").read_text().split()[before:] == ["report"]


def test_a_clone_makes_the_report_of_what_others_made(here, tmp_path):
    with chdir(here), Repo(".") as repo:
        repo.reproduce(targets=[*DATA_STAGES, *TRAINING])
        repo.push()
    git(here, "add", "dvc.lock")
    git(here, "commit", "-q", "-m", "models")
    third = tmp_path / "third"
    subprocess.run(["git", "clone", "-q", here, third], check=True)
    (third / "data/comparisons").mkdir(parents=True)
    with chdir(third), Repo(".") as repo:
        repo.pull(targets=["audit", "evaluate", "references", "benchmarks"])
        repo.reproduce(targets=["report"], allow_missing=True)
    assert ran(third) == {"report"}
