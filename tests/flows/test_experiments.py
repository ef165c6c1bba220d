"""A workspace after an experiment: as it was before, however that ended."""

import subprocess
import sys

import pytest

from flows import experiments, processes
from pipeline.errors import UserError

DVC_YAML = """
stages:
  endless:
    cmd: python -c "import time; print('at work', flush=True); time.sleep(600)"
    params: [seed]
    outs: [data/out]
"""


@pytest.fixture
def dvc(tmp_path, monkeypatch):
    """Stands for DVC in the folder: notes what it is called with, and fails if there is a file ``broken``."""
    script = tmp_path / "dvc.py"
    script.write_text(
        "import sys; from pathlib import Path; print(*sys.argv[1:], file=open('called', 'a'));"
        "print('no space left'); sys.exit(Path('broken').exists())"
    )
    monkeypatch.setattr(processes, "DVC", (sys.executable, str(script)))
    return lambda: (tmp_path / "called").read_text().splitlines()


def git(folder, *arguments: str) -> str:
    who = ["-c", "user.name=a", "-c", "user.email=a@b.example", "-c", "init.defaultBranch=main"]
    done = subprocess.run(["git", *who, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path, dvc):
    """A repository whose branch is main, and which has another."""
    (tmp_path / "params.yaml").write_text("seed: 1\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "params.yaml")
    git(tmp_path, "commit", "-q", "-m", "all")
    git(tmp_path, "branch", "other")
    return tmp_path


def test_what_an_experiment_changes_is_put_back_when_it_fails_and_after_a_kill(tmp_path, dvc):
    (tmp_path / "data").mkdir()
    (tmp_path / "params.yaml").write_text("seed: 1\n")
    with pytest.raises(RuntimeError), experiments.aside(tmp_path):
        (tmp_path / "params.yaml").write_text("seed: 2\n")
        (tmp_path / "dvc.lock").write_text("made by the experiment")
        raise RuntimeError
    assert (tmp_path / "params.yaml").read_text() == "seed: 1\n"
    assert not (tmp_path / "dvc.lock").exists()
    assert dvc() == ["checkout --force --allow-missing -q"]
    killed = experiments.aside(tmp_path)
    killed.__enter__()
    (tmp_path / "params.yaml").write_text("seed: 3\n")
    assert experiments.put_back(tmp_path)  # as the next run does
    assert (tmp_path / "params.yaml").read_text() == "seed: 1\n"
    assert len(dvc()) == 2
    assert not experiments.put_back(tmp_path)


def test_outputs_that_cannot_be_put_back_are_told_and_settings_are(tmp_path, dvc):
    (tmp_path / "params.yaml").write_text("seed: 1\n")
    (tmp_path / "broken").touch()
    with pytest.raises(UserError, match="no space left"), experiments.aside(tmp_path):
        (tmp_path / "params.yaml").write_text("seed: 2\n")
    assert (tmp_path / "params.yaml").read_text() == "seed: 1\n"


def test_settings_that_are_back_are_not_put_back_again_over_what_was_edited_since(tmp_path, monkeypatch, dvc):
    (tmp_path / "params.yaml").write_text("seed: 1\n")

    def stopped(project) -> str:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(experiments, "_check_out", stopped)
        with pytest.raises(KeyboardInterrupt), experiments.aside(tmp_path):
            (tmp_path / "params.yaml").write_text("seed: 2\n")
    assert (tmp_path / "params.yaml").read_text() == "seed: 1\n"
    (tmp_path / "params.yaml").write_text("seed: 7\n")
    assert experiments.put_back(tmp_path)
    assert (tmp_path / "params.yaml").read_text() == "seed: 7\n"
    assert dvc() == ["checkout --force --allow-missing -q"]


def test_git_is_on_its_branch_again_with_the_files_as_they_are_in_the_workspace(repository):
    (repository / "params.yaml").write_text("seed: 1  # mine\n")
    with experiments.aside(repository):
        git(repository, "checkout", "-q", "--detach")
        (repository / "params.yaml").write_text("seed: 2\n")
        git(repository, "add", "params.yaml")
    assert git(repository, "symbolic-ref", "HEAD") == "refs/heads/main"
    assert git(repository, "diff", "--cached", "--name-only") == ""
    assert git(repository, "diff", "--name-only") == "params.yaml"
    assert (repository / "params.yaml").read_text() == "seed: 1  # mine\n"


def test_git_is_left_where_somebody_has_taken_it_since(repository):
    with experiments.aside(repository):
        git(repository, "checkout", "-q", "other")
    assert git(repository, "symbolic-ref", "HEAD") == "refs/heads/other"
    with experiments.aside(repository):
        git(repository, "checkout", "-q", "--detach")
        git(repository, "commit", "-q", "--allow-empty", "-m", "by hand")
        by_hand = git(repository, "rev-parse", "HEAD")
    assert git(repository, "rev-parse", "HEAD") == by_hand


def test_a_workspace_that_was_on_no_branch_stays_so(repository):
    git(repository, "checkout", "-q", "--detach")
    with experiments.aside(repository):
        pass
    assert git(repository, "branch", "--show-current") == ""


def test_an_experiment_of_dvcs_own_that_was_ended_leaves_the_workspace_as_it_was(tmp_path):
    (tmp_path / "params.yaml").write_text("seed: 1\n")
    (tmp_path / "dvc.yaml").write_text(DVC_YAML)
    (tmp_path / "data").mkdir()
    git(tmp_path, "init", "-q")
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc" / "config").write_text("")
    (tmp_path / ".dvc" / ".gitignore").write_text("/config.local\n/tmp\n/cache\n")
    (tmp_path / ".gitignore").write_text("/.work\n/data\n")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-q", "-m", "all")
    command = [*processes.DVC, "exp", "run", "-S", "seed=2"]
    with experiments.aside(tmp_path), processes.running(command, folder=tmp_path) as running:
        assert "at work" in running.lines(), "DVC ended before its stage began"
        assert git(tmp_path, "branch", "--show-current") == ""
        assert git(tmp_path, "status", "--porcelain") == "M params.yaml"
    assert git(tmp_path, "branch", "--show-current") == "main"
    assert git(tmp_path, "status", "--porcelain") == ""
