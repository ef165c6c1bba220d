"""What a checkpoint or an evaluation was made from: ``lineage.json`` beside it.

Tables carry the digests of their inputs in their schema metadata; folders of other files carry them here.
So whatever changes upstream changes every output downstream, even where weights or numbers stay the same,
and a stage in ``dvc.yaml`` need list only the nearest of what it reads.

    python -m pipeline.lineage data/models/pretrain/caption --from data/patch_words --from data/features
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from pipeline.console import run_command, run_options
from pipeline.errors import UserError
from pipeline.models import card
from pipeline.tables import digests

FILE = "lineage.json"


def write(folder: Path, inputs: list[Path]) -> Path:
    """Write ``{"inputs": {path: digest of the files below it}}`` into ``folder`` and return the file.

    A model card that is there says the same.

    Raises:
        UserError: the folder or an input does not exist.
    """
    for path in (folder, *inputs):
        if not path.is_dir():
            raise UserError(f"There is no folder {path}: run `dvc repro` to make it, or mend the path.")
    made_from = {path.as_posix(): digests.of_files(path) for path in sorted(inputs)}
    file = folder / FILE
    file.write_text(json.dumps({"inputs": made_from}, indent=2) + "\n", encoding="utf-8")
    card.add_lineage(folder, made_from)
    return file


def main() -> None:
    """Write the lineage of one folder."""

    def command(
        folder: Annotated[Path, typer.Argument(help="Folder that was made.")],
        inputs: Annotated[list[Path], typer.Option("--from", help="Folder that it was made from.")],
    ) -> None:
        write(folder, inputs)

    run_options(command)


if __name__ == "__main__":
    run_command(main)
