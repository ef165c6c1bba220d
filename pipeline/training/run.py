"""One arm with one seed, and where its files lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.params import Params
from pipeline.tables import digests
from pipeline.training.runtime import DATA, WORK


@dataclass(frozen=True)
class Run:
    """One arm with one seed: where it writes, below a root that ``data/`` or a study's folder can be."""

    arm: str
    seed: int
    root: Path = DATA

    @property
    def pretrained(self) -> Path:
        """The model after pre-training."""
        return self.root / "models/pretrain" / self.arm

    @property
    def finetuned(self) -> Path:
        """The model after fine-tuning."""
        return self.root / "models/finetune" / self.arm

    def curve(self, stage: str) -> Path:
        """The learning curve of ``pretrain`` or ``finetune``."""
        return self.root / "curves" / f"{stage}-{self.arm}.csv"

    def work(self, stage: str, params: Params, inputs: Sequence[Path]) -> Path:
        """Where the stage's checkpoints wait, so that a killed run goes on.

        The folder's name carries the settings and what the stage reads, so a run that trains something else
        takes up no checkpoint of this one.
        """
        settings = [
            params.model_dump(mode="json", include={"source", "seed"}),
            params.train.model_dump(mode="json", exclude={"arms", "report_to", "cache_features"}),
            params.arm(self.arm).model_dump(mode="json"),
        ]
        key = digests.of_value([settings, self.seed, *(digests.of_files(path) for path in inputs)])
        return WORK / "train" / self.root / f"{stage}-{self.arm}-{key}"
