"""Stage ``finetune@ARM``: `pipeline.training.stages.finetune` on ``params.yaml``."""

from __future__ import annotations

from pipeline.console import run_command
from pipeline.training.stages import command, finetune

if __name__ == "__main__":
    run_command(lambda: command(finetune))
