"""The datasets below a folder as the page sees them: memory-mapped, with what is missing named."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.browse import columns
from pipeline.errors import UserError
from pipeline.tables import dataset, schemas

MADE_BY = {
    "images": "ingest",
    "captions": "ingest",
    "objects": "ingest",
    "phrases": "parse",
    "regions": "ground",
    "patch_words": "patch_words",
}
"""The tables that the page shows and the stage that makes each."""
REJECTING = ("ingest", "parse", "ground", "patch_words")
MAPS = "similarity_maps"

Signature = tuple[tuple[str, int, int], ...]


@dataclass(frozen=True)
class Store:
    """A data folder's tables.

    ``tables`` and ``rejects`` (by stage) hold an empty table where there is none; ``problems`` says of each
    that is missing or unreadable, by name, what is wrong and how to make it. ``maps`` are similarity maps by
    ``arm/folder``, such as ``caption/similarity_maps_finetuned``.
    """

    folder: Path
    tables: dict[str, pa.Table]
    rejects: dict[str, pa.Table]
    maps: dict[str, pa.Table]
    problems: dict[str, str]
    signature: Signature

    def table(self, name: str) -> pa.Table:
        """A table that what was asked for needs.

        Raises:
            UserError: it is missing or unreadable; the message names the stage that makes it.
        """
        if name in self.problems:
            raise UserError(self.problems[name])
        return self.tables[name]


def load(folder: Path) -> Store:
    """Open what there is below ``folder`` (a project's ``data``).

    Raises:
        UserError: there is no such folder, or it holds none of the tables.
    """
    if not folder.is_dir():
        raise UserError(f"There is no folder {folder}: run `dvc repro` to make the data, or mend the path.")
    names = {name: folder / name for name in MADE_BY}
    if not any(path.is_dir() for path in names.values()):
        hint = " It is one dataset of several: give the folder above it." if _is_dataset(folder) else ""
        raise UserError(
            f"{folder} holds no datasets: none of {', '.join(names)} is there.{hint}"
            + ("" if hint else " Run `dvc repro` to make them, or give the folder that holds them.")
        )
    problems: dict[str, str] = {}
    # Before the tables are read: what changes meanwhile is seen as a change at the next look.
    seen = signature(folder)
    tables = {name: _open(path, name, MADE_BY[name], problems) for name, path in names.items()}
    rejects = {
        stage: _open(folder / "rejects" / stage, "rejects", stage, problems, f"rejects/{stage}")
        for stage in REJECTING
    }
    maps: dict[str, pa.Table] = {}
    for path in sorted(folder.glob(f"evaluation/*/{MAPS}*")):
        arm = path.parent.name
        name = f"{arm}/{path.name}"
        found = _open(path, MAPS, f"evaluate@{arm}", problems, name)
        if name not in problems:
            maps[name] = found
    return Store(folder, tables, rejects, maps, problems, seen)


def signature(folder: Path) -> Signature:
    """Names, sizes and times of the parts below a data folder: equal while no stage has replaced one."""
    found = []
    for pattern in ("*", "rejects/*", f"evaluation/*/{MAPS}*"):
        for path in sorted(folder.glob(f"{pattern}/part-*.arrow")):
            try:
                stat = path.stat()
            except FileNotFoundError:  # a stage is replacing it at this moment
                continue
            found.append((path.relative_to(folder).as_posix(), stat.st_size, stat.st_mtime_ns))
    return tuple(found)


def _is_dataset(folder: Path) -> bool:
    return any(folder.glob("part-*.arrow"))


def _open(folder: Path, schema: str, stage: str, problems: dict[str, str], called: str = "") -> pa.Table:
    """The dataset, or an empty one and an entry in ``problems``."""
    name = called or schema
    if not folder.is_dir():
        problems[name] = f"There is no {name} in this dataset: run `dvc repro {stage}` to make it."
        return _none_of(schema)
    try:
        found = dataset.read(folder)
    except UserError as error:
        problems[name] = str(error)
        return _none_of(schema)
    wanted = schemas.SCHEMAS[schema]
    missing = [column for column in wanted.names if column not in found.column_names]
    if missing:
        problems[name] = (
            f"{folder} has no column {missing[0]}, so it is no {schema} of this version:"
            f" run `dvc repro {stage}` to make it again."
        )
        return _none_of(schema)
    return found


def _none_of(schema: str) -> pa.Table:
    """A table of no rows. (The schema's own ``empty_table`` would import pandas.)"""
    return pa.Table.from_batches([], schemas.SCHEMAS[schema])


def matching(table: pa.Table, column: str, values: Iterable[str]) -> np.ndarray:
    """Numbers of the rows whose string ``column`` is one of the values, ascending."""
    return np.flatnonzero(columns.among(table[column], values))


def rows(table: pa.Table, column: str, values: Iterable[str]) -> list[dict[str, Any]]:
    """The rows whose string ``column`` is one of the values, in the table's order."""
    return take(table, matching(table, column, values))


def take(table: pa.Table, numbers: Iterable[int], only: Iterable[str] | None = None) -> list[dict[str, Any]]:
    """Rows by number, as dicts.

    Slices instead of Arrow's ``take``, which would first join the chunks of a memory-mapped column.
    """
    chosen = table if only is None else table.select(list(only))
    return [chosen.slice(int(number), 1).to_pylist()[0] for number in numbers]
