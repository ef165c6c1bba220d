"""A dataset on disk: a folder of Arrow IPC files, ``part-00000.arrow`` onwards.

Files are uncompressed, so that every reader can memory-map them, and hold no clock or host name, so that
the same inputs and parameters give the same bytes. Schema metadata says what the dataset is and what made
it. A file appears under its final name only when it is whole.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.ipc

from pipeline.errors import UserError
from pipeline.tables.schemas import SCHEMA_VERSION, SCHEMAS

PART = "part-{:05d}.arrow"
if TYPE_CHECKING:
    import pyarrow.dataset as pads

_METADATA_PREFIX = "patchwords."


@dataclass(frozen=True)
class Provenance:
    """What a dataset was made from: digests of the parameters used and of each input."""

    params: str = ""
    inputs: Mapping[str, str] = field(default_factory=dict)


def write_part(folder: Path, index: int, table: pa.Table, name: str, provenance: Provenance) -> Path:
    """Write one part of the dataset ``name`` and return its path.

    The table is cast to the schema of ``name``; columns may come in any order. The file is written beside
    its final name, flushed to disk and then renamed, so a killed process or a full disk leaves no part
    that a later run takes for whole.

    Raises:
        ValueError: a column is missing or surplus.
        UserError: the file could not be written (disk full, no permission).
    """
    schema = SCHEMAS[name]
    if set(table.column_names) != set(schema.names):
        raise ValueError(f"{name}: columns {table.column_names} are not those of its schema, {schema.names}")
    # One row batch a part, so that the bytes do not depend on how the rows were gathered.
    whole = table.select(schema.names).cast(schema).combine_chunks()
    whole = whole.replace_schema_metadata({**(schema.metadata or {}), **_metadata(name, provenance)})
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / PART.format(index)
    partial = path.with_suffix(".partial")
    try:
        with partial.open("wb") as file:
            with pa.ipc.new_file(file, whole.schema) as writer:
                writer.write_table(whole)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise UserError(
            f"Could not write {path}: {error.strerror or error}. Nothing half-written was left; "
            "free some space (or mend the permissions) and run the same command again."
        ) from error
    return path


def parts(folder: Path) -> list[Path]:
    """The dataset's part files, in order.

    Raises:
        UserError: the folder is missing, or is no dataset, or a part is missing from the row.
    """
    if not folder.is_dir():
        raise UserError(f"There is no dataset at {folder}: run `dvc repro` to make it, or mend the path.")
    found = sorted(folder.glob("part-*.arrow"))
    if not found:
        raise UserError(
            f"{folder} holds no part-*.arrow files, so it is no dataset. Run `dvc repro` to make it."
        )
    for index, path in enumerate(found):
        if path.name != PART.format(index):
            raise UserError(
                f"{folder} lacks {PART.format(index)}: it is not whole. Run `dvc repro` to make it again."
            )
    return found


def read_part(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """One part as a table, memory-mapped: only the columns that are used are read from disk.

    Raises:
        UserError: the file is cut short or is not an Arrow IPC file; the message names it.
    """
    try:
        with pa.memory_map(str(path)) as source:
            table = pa.ipc.open_file(source).read_all()
    except FileNotFoundError as error:
        raise UserError(f"{path} does not exist. Run `dvc repro` to make it.") from error
    except (pa.ArrowInvalid, OSError) as error:
        raise UserError(
            f"{path} is not a whole Arrow file ({error}). It was cut short or overwritten: "
            "delete it and run `dvc repro` to make it again."
        ) from error
    _check_version(path, table.schema)
    return table if columns is None else table.select(list(columns))


def iter_parts(folder: Path, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """The dataset's parts, one table at a time."""
    for path in parts(folder):
        yield read_part(path, columns)


def read(folder: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """The whole dataset as one (memory-mapped) table."""
    return pa.concat_tables(iter_parts(folder, columns))


def scan(folder: Path) -> pads.Dataset:
    """The dataset for pyarrow's lazy scanning, filtering and projection."""
    import pyarrow.dataset as pads  # brings pandas: most of a second that only those who scan should pay

    return pads.dataset([str(path) for path in parts(folder)], format="ipc")


def count_rows(folder: Path) -> int:
    """Rows in the dataset."""
    return sum(table.num_rows for table in iter_parts(folder))


def provenance(folder: Path) -> Provenance:
    """What the dataset says that it was made from."""
    return provenance_of(read_part(parts(folder)[0]).schema)


def provenance_of(schema: pa.Schema) -> Provenance:
    """What a part's schema says that it was made from."""
    metadata = schema.metadata or {}
    return Provenance(
        params=metadata.get(_key("params"), b"").decode(),
        inputs=json.loads(metadata.get(_key("inputs"), b"{}")),
    )


def name_of(schema: pa.Schema) -> str:
    """The name of the dataset that a part belongs to, a key of `SCHEMAS`."""
    return (schema.metadata or {}).get(_key("dataset"), b"").decode()


def _key(name: str) -> bytes:
    return f"{_METADATA_PREFIX}{name}".encode()


def _metadata(name: str, made_from: Provenance) -> dict[bytes, bytes]:
    return {
        _key("dataset"): name.encode(),
        _key("schema_version"): SCHEMA_VERSION.encode(),
        _key("params"): made_from.params.encode(),
        _key("inputs"): json.dumps(dict(made_from.inputs), sort_keys=True).encode(),
    }


def _check_version(path: Path, schema: pa.Schema) -> None:
    version = (schema.metadata or {}).get(_key("schema_version"))
    if version is None:
        raise UserError(f"{path} is an Arrow file, but not one of this project's datasets.")
    if version.decode() != SCHEMA_VERSION:
        raise UserError(
            f"{path} has schema version {version.decode()}, this code reads {SCHEMA_VERSION}: "
            "run `dvc repro` to make the dataset again."
        )
