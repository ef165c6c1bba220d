"""Parquet: every column as it is, a file a part, with the schema's own metadata.

``pyarrow.parquet.read_table`` gives the very table back; pictures that lie in files are put into the column
``image`` where they are to be copied, so that the files stand by themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.errors import UserError
from pipeline.export import pictures
from pipeline.export.job import Job, not_of_one_run
from pipeline.export.pictures import MissingPictureError
from pipeline.tables import dataset
from pipeline.tables.schemas import SPLITS

ROW_GROUP = 10_000
LARGE_ROW_GROUP = 100
"""Rows that are in memory at a time, and side by side in the file, of tables whose rows may be megabytes."""
LARGE = ("images", "features")

Mask = Callable[[pa.Table], pa.ChunkedArray]


def write(job: Job) -> None:
    """Write a file for each part.

    Raises:
        UserError: only some splits are asked for, and nothing says of which the table's rows are.
    """
    mask = _mask(job)
    is_pictures = job.is_copy and job.table.name == "images"
    most = LARGE_ROW_GROUP if job.table.name in LARGE else ROW_GROUP
    for path, part in zip(job.table.parts, job.table.tables(), strict=True):
        with pq.ParquetWriter(job.out / f"{path.stem}.parquet", part.schema, compression="zstd") as writer:
            for rows in _groups(part, mask, most):
                writer.write_table(_with_pictures(rows, job) if is_pictures else rows)
                job.report.written["rows"] += rows.num_rows


def _mask(job: Job) -> Mask | None:
    """What tells which rows of a part are of the splits that are asked for; None if all are."""
    if set(job.splits) == set(SPLITS):
        return None
    columns = job.table.schema.names
    splits = pa.array(job.splits)
    if "split" in columns:
        return lambda part: pc.is_in(part["split"], value_set=splits)
    if "image_id" not in columns:
        raise UserError(
            f"--split cannot choose rows of {job.table.name}: they say neither their split nor their image. "
            "Leave --split out."
        )
    images = dataset.read(job.folder_of("images"), ["image_id", "split"])
    known = images["image_id"].combine_chunks()
    is_chosen = pc.is_in(images["split"].combine_chunks(), value_set=splits)

    def mask(part: pa.Table) -> pa.ChunkedArray:
        places = pc.index_in(part["image_id"], value_set=known)
        if places.null_count:
            unknown = part["image_id"].filter(pc.is_null(places))[0].as_py()
            raise not_of_one_run(unknown, "the images")
        return pc.take(is_chosen, places)

    return mask


def _groups(part: pa.Table, mask: Mask | None, most: int) -> Iterator[pa.Table]:
    """The chosen rows of a part, at most so many at a time, and not much fewer."""
    chosen = None if mask is None else mask(part)
    waiting = part.slice(0, 0)
    for start in range(0, part.num_rows, most):
        rows = part.slice(start, most)
        if chosen is not None:
            rows = rows.filter(chosen.slice(start, most))
        if waiting.num_rows + rows.num_rows > most:
            yield waiting
            waiting = rows
        else:
            waiting = pa.concat_tables([waiting, rows])
    if waiting.num_rows:
        yield waiting


def _with_pictures(rows: pa.Table, job: Job) -> pa.Table:
    found = []
    for row in rows.to_pylist():
        try:
            found.append(row | {"image": row["image"] | {"bytes": pictures.content(row, job.root)}})
        except MissingPictureError as error:
            job.report.leave_out("picture_missing_row_kept", str(error))
            found.append(row)
    return pa.Table.from_pylist(found, schema=rows.schema)
