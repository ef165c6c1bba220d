"""The commands `patchwords export` and `checkpoint`; `pipeline.cli` registers them."""

from __future__ import annotations

from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from pipeline.errors import UserError
from pipeline.export import FORMATS, Format
from pipeline.export.checkpoint import checkpoint
from pipeline.export.folder import whole
from pipeline.tables.schemas import SCHEMAS, SPLITS

DATA = Path("data")

Target = StrEnum("Target", {name.upper(): name for name in FORMATS})  # type: ignore[misc]
Split = StrEnum("Split", {name.upper(): name for name in SPLITS})  # type: ignore[misc]


class Images(StrEnum):
    """What becomes of pictures."""

    COPY = "copy"
    REFERENCE = "reference"


def register(app: typer.Typer) -> None:
    """Add this room's commands to the command line."""
    listed = "\n\n".join(f"  {name}: {each.doc} (of {_tables(each)})" for name, each in FORMATS.items())
    app.command("export", help=f"Write a table in another tool's format.\n\n{listed}")(export)
    app.command("checkpoint")(checkpoint)


def _tables(held: Format) -> str:
    return "any table" if set(held.tables) == set(SCHEMAS) else ", ".join(held.tables)


def export(
    table: Annotated[Path, typer.Argument(help="The dataset's folder, or its name below data/.")],
    out: Annotated[Path, typer.Argument(help="Folder to make; it appears when all of it is written.")],
    to: Annotated[Target, typer.Option("--to", help="The format.")],
    images: Annotated[
        Images, typer.Option(help="Copy pictures, or name them by their path below the source's root.")
    ] = Images.COPY,
    split: Annotated[list[Split] | None, typer.Option(help="Only this split; may be given again.")] = None,
    root: Annotated[Path | None, typer.Option(help="Folder of the pictures; none: source.path.")] = None,
    box_digits: Annotated[
        int, typer.Option(min=1, max=12, help="Digits after the point of boxes in texts (llava).")
    ] = 3,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is at OUT.")] = False,
) -> None:
    """Write a table in another tool's format."""
    from pipeline.export.job import Job
    from pipeline.inspection.commands import source_root
    from pipeline.inspection.describe import Dataset

    if not table.exists() and (DATA / table).exists():
        table = DATA / table
    found = Dataset(table)
    chosen = FORMATS[to.value]
    if found.name not in chosen.tables:
        raise UserError(
            f"{to.value} holds {', '.join(chosen.tables)}; {table} is {found.name}. Formats for that: "
            f"{', '.join(name for name, each in FORMATS.items() if found.name in each.tables)}."
        )
    splits = tuple(each.value for each in split) if split else SPLITS
    with whole(out, overwrite) as folder:
        job = Job(found, folder, images is Images.COPY, root or source_root(), splits, box_digits)
        import_module(chosen.module).write(job)
    console = Console()
    counts = ", ".join(f"{count:,} {kind}" for kind, count in job.report.written.items())
    # As texts: a folder or a picture may be called [raw], which is no style.
    console.print(Text.assemble((str(out), "bold"), f": {to.value}, {counts or 'nothing'}"))
    for reason, count in job.report.left_out.items():
        first = f" (the first: {job.report.first[reason]})"
        console.print(Text.assemble((f"  left out: {count:,} {reason}", "yellow"), first))
