"""Training's curves in the dashboards of others, whose files lie below ``.work``.

TensorBoard and DVCLive are written to here: Trainer's own callbacks would write into ``dvc.yaml``, and would
put the points of a run that was taken up, or begun again, among those of the one before. Weights & Biases and
MLflow are left to Trainer, and to whatever their own environment variables say.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers import TrainerCallback
from transformers.integrations import TensorBoardCallback

from pipeline.errors import UserError
from pipeline.training import processes
from pipeline.training.runtime import DATA, WORK

VARIABLES = {
    "wandb": {"WANDB_DIR": str(WORK), "WANDB_PROJECT": "patchwords"},
    "mlflow": {
        "MLFLOW_TRACKING_URI": f"sqlite:///{WORK}/mlflow.db",
        "MLFLOW_EXPERIMENT_NAME": "patchwords",
    },
}
"""What is set for dashboards that Trainer writes to, unless it is set already."""


class Board(TensorBoardCallback):
    """Writes TensorBoard's files below a folder; a resumed run goes on where the checkpoint was."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def on_train_begin(self, args, state, control, **kwargs):
        """Begin anew, or take back what was logged after the checkpoint."""
        if state.global_step == 0:
            shutil.rmtree(self._folder, ignore_errors=True)
        purged = state.global_step + 1 if state.global_step else None
        self.tb_writer = self._SummaryWriter(log_dir=str(self._folder), purge_step=purged)
        super().on_train_begin(args, state, control, **kwargs)


class Live(TrainerCallback):
    """Writes DVCLive's files below a folder and nothing beside it: DVC tracks the stage's own curve."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._live: Any = None

    def on_train_begin(self, args, state, control, **kwargs):
        """Write anew what the state's history has, which a checkpoint carries."""
        import dvclive

        self._live = dvclive.Live(str(self._folder), save_dvc_exp=False, dvcyaml=False)
        for entry in state.log_history:
            self._write(entry["step"], entry)

    def on_log(self, args, state, control, logs=None, **kwargs):
        """Append what was logged."""
        self._write(state.global_step, logs or {})

    def on_train_end(self, args, state, control, **kwargs):
        """Close the files."""
        self._live.end()

    def _write(self, step: int, values: dict) -> None:
        self._live.step = step
        for name, value in values.items():
            if name != "step" and isinstance(value, (int, float)):
                self._live.log_metric(f"train/{name}", value)
        self._live.sync()


def of(names: Sequence[str], curve: Path) -> tuple[list[TrainerCallback], list[str]]:
    """Callbacks for this process, and the dashboards that are left for Trainer's ``report_to``.

    Args:
        names: dashboards, each the name of the package that it needs.
        curve: the learning curve's file, whose name and place a run's folders have, below ``.work``.

    Raises:
        UserError: a package is missing.
    """
    for name in names:
        if importlib.util.find_spec(name) is None:
            raise UserError(
                f"train.report_to names {name}, which needs the package {name}: run"
                f" `pip install {name}`, or take {name} out of the list"
            )
        for variable, value in VARIABLES.get(name, {}).items():
            WORK.mkdir(exist_ok=True)
            os.environ.setdefault(variable, value)
    ours = {"tensorboard": Board, "dvclive": Live}
    found = [kind(folder_of(name, curve)) for name, kind in ours.items() if name in names]
    return found if processes.rank() == 0 else [], [name for name in names if name not in ours]


def folder_of(name: str, curve: Path) -> Path:
    """Where a dashboard's files of a run lie."""
    return WORK / name / run_name(curve)


def run_name(curve: Path) -> str:
    """What a run is called: stage and arm, in a study behind the folders of its settings and seed."""
    root = curve.parent.parent
    return str((root.relative_to(DATA) if root.is_relative_to(DATA) else Path()) / curve.stem)
