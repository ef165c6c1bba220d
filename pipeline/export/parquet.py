"""Parquet: every column as it is, a file a part, with the schema's own metadata.

``pyarrow.parquet.read_table`` gives the very table back; pictures that lie in files are put into the column
``image`` where they are to be copied, so that the files stand by themselves.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.export import pictures
from pipeline.export.job import Job
from pipeline.export.pictures import MissingPictureError
from pipeline.tables.schemas import SPLITS

ROW_GROUP = 10_000


def write(job: Job) -> None:
    """Write a file for each part."""
    for path, part in zip(job.table.parts, job.table.tables(), strict=True):
        rows = part
        if "split" in rows.column_names and set(job.splits) != set(SPLITS):
            rows = rows.filter(pc.is_in(rows["split"], value_set=pa.array(job.splits)))
        with pq.ParquetWriter(job.out / f"{path.stem}.parquet", rows.schema, compression="zstd") as writer:
            for batch in rows.to_batches(max_chunksize=ROW_GROUP):
                is_pictures = job.is_copy and job.table.name == "images"
                writer.write_batch(_with_pictures(batch, job) if is_pictures else batch)
        job.report.written["rows"] += rows.num_rows


def _with_pictures(batch: pa.RecordBatch, job: Job) -> pa.RecordBatch:
    rows = []
    for row in batch.to_pylist():
        try:
            rows.append(row | {"image": row["image"] | {"bytes": pictures.content(row, job.root)}})
        except MissingPictureError as error:
            job.report.leave_out("picture_missing_row_kept", str(error))
            rows.append(row)
    return pa.RecordBatch.from_pylist(rows, schema=batch.schema)
