"""Rows of a dataset that a condition holds for, out of memory-mapped files, read only as far as asked for.

    found = filters.select(Path("data/patch_words"), "score < 0.3 and word = 'cup'")
    found.count(), found.rows(limit=20, offset=40), found.rows(columns=["image_id"])

A condition is a SQL expression over the table's columns; `expressions` says what it may hold and how an
element of a list is named (``word``, ``lemma``, ``role``, ``patch``, ``region_id``). `expressions.names`
lists what a condition on a table may name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from pipeline.errors import UserError
from pipeline.inspection import engine, expressions
from pipeline.inspection.expressions import Condition
from pipeline.tables import dataset

BATCH_ROWS = 131_072
_NUMBER = "row_number_"


@dataclass(frozen=True)
class Selection:
    """Rows of a table that a condition holds for, in the table's order. Nothing is read until asked for."""

    table: pa.Table
    """All rows, memory-mapped."""
    condition: Condition | None
    """As `expressions.checked` gives it; None lets every row through."""

    def count(self) -> int:
        """How many rows there are.

        Raises:
            UserError: the condition cannot be worked out for some row (a cast that fails).
        """
        if self.condition is None:
            return self.table.num_rows
        with _told(), engine.connection() as database:
            database.register("rows_", Stream(self.table.select(self.condition.columns)))
            found = database.execute(f"SELECT count(*) FROM rows_ WHERE {self.condition.sql}").fetchall()
            return int(found[0][0])

    def rows(
        self, limit: int | None = None, offset: int = 0, columns: Sequence[str] | None = None
    ) -> pa.Table:
        """The rows from number ``offset`` on, ``limit`` at most, with the table's schema.

        Raises:
            UserError: as `count`.
        """
        chosen = self.table if columns is None else self.table.select(list(columns))
        return pa.Table.from_batches(self.batches(limit, offset, columns), chosen.schema)

    def batches(
        self, limit: int | None = None, offset: int = 0, columns: Sequence[str] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """As `rows`, a batch of at most `BATCH_ROWS` at a time."""
        chosen = self.table if columns is None else self.table.select(list(columns))
        batches = chosen.to_batches(max_chunksize=BATCH_ROWS)
        for batch, numbers in zip(batches, self._places(limit, offset), strict=False):
            if len(numbers):
                yield batch.take(numbers_array(numbers))

    def numbers(self) -> np.ndarray:
        """The rows' numbers in the table: int64, ascending."""
        starts = np.cumsum([0, *(batch.num_rows for batch in self._batches())])
        found = [start + places for start, places in zip(starts, self._places(None, 0), strict=False)]
        return np.concatenate([np.empty(0, np.int64), *found])

    def _batches(self) -> list[pa.RecordBatch]:
        return self.table.to_batches(max_chunksize=BATCH_ROWS)

    def _places(self, limit: int | None, offset: int) -> Iterator[np.ndarray]:
        """For one batch after another, until the limit is reached, which of its rows are chosen."""
        left = self.table.num_rows if limit is None else limit
        with engine.connection() as database:
            for batch in self._batches():
                if left <= 0:
                    return
                found = self._in_batch(database, batch)
                skipped = min(offset, len(found))
                found = found[skipped : skipped + left]
                offset, left = offset - skipped, left - len(found)
                yield found

    def _in_batch(self, database: duckdb.DuckDBPyConnection, batch: pa.RecordBatch) -> np.ndarray:
        numbers = np.arange(batch.num_rows, dtype=np.int64)
        if self.condition is None:
            return numbers
        used = [batch[name] for name in self.condition.columns]
        rows = pa.Table.from_arrays([*used, numbers_array(numbers)], [*self.condition.columns, _NUMBER])
        with _told():
            database.register("rows_", Stream(rows))
            found = database.execute(f"SELECT {_NUMBER} FROM rows_ WHERE {self.condition.sql}").fetchnumpy()
            return np.sort(found[_NUMBER])


def select(source: Path | pa.Table, expression: str | None = None) -> Selection:
    """The rows of a dataset's folder, of one of its parts, or of a table, that an expression holds for.

    Args:
        source: a folder of parts, a part's file, or a table.
        expression: ``score < 0.3 and word = 'cup'``; None for every row.

    Raises:
        UserError: there is no dataset, or the expression is none that can be used (`expressions.checked`).
    """
    if isinstance(source, Path):
        source = dataset.read(source) if source.is_dir() else dataset.read_part(source)
    return Selection(source, None if expression is None else expressions.checked(source.schema, expression))


class Stream:
    """A table as a stream of Arrow's C interface.

    DuckDB reads a table itself through pyarrow.dataset, which imports pandas: most of a second.
    """

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self._table.__arrow_c_stream__(requested_schema)


def numbers_array(numbers: np.ndarray) -> pa.Array:
    """Whole numbers (int64) as an Arrow array, not copied; ``pyarrow.array`` would import pandas."""
    return pa.Array.from_buffers(pa.int64(), len(numbers), [None, pa.py_buffer(numbers)])


@contextmanager
def _told() -> Iterator[None]:
    """DuckDB's errors as the user's."""
    try:
        yield
    except duckdb.Error as error:
        raise UserError(
            f"The filter cannot be worked out for every row: {error}. Mend the condition."
        ) from error
