"""What every format is written from: a run's images, each with its rows of the tables that are asked for."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.errors import UserError
from pipeline.export import pictures
from pipeline.export.pictures import MissingPictureError
from pipeline.inspection.describe import Dataset
from pipeline.tables import dataset

Row = dict[str, Any]


@dataclass
class Report:
    """What an export wrote and what it left out."""

    written: Counter[str] = field(default_factory=Counter)
    """Things by kind."""
    left_out: Counter[str] = field(default_factory=Counter)
    """Things by the reason."""
    first: dict[str, str] = field(default_factory=dict)
    """The first of each reason."""

    def leave_out(self, reason: str, what: str) -> None:
        """Count something that the format cannot hold."""
        self.left_out[reason] += 1
        self.first.setdefault(reason, what)


@dataclass(frozen=True)
class Item:
    """An image with its rows."""

    image: Row
    rows: dict[str, list[Row]]
    """Rows about the image by table, in the table's order."""
    file: str
    """The picture's name in the exported files."""
    content: bytes | None
    """The picture, where pictures are copied."""


@dataclass(frozen=True)
class Job:
    """An export."""

    table: Dataset
    out: Path
    """The folder to write to, empty."""
    is_copy: bool
    """Whether pictures are copied; if not, files name them by their path below the source's root."""
    root: Path
    """The source's root."""
    splits: tuple[str, ...]
    box_digits: int = 3
    """Digits after the point of boxes in texts."""
    report: Report = field(default_factory=Report)

    def items(self, *names: str, optional: Sequence[str] = ()) -> Iterator[Item]:
        """The images of the splits, in order, with their rows of the named tables.

        An image whose picture is to be copied and is not there is left out with its rows.

        Args:
            names: tables that have to be there.
            optional: tables whose rows come along if they are there.

        Raises:
            UserError: a table is missing, or tables are not of one run.
        """
        folders = {name: self.folder_of(name) for name in ("images", *names)}
        folders |= {name: folder for name in optional if (folder := self.table.sibling(name))}
        listed = {name: dataset.parts(folder) for name, folder in folders.items()}
        if self.table.path.is_file():
            listed = {
                name: [path for path in paths if path.name == self.table.path.name]
                for name, paths in listed.items()
            }
        if len({len(paths) for paths in listed.values()}) > 1:
            counts = ", ".join(f"{name} {len(paths)}" for name, paths in listed.items())
            raise UserError(
                f"The tables have different numbers of parts ({counts}): they are not of one run."
            )
        for paths in zip(*listed.values(), strict=True):
            yield from self._items(
                {name: dataset.read_part(path) for name, path in zip(listed, paths, strict=True)}
            )

    def folder_of(self, name: str) -> Path:
        """The folder of a dataset of the run.

        Raises:
            UserError: there is none.
        """
        folder = self.table.folder if name == self.table.name else self.table.sibling(name)
        if folder is None:
            raise UserError(
                f"The export needs the dataset {name}, and there is none beside {self.table.folder}: "
                "run `dvc repro`, or export from a run's own folder."
            )
        return folder

    def _items(self, tables: dict[str, pa.Table]) -> Iterator[Item]:
        groups: dict[str, dict[str, list[Row]]] = defaultdict(lambda: {name: [] for name in tables})
        for name, table in tables.items():
            if name != "images":
                for row in table.to_pylist():
                    groups[row["image_id"]][name].append(row)
        images = tables["images"]
        unknown = groups.keys() - set(images["image_id"].to_pylist())
        if unknown:
            raise not_of_one_run(min(unknown), "the images of its part")
        for place in range(images.num_rows):
            image = images.slice(place, 1).to_pylist()[0]
            if image["split"] not in self.splits:
                continue
            try:
                content = pictures.content(image, self.root) if self.is_copy else None
                file = pictures.file_name(image, content)
            except MissingPictureError as error:
                self.report.leave_out("image_missing", str(error))
                continue
            yield Item(image, groups[image["image_id"]], file, content)


def not_of_one_run(image_id: str, images: str) -> UserError:
    """What to tell of an image that has rows and is not among the images."""
    return UserError(
        f"{image_id!r} has rows, and is not among {images}: the tables are not of one run. Run `dvc repro`."
    )
