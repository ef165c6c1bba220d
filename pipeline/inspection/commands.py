"""The commands `patchwords inspect` and `patchwords diff`; `pipeline.cli` registers them."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pipeline.errors import UserError

DATA = Path("data")


class Format(StrEnum):
    """How `inspect` answers."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


def register(app: typer.Typer) -> None:
    """Add this room's commands to the command line."""
    app.command("inspect")(inspect)
    app.command("diff")(diff)


def inspect(
    path: Annotated[
        Path, typer.Argument(help="A dataset's folder or one of its parts; data lists them all.")
    ],
    where: Annotated[str | None, typer.Option(help="Only rows for which this SQL condition holds.")] = None,
    image: Annotated[str | None, typer.Option(help="Only rows of this image, by its id.")] = None,
    trace: Annotated[
        str | None,
        typer.Option(help="Follow a phrase_id (with :PATCH, one patch) back to its caption and image."),
    ] = None,
    rows: Annotated[int | None, typer.Option(min=0, help="Rows to show.")] = None,
    form: Annotated[Format, typer.Option("--format", help="For people, or for programs.")] = Format.TABLE,
    root: Annotated[Path | None, typer.Option(help="Folder of the pictures; none: source.path.")] = None,
    digest: Annotated[bool, typer.Option("--digest", help="Digest the content, however large.")] = False,
) -> None:
    """Show a dataset: what it is, its columns, what made it, distributions and rows.

    A condition may name columns and elements of lists: --where "score < 0.3 and word = 'cup'".
    """
    # Imported here so that other commands start without them.
    from pipeline.inspection import answers
    from pipeline.inspection.describe import Dataset, datasets_below

    if not path.exists() and (DATA / path).exists():
        path = DATA / path
    if path.is_dir() and not any(path.glob("part-*.arrow")) and (below := datasets_below(path)):
        if where or image or trace or form is Format.CSV:
            raise UserError(f"{path} holds {len(below)} datasets: give one, such as {below[0]}.")
        answers.overview(path, [Dataset(each) for each in below], as_json=form is Format.JSON)
        return
    found = Dataset(path)
    if trace is not None and form is Format.CSV:
        raise UserError("--format csv: a trace is no table of rows; give table or json.")
    if trace is not None:
        answers.trace(found, trace, root or source_root(), as_json=form is Format.JSON)
        return
    asked = answers.Asked(where, image, rows)
    if form is Format.CSV:
        answers.csv(found, asked)
    elif form is Format.JSON:
        answers.json(found, asked, digest)
    else:
        # Of other tables no row names a file, and reading params.yaml takes a while.
        answers.table(found, asked, digest, root or (source_root() if found.name == "images" else None))


def diff(
    before: Annotated[Path, typer.Argument(help="A dataset's folder.")],
    after: Annotated[Path | None, typer.Argument(help="The same dataset made otherwise.")] = None,
    rev: Annotated[
        list[str] | None,
        typer.Option(help="Compare with the dataset of this git revision, or (given twice) two revisions."),
    ] = None,
    examples: Annotated[int, typer.Option(min=0, help="Examples of each kind of change.")] = 3,
    form: Annotated[Format, typer.Option("--format", help="table or json.")] = Format.TABLE,
) -> None:
    """Compare two versions of a dataset: rows added, gone and changed, by column."""
    from pipeline.inspection import answers

    revisions = rev or []
    if form is Format.CSV:
        raise UserError("--format csv: a difference is no table of rows; give table or json.")
    if (after is None) == (not revisions) or len(revisions) > 2:
        raise UserError("Give two folders, or one and --rev REV (once or twice).")
    answers.difference(before, after, revisions, examples, as_json=form is Format.JSON)


def source_root() -> Path:
    """The source's folder, as params.yaml has it; the working directory where there is none.

    Raises:
        UserError: params.yaml is there and has a wrong value.
    """
    from pipeline import params

    return params.load().source.path if params.PARAMS_FILE.exists() else Path()
