"""Two versions of a dataset side by side: rows added, gone and changed, column by column.

Rows are matched by the table's own key. Keys are held in memory; all else is compared a batch at a time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.errors import UserError
from pipeline.inspection import describe, engine
from pipeline.inspection.describe import Dataset
from pipeline.inspection.filters import Stream, numbers_array
from pipeline.tables.schemas import SCHEMAS

KEYS = {
    "images": ("image_id",),
    "captions": ("caption_id",),
    "objects": ("object_id",),
    "conversations": ("conversation_id",),
    "phrases": ("phrase_id",),
    "regions": ("region_id",),
    "patch_words": ("phrase_id",),
    "rejects": ("stage", "key", "reason"),
    "features": ("image_id",),
    "predictions": ("conversation_id",),
    "similarity_maps": ("phrase_id",),
    "measures": ("metric", "example"),
    "patch_labels": ("image_id",),
    "audit": ("phrase_id",),
}
assert set(KEYS) == set(SCHEMAS)
BATCH_ROWS = 16_384
EXAMPLES = 3


@dataclass(frozen=True)
class Change:
    """A row that is in both, before and after."""

    before: dict[str, Any]
    after: dict[str, Any]


@dataclass
class Difference:
    """What became of the rows."""

    key: tuple[str, ...]
    same: int = 0
    """Rows that are in both and equal."""
    changed: int = 0
    added: int = 0
    gone: int = 0
    by_column: dict[str, int] = field(default_factory=dict)
    """In how many of the changed rows each column differs; columns that never do are left out."""
    examples: dict[str, list[Change]] = field(default_factory=dict)
    """Some of the changed rows, by column: whole rows."""
    added_examples: list[dict[str, Any]] = field(default_factory=list)
    gone_examples: list[dict[str, Any]] = field(default_factory=list)

    @property
    def is_none(self) -> bool:
        """Whether the two hold the same rows."""
        return not (self.changed or self.added or self.gone)


@dataclass(frozen=True)
class Settings:
    """What made the two."""

    params: tuple[str, str]
    """Digests of the parameters."""
    inputs: dict[str, tuple[str, str]]
    """Digests of those inputs that differ; empty where one of the two lacks the input."""
    values: dict[str, tuple[Any, Any]]
    """Settings that differ, as each one's ``dvc.lock`` has them; None where one of the two lacks it."""


def of(before: Dataset, after: Dataset, examples: int = EXAMPLES) -> Difference:
    """The difference between two versions of one table.

    Raises:
        UserError: they are not of one table.
    """
    if before.name != after.name:
        raise UserError(
            f"{before.path} holds {before.name} and {after.path} holds {after.name}: "
            "give two versions of one table."
        )
    result = Difference(KEYS[before.name])
    both, only_before, only_after = _matched(before.table, after.table, result.key)
    result.gone, result.added = len(only_before), len(only_after)
    result.gone_examples = _take(before.table, only_before[:examples]).to_pylist()
    result.added_examples = _take(after.table, only_after[:examples]).to_pylist()
    for start in range(0, both.shape[1], BATCH_ROWS):
        pairs = both[:, start : start + BATCH_ROWS]
        _compare(_take(before.table, pairs[0]), _take(after.table, pairs[1]), result, examples)
    return result


def settings(before: Dataset, after: Dataset) -> Settings:
    """How what made the two differs."""
    one, other = before.made_from, after.made_from
    names = sorted({*one.inputs, *other.inputs})
    inputs = {name: (one.inputs.get(name, ""), other.inputs.get(name, "")) for name in names}
    recorded = [(describe.settings(each.folder) or (None, "", {}))[2] for each in (before, after)]
    values = {
        name: (recorded[0].get(name), recorded[1].get(name)) for name in sorted({*recorded[0], *recorded[1]})
    }
    return Settings(
        (one.params, other.params),
        {name: pair for name, pair in inputs.items() if pair[0] != pair[1]},
        {name: pair for name, pair in values.items() if pair[0] != pair[1]} if all(recorded) else {},
    )


def _matched(
    before: pa.Table, after: pa.Table, key: tuple[str, ...]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Numbers of rows with the same key: (2, rows in both), rows of the first only, rows of the second only.

    The n-th row of a key matches the n-th of the same key; pairs are in the order of the first.
    """
    names = ", ".join(f'"{name}"' for name in key)
    with engine.connection() as database:
        for name, table in (("before_", before), ("after_", after)):
            numbers = numbers_array(np.arange(table.num_rows, dtype=np.int64))
            columns = [table[column] for column in key]
            database.register(f"{name}rows", Stream(pa.Table.from_arrays([*columns, numbers], [*key, "n_"])))
            database.execute(
                f"CREATE TEMP TABLE {name} AS SELECT *, row_number() OVER (PARTITION BY {names} ORDER BY n_)"
                f" AS turn_ FROM {name}rows"
            )
        found = database.execute(
            "SELECT coalesce(before_.n_, -1) AS one, coalesce(after_.n_, -1) AS other FROM before_"
            f" FULL JOIN after_ USING ({names}, turn_) ORDER BY before_.n_ NULLS LAST, after_.n_"
        ).fetchnumpy()
    one, other = (np.asarray(found[name], dtype=np.int64) for name in ("one", "other"))
    both = (one >= 0) & (other >= 0)
    return np.stack([one[both], other[both]]), one[other < 0], other[one < 0]


def _take(table: pa.Table, numbers: np.ndarray) -> pa.Table:
    """Rows by number; runs of neighbours, the common case, are not copied."""
    if len(numbers) and numbers[-1] - numbers[0] == len(numbers) - 1 and bool((np.diff(numbers) == 1).all()):
        return table.slice(int(numbers[0]), len(numbers))
    pieces, start = [], 0
    order = np.argsort(numbers, kind="stable")
    for batch in table.to_batches():
        inside = order[(numbers[order] >= start) & (numbers[order] < start + batch.num_rows)]
        if len(inside):
            pieces.append(batch.take(numbers_array(numbers[inside] - start)))
        start += batch.num_rows
    back = np.empty(len(order), dtype=np.int64)
    back[order] = np.arange(len(order))
    return pa.Table.from_batches(pieces, table.schema).combine_chunks().take(numbers_array(back))


def _compare(before: pa.Table, after: pa.Table, result: Difference, examples: int) -> None:
    """Count and keep what differs between rows that stand beside each other."""
    columns = [name for name in before.column_names if name not in result.key]
    differs = {name: _distinct(before, after, name) for name in columns}
    anywhere = np.logical_or.reduce([*differs.values(), np.zeros(before.num_rows, dtype=bool)])
    result.changed += int(anywhere.sum())
    result.same += int((~anywhere).sum())
    for name, where in differs.items():
        places = np.flatnonzero(where)
        if not len(places):
            continue
        result.by_column[name] = result.by_column.get(name, 0) + len(places)
        kept = result.examples.setdefault(name, [])
        for place in places[: examples - len(kept)].tolist():
            rows = (table.slice(place, 1).to_pylist()[0] for table in (before, after))
            kept.append(Change(*rows))


def _distinct(before: pa.Table, after: pa.Table, name: str) -> np.ndarray:
    """Which rows differ in a column, nulls being equal to each other; (rows,) bool."""
    pair = pa.Table.from_arrays([before[name], after[name]], ["before_", "after_"])
    if before[name].equals(after[name]):
        return np.zeros(before.num_rows, dtype=bool)
    with engine.connection() as database:
        database.register("pairs_", Stream(pair))
        found = database.execute("SELECT before_ IS DISTINCT FROM after_ AS differs FROM pairs_").fetchnumpy()
    return np.asarray(found["differs"], dtype=bool)
