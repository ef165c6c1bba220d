"""The `patchwords` commands of this room; `pipeline.cli` registers them."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from pipeline.errors import UserError

if TYPE_CHECKING:
    from pipeline.patches.geometry import Geometry
    from pipeline.report import lookup

DATA = Path("data")


class Kind(StrEnum):
    """What a picture is written as."""

    png = "png"
    svg = "svg"


def register(app: typer.Typer) -> None:
    """Add this room's commands to the command line."""
    app.command("overlays")(overlays)


def overlays(
    count: Annotated[int, typer.Option(min=1, help="Phrases to draw, spread over the images.")] = 12,
    out: Annotated[Path, typer.Option(help="Folder for the pictures.")] = DATA / "overlays",
    kind: Annotated[Kind, typer.Option("--format", help="svg: patches stay shapes.")] = Kind.png,
    phrase: Annotated[str | None, typer.Option(help="Draw this phrase only, by its id.")] = None,
    image: Annotated[str | None, typer.Option(help="Draw the phrases of this image, by its id.")] = None,
    data: Annotated[Path, typer.Option(help="Folder of the datasets.")] = DATA,
) -> None:
    """Draw phrases on their patches: look at the data before you train on it."""
    from pipeline import params  # so that other commands start without it

    written = draw_overlays(data, params.load().source.path, out, count, phrase, image, kind)
    console = Console()
    for path in written:
        console.print(f"  {path}", highlight=False)
    console.print(f"{len(written)} overlays in [bold]{out}[/bold]", highlight=False)


def draw_overlays(
    data: Path,
    root: Path,
    out: Path,
    count: int = 12,
    phrase: str | None = None,
    image: str | None = None,
    kind: Kind = Kind.png,
) -> list[Path]:
    """Draw phrases of ``data/patch_words`` into ``out`` and return the files, in the dataset's order.

    ``root`` is the source's folder, for images that are kept by path. Without ``phrase`` or ``image``,
    ``count`` phrases are spread evenly over the images.

    Raises:
        UserError: a dataset is missing, or has no such phrase or image.
    """
    # Imported here so that the command line starts without the drawing code.
    from pipeline.patches.geometry import Geometry
    from pipeline.report import lookup

    table = data / "patch_words"
    if phrase is not None:
        rows = list(lookup.by_id(table, "phrase_id", [phrase]).values())
    elif image is not None:
        rows = lookup.rows(table, "image_id", [image])[:count]
    else:
        chosen = lookup.spread(table, count)
        rows = list(lookup.by_id(table, "phrase_id", chosen).values())
    if not rows:
        raise UserError(
            f"{table} has no phrase" + (f" of image {image!r}: mend the id." if image else ": it is empty.")
        )
    geometry = Geometry.from_encoder(data / "models" / "encoder")
    found = lookup.phrases(data, [row["phrase_id"] for row in rows])
    out.mkdir(parents=True, exist_ok=True)
    return [_draw(row, found[row["phrase_id"]], root, out, geometry, kind) for row in rows]


def _draw(
    row: dict[str, Any], phrase: lookup.Phrase, root: Path, out: Path, geometry: Geometry, kind: Kind
) -> Path:
    from pipeline.report import drawing, vector

    picture = drawing.picture_of(phrase.image, root)
    path = out / f"{row['phrase_id'].replace('/', '-')}.{kind.value}"
    if kind is Kind.svg:
        path.write_text(vector.draw_phrase(picture, phrase, row, geometry), encoding="utf-8")
    else:
        path.write_bytes(drawing.draw_phrase(picture, phrase, row, geometry))
    return path
