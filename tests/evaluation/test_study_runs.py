"""A study's runs go side by side, each on a device of its own where there are several."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline.errors import UserError
from pipeline.evaluation import study
from pipeline.training.run import Run

RUNS = [Run(arm, seed, Path("nowhere")) for arm in ("caption", "aligned") for seed in (1, 2)]


@pytest.fixture
def started(monkeypatch):
    """Commands and devices of the processes that were started, none of which are; two at a time meet."""
    found, both = [], threading.Barrier(2)

    def run(command, env, check):
        both.wait(timeout=60)
        found.append((command[-3], command[-1], env.get("CUDA_VISIBLE_DEVICES")))
        return SimpleNamespace(returncode=int(command[-1] == "3"))

    monkeypatch.setattr(study, "subprocess", SimpleNamespace(run=run))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return found


def test_runs_that_go_side_by_side_have_gpus_of_their_own(started, monkeypatch):
    monkeypatch.setattr(study.torch.cuda, "device_count", lambda: 2)
    study.side_by_side(RUNS, 2)
    assert {run[:2] for run in started} == {(run.arm, str(run.seed)) for run in RUNS}
    # The first two met, so each of the two devices was taken.
    assert {device for _, _, device in started[:2]} == {"0", "1"}


def test_devices_that_were_chosen_before_are_the_ones_shared_out(started, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    study.side_by_side(RUNS[:2], 2)
    assert {device for _, _, device in started} == {"3", "5"}


def test_a_run_that_fails_is_named_and_the_others_are_finished(started, monkeypatch):
    monkeypatch.setattr(study.torch.cuda, "device_count", lambda: 0)
    with pytest.raises(UserError, match=r"caption \(seed 3\) did not finish"):
        study.side_by_side([Run("caption", 3), Run("caption", 4)], 2)
    assert {device for _, _, device in started} == {None} and len(started) == 2


def test_what_is_done_is_gathered_after_each_run(started, monkeypatch):
    monkeypatch.setattr(study.torch.cuda, "device_count", lambda: 0)
    gathered = []
    study.side_by_side(RUNS[:2], 2, lambda: gathered.append(len(started)))
    assert len(gathered) == 2 and gathered[-1] == 2
