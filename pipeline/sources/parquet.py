"""Parquet or Arrow files with a column of images, as the ``datasets`` library writes them.

An image is a struct of ``bytes`` and ``path``, plain bytes, or a path below the root. A caption is a text or
a list of texts. Bytes are kept in the table ``images``, so that a shard takes the memory of its pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq

from pipeline.errors import UserError
from pipeline.params import SourceParams
from pipeline.sources.listing import ListedSource, Listing
from pipeline.sources.rows import Caption, Listed, Reject, split_of
from pipeline.tables import digests

_BATCH = 256  # rows read at a time
_TREE = "data/train-00000-of-00002.parquet, ... (or .arrow) with a column of images"


def source(params: SourceParams) -> ListedSource:
    """The files as a source."""
    return ListedSource(params, inputs, listing)


def inputs(params: SourceParams) -> list[Path]:
    """The files, by name."""
    pattern = params.parquet.files
    if Path(pattern).is_absolute() or ".." in Path(pattern).parts:
        raise UserError(f"source.parquet.files: found {pattern!r}; it must lie below source.path.")
    found = sorted(path for path in params.path.glob(pattern) if path.is_file())
    if not found:
        raise UserError(
            f"source.path is {params.path}, and no file there matches source.parquet.files, {pattern!r}."
            f" Expected: {_TREE}."
        )
    return found


@dataclass(frozen=True)
class _File:
    path: Path
    name: str
    """Below the root, without its ending."""
    first: int
    """Rows before it."""
    rows: int


def listing(params: SourceParams) -> Listing:
    """The rows of all files, one image a row."""
    settings, root = params.parquet, params.path
    loose: list[Reject] = []
    files: list[_File] = []
    count = 0
    repeated: set[int] = set()
    seen: set[bytes] = set()
    for path in inputs(params):
        name = path.relative_to(root).with_suffix("").as_posix()
        columns = [settings.id] if settings.id else []
        rows, error = 0, ""
        for batch, found in _batches(path, columns, _columns(params), 0):
            error = error or found
            for value in batch.column(0).to_pylist() if batch and settings.id else ():
                key = digests.of_bytes(str(value).encode("utf-8", "surrogatepass")).encode()
                if key in seen:
                    repeated.add(count + rows)
                seen.add(key)
                rows += 1
            if batch and not settings.id:
                rows += batch.num_rows
        if error:
            message = f"{path.name} cannot be read from row {rows} on ({error}): fetch or copy it again"
            loose.append((f"file:{name}{path.suffix}", "file_cut_short", message))
        files.append(_File(path, name, count, rows))
        count += rows

    def read(first: int, last: int) -> list[Listed]:
        listed: list[Listed] = []
        for file in files:
            start, end = max(first - file.first, 0), min(last - file.first, file.rows)
            if start < end:
                listed += _listed(params, file, start, end, repeated)
        return listed

    return Listing(count, read, loose)


def _columns(params: SourceParams) -> list[str]:
    settings = params.parquet
    return [name for name in (settings.image, settings.caption, settings.id) if name]


def _listed(params: SourceParams, file: _File, start: int, end: int, repeated: set[int]) -> Iterator[Listed]:
    """The rows ``start`` up to ``end`` of a file."""
    settings = params.parquet
    row = start
    for batch, _ in _batches(file.path, _columns(params), _columns(params), start):
        for values in batch.to_pylist() if batch else ():
            if row == end:
                return
            image_id = str(values[settings.id]) if settings.id else f"{file.name}/{row}"
            given = values.get(settings.caption) if settings.caption else []
            texts = given if isinstance(given, list) else [given]
            item = Listed(
                image_id,
                split_of(image_id, settings.test_share, settings.validation_share),
                captions=[Caption(str(number), text) for number, text in enumerate(texts)],
                is_captioned=settings.require_captions,
            )
            _set_picture(item, values[settings.image])
            if file.first + row in repeated:
                message = f"{file.name}, row {row}: the id is taken by an earlier row, which is kept"
                item.fault = ("", "duplicate_image_id", message)
            yield item
            row += 1
    for lost in range(row, end):
        message = f"{file.name}, row {lost} cannot be read: fetch or copy the file again"
        name = f"{file.name}/{lost}"
        yield Listed(name, "train", fault=("", "row_unreadable", message))


def _set_picture(item: Listed, value: Any) -> None:
    data, path = value, None
    if isinstance(value, dict):
        data, path = value.get("bytes"), value.get("path")
    if isinstance(data, str):
        data, path = None, data
    if isinstance(data, bytes):
        item.content = _giving(data)
    elif isinstance(path, str) and path:
        item.tried = (path,)


def _giving(data: bytes) -> Callable[[], bytes]:
    return lambda: data


def _batches(
    path: Path, columns: list[str], needed: list[str], skip: int
) -> Iterator[tuple[pa.RecordBatch | None, str]]:
    """A file's rows from ``skip`` on, some at a time; last, what was wrong if something was.

    Raises:
        UserError: a column is missing.
    """
    try:
        opened = _parquet if path.suffix == ".parquet" else _arrow
        for batch in opened(path, columns, needed):
            if skip >= batch.num_rows:
                skip -= batch.num_rows
                continue
            yield batch.slice(skip), ""
            skip = 0
    except (pa.ArrowException, OSError, ValueError) as error:
        yield None, str(error).split("\n")[0] or type(error).__name__


def _parquet(path: Path, columns: list[str], needed: list[str]) -> Iterator[pa.RecordBatch]:
    with pq.ParquetFile(path) as file:
        _check(path, file.schema_arrow.names, needed)
        yield from file.iter_batches(_BATCH, columns=columns)


def _arrow(path: Path, columns: list[str], needed: list[str]) -> Iterator[pa.RecordBatch]:
    """Batches of an Arrow file, or of the stream that ``datasets`` writes."""
    with pa.memory_map(str(path)) as mapped:
        try:
            file = pa.ipc.open_file(mapped)
            batches = (file.get_batch(number) for number in range(file.num_record_batches))
        except pa.ArrowInvalid:
            mapped.seek(0)
            file = batches = pa.ipc.open_stream(mapped)
        _check(path, file.schema.names, needed)
        for batch in batches:
            wanted = batch.select(columns)
            wanted.validate(full=True)  # damaged offsets would lead outside the file
            for start in range(0, wanted.num_rows, _BATCH):
                yield wanted.slice(start, _BATCH)


def _check(path: Path, there: list[str], needed: list[str]) -> None:
    missing = [name for name in needed if name not in there]
    if missing:
        raise UserError(
            f"{path} has no column {', '.join(missing)}; it has {', '.join(there)}. Set source.parquet.image,"
            " source.parquet.caption and source.parquet.id to columns that are there (or to null)."
        )
