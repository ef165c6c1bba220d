"""Stage ``pretrain@ARM``: `pipeline.training.stages.pretrain` on ``params.yaml``."""

from __future__ import annotations

from pipeline.console import run_command
from pipeline.training.stages import command, pretrain

if __name__ == "__main__":
    run_command(lambda: command(pretrain))
