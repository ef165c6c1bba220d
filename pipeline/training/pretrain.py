"""Stage ``pretrain@ARM``: `pipeline.training.stages.pretrain` on ``params.yaml``."""

from __future__ import annotations

import argparse

from pipeline import params as parameters
from pipeline.console import run_command
from pipeline.training.runtime import prepare
from pipeline.training.stages import ARMS, Run, pretrain


def main() -> None:
    """Run the stage for one arm."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--arm", choices=ARMS, required=True)
    arm = parser.parse_args().arm
    params = parameters.load()
    prepare(params.seed, params.compute.threads)
    pretrain(params, Run(arm, params.seed))


if __name__ == "__main__":
    run_command(main)
