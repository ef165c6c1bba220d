"""``python -m pipeline.evaluation.outside``: the stage ``benchmarks``."""

from pipeline.console import run_command
from pipeline.evaluation.outside.stage import main

run_command(main)
