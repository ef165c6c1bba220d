"""The command ``patchwords checkpoint``: a trained model to take away, its card with the arm's results."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from pipeline.errors import UserError
from pipeline.export.folder import whole
from pipeline.models import card

DATA = Path("data")


def checkpoint(
    arm: Annotated[str, typer.Argument(help="The arm, a name of train.arms.")],
    out: Annotated[Path, typer.Argument(help="Folder to make; it appears when all of it is written.")],
    stage: Annotated[str, typer.Option(help="finetune or pretrain.")] = "finetune",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is at OUT.")] = False,
) -> None:
    """Copy a trained model as a transformers folder whose card has the results of its evaluation."""
    found = DATA / "models" / stage / arm
    if not found.is_dir():
        raise UserError(f"There is no {found}: run `dvc repro {stage}@{arm}`, or name another arm or stage.")
    metrics = DATA / "evaluation" / arm / "metrics.json"
    with whole(out, overwrite) as folder:
        shutil.copytree(found, folder, dirs_exist_ok=True)
        # Evaluation is of the fine-tuned model.
        if stage == "finetune" and metrics.is_file():
            card.add_results(folder, card.estimates(metrics))
    told = Text.assemble((str(out), "bold"), f": a transformers folder; {card.FILE} is its card")
    Console().print(told)
