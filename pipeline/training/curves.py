"""What is seen of training while it runs: a bar, and a curve as CSV."""

from __future__ import annotations

import csv
from pathlib import Path

from transformers import TrainerCallback

from pipeline.training.runtime import Progress


class Bar(TrainerCallback):
    """Shows how far training is, in place of Trainer's own printing."""

    def __init__(self, title: str, steps: int) -> None:
        self._progress = Progress(title, steps)
        self._notes: dict[str, float] = {}

    def on_train_begin(self, args, state, control, **kwargs):
        """Show the bar, where a resumed run starts."""
        self._progress.__enter__()
        self._progress.advance(state.global_step)

    def on_step_end(self, args, state, control, **kwargs):
        """One step further."""
        self._progress.advance(1, **self._notes)

    def on_log(self, args, state, control, logs=None, **kwargs):
        """Keep the loss that is shown."""
        if logs and "loss" in logs:
            self._notes = {"loss": float(logs["loss"])}

    def on_train_end(self, args, state, control, **kwargs):
        """Take the bar away."""
        self._progress.__exit__(None, None, None)


class LogAtSave(TrainerCallback):
    """Logs whenever a checkpoint is written, in every process.

    What is logged is a mean over the steps since the last time, which a checkpoint does not carry.
    """

    def on_step_end(self, args, state, control, **kwargs):
        """Log if this step is saved."""
        if control.should_save:
            control.should_log = True


class Curve(TrainerCallback):
    """Writes what is logged as a CSV file, a row a time; a resumed run goes on where the checkpoint was."""

    COLUMNS = ("step", "loss", "caption_loss", "patch_loss", "learning_rate", "grad_norm")

    def __init__(self, path: Path) -> None:
        self._path = path

    def on_train_begin(self, args, state, control, **kwargs):
        """Rewrite the curve from the state's history, which a checkpoint carries."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("w", newline="") as file:
            writer = csv.DictWriter(file, self.COLUMNS, extrasaction="ignore", lineterminator="\n")
            writer.writeheader()
            writer.writerows(entry for entry in state.log_history if "loss" in entry)

    def on_log(self, args, state, control, logs=None, **kwargs):
        """Append a row."""
        if logs and "loss" in logs:
            with self._path.open("a", newline="") as file:
                writer = csv.DictWriter(file, self.COLUMNS, extrasaction="ignore", lineterminator="\n")
                writer.writerow({"step": state.global_step, **logs})
