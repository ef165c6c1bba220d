"""Curves in the dashboards of others: below ``.work`` alone, and without the points of a run begun again."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from transformers import TrainerState

from pipeline.errors import UserError
from pipeline.training import dashboards

CURVE = Path("data/curves/finetune-caption.csv")


class Writer:
    """DVCLive's ``Live`` as far as it is used: rows of (name, step, value) by folder."""

    rows: dict[str, list[tuple[str, int, float]]] = {}  # noqa: RUF012

    def __init__(self, folder, save_dvc_exp=True, dvcyaml="dvc.yaml"):
        assert not save_dvc_exp and not dvcyaml  # or it commits experiments, and writes into our dvc.yaml
        self.step = 0
        self._mine = self.rows[folder] = []  # without `resume` it starts with nothing

    def log_metric(self, name, value):
        self._mine.append((name, self.step, value))

    def sync(self):
        pass

    def end(self):
        pass


@pytest.fixture
def dvclive(monkeypatch):
    monkeypatch.setitem(sys.modules, "dvclive", SimpleNamespace(Live=Writer, __spec__=object()))
    return Writer.rows


def test_a_run_that_goes_on_has_each_step_once(dvclive):
    (live,), left = dashboards.of(["dvclive"], CURVE)
    assert left == []
    state = TrainerState()
    live.on_train_begin(None, state, None)
    for step in (10, 20, 30):
        state.global_step = step
        live.on_log(None, state, None, {"loss": step / 10, "note": "no number"})
    # Killed at 30, taken up from a checkpoint of 20.
    (live,), _ = dashboards.of(["dvclive"], CURVE)
    taken_up = TrainerState(
        global_step=20, log_history=[{"loss": 1.0, "step": 10}, {"loss": 2.0, "step": 20}]
    )
    live.on_train_begin(None, taken_up, None)
    taken_up.global_step = 30
    live.on_log(None, taken_up, None, {"loss": 3.5})
    live.on_train_end(None, taken_up, None)
    expected = [("train/loss", 10, 1.0), ("train/loss", 20, 2.0), ("train/loss", 30, 3.5)]
    assert dvclive == {".work/dvclive/finetune-caption": expected}


def test_runs_of_a_study_have_folders_of_their_own():
    study = Path("data/study/5ee/caption-1f/seed-3/curves/finetune-caption.csv")
    assert dashboards.folder_of("tensorboard", CURVE) == Path(".work/tensorboard/finetune-caption")
    assert dashboards.folder_of("tensorboard", study) == Path(
        ".work/tensorboard/study/5ee/caption-1f/seed-3/finetune-caption"
    )


def test_one_process_of_several_writes(dvclive, monkeypatch):
    monkeypatch.setattr(dashboards.processes, "rank", lambda: 1)
    assert dashboards.of(["dvclive"], CURVE) == ([], [])


def test_the_others_are_left_to_trainer_and_write_below_work_unless_told_otherwise(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(dashboards.importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(dashboards.os, "environ", {"WANDB_PROJECT": "mine"})
    assert dashboards.of(["mlflow", "wandb"], CURVE) == ([], ["mlflow", "wandb"])
    assert dashboards.os.environ["WANDB_PROJECT"] == "mine"
    assert dashboards.os.environ["WANDB_DIR"] == ".work" and Path(".work").is_dir()
    assert dashboards.os.environ["MLFLOW_TRACKING_URI"] == "sqlite:///.work/mlflow.db"


def test_a_dashboard_whose_package_is_missing_is_told(monkeypatch):
    monkeypatch.setattr(dashboards.importlib.util, "find_spec", lambda name: None)
    assert dashboards.of([], CURVE) == ([], [])
    with pytest.raises(UserError, match=r"report_to names wandb.*pip install wandb"):
        dashboards.of(["wandb"], CURVE)
