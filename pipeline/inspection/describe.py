"""What a dataset is: its columns, rows, size, and what made it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml

from pipeline.errors import UserError
from pipeline.inspection import elements as of_lists
from pipeline.tables import dataset, digests
from pipeline.tables.dataset import Provenance

DIGESTED_BYTES = 64 * 2**20
"""Datasets up to this size are digested without being asked to."""


@dataclass(frozen=True)
class Dataset:
    """A dataset's folder, or one part of it."""

    path: Path

    @cached_property
    def parts(self) -> list[Path]:
        """The part files.

        Raises:
            UserError: there is no dataset; the message names those that are near.
        """
        if self.path.is_file():
            return [self.path]
        if self.path.is_dir() and not any(self.path.glob("part-*.arrow")):
            near = ", ".join(str(each) for each in datasets_below(self.path))
            raise UserError(
                f"{self.path} holds no part-*.arrow files, so it is no dataset."
                + (f" These are: {near}." if near else " Run `dvc repro` to make the datasets.")
            )
        return dataset.parts(self.path)

    @cached_property
    def folder(self) -> Path:
        """The folder of the parts."""
        return self.path.parent if self.path.is_file() else self.path

    @cached_property
    def schema(self) -> pa.Schema:
        """Columns with their lines, and the dataset's own metadata."""
        return dataset.read_part(self.parts[0]).schema

    @property
    def name(self) -> str:
        """The table's name, a key of `SCHEMAS`."""
        return dataset.name_of(self.schema)

    @property
    def doc(self) -> str:
        """What a row is."""
        return (self.schema.metadata or {}).get(b"doc", b"").decode()

    @property
    def made_from(self) -> Provenance:
        """Digests of what made it."""
        return dataset.provenance_of(self.schema)

    @cached_property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(path.stat().st_size for path in self.parts)

    @cached_property
    def table(self) -> pa.Table:
        """All rows, memory-mapped."""
        return pa.concat_tables(self.tables())

    def tables(self) -> Iterator[pa.Table]:
        """One part after another, memory-mapped."""
        for path in self.parts:
            yield dataset.read_part(path)

    def sibling(self, name: str) -> Path | None:
        """Another dataset of the same run, if its folder is there.

        Datasets of a run lie side by side; those of a stage or an arm (``rejects/parse``) lie deeper.
        """
        for above in (self.folder.parent, *self.folder.parent.parents[:2]):
            part = above / name / dataset.PART.format(0)
            # A stage's rejects lie in a folder of the stage's name, which may be that of a table.
            if part.is_file() and dataset.name_of(dataset.read_part(part).schema) == name.split("/")[0]:
                return above / name
        return None

    def content_digest(self, force: bool = False) -> str | None:
        """Digest of the parts' bytes, as in other datasets' inputs; None if there are too many of them."""
        if self.path.is_file() or (self.size > DIGESTED_BYTES and not force):
            return None
        return digests.of_files(self.folder, "part-*.arrow")

    def inputs(self) -> list[tuple[str, str, str]]:
        """(name, digest, what became of it since) of each input; the last is empty where it is not known."""
        found = []
        for name, digest in self.made_from.inputs.items():
            sibling = self.sibling(name)
            now = Dataset(sibling).content_digest() if sibling else None
            known = (
                "" if now is None else "as it is now" if now == digest else f"has changed since: now {now}"
            )
            found.append((name, digest, known))
        return found


def columns(schema: pa.Schema) -> list[tuple[str, str, str]]:
    """(name, type in short, its line) of each column."""
    return [
        (column.name, type_in_short(column.type) + ("?" if column.nullable else ""), _line(column))
        for column in schema
    ]


def elements(schema: pa.Schema) -> list[tuple[str, str]]:
    """Names that a filter has for elements of lists, each with what it stands for."""
    there = [name for name in of_lists.names(schema) if name not in schema.names]
    return [(name, ".".join(filter(None, of_lists.ELEMENTS[name]))) for name in there]


def type_in_short(kind: pa.DataType) -> str:
    """An Arrow type as one would write it by hand: ``[float32 x 4]``, ``[{text, lemma, role}]``."""
    if pa.types.is_fixed_size_list(kind):
        return f"[{type_in_short(kind.value_type)} x {kind.list_size}]"
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return f"[{type_in_short(kind.value_type)}]"
    if pa.types.is_struct(kind):
        return f"{{{', '.join(kind.field(place).name for place in range(kind.num_fields))}}}"
    return {"double": "float64", "float": "float32"}.get(str(kind), str(kind).removeprefix("large_"))


def _line(column: pa.Field) -> str:
    return (column.metadata or {}).get(b"doc", b"").decode()


def settings(folder: Path) -> tuple[Path, str, dict[str, Any]] | None:
    """What ``dvc.lock`` says made the dataset: (the file, the stage, its parameters by dotted name).

    The lock that counts is the nearest above the folder; None if there is none, or it does not know the
    folder.
    """
    folder = folder.resolve()
    for above in folder.parents:
        lock = above / "dvc.lock"
        if lock.is_file():
            return _of_lock(lock, folder.relative_to(above).as_posix())
    return None


def _of_lock(lock: Path, out: str) -> tuple[Path, str, dict[str, Any]] | None:
    content = yaml.load(lock.read_bytes(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    for stage, entry in (content or {}).get("stages", {}).items():
        if any(each.get("path") == out for each in entry.get("outs", [])):
            flat: dict[str, Any] = {}
            for values in entry.get("params", {}).values():
                flat |= _flattened(values)
            return lock, stage, flat
    return None


def _flattened(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        flat |= _flattened(value, f"{name}.") if isinstance(value, dict) and value else {name: value}
    return flat


def datasets_below(folder: Path) -> list[Path]:
    """Folders with parts in them, at most three levels down, in the order of their names."""
    found = {path.parent for depth in range(1, 4) for path in folder.glob(f"{'*/' * depth}part-00000.arrow")}
    return sorted(found)
