"""Distributions of a dataset's measures, counted slice by slice, so that memory stays flat."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.inspection.describe import Dataset
from pipeline.inspection.measures import MEASURES, Category, Measure, values
from pipeline.tables import dataset

SLICE_ROWS = 65_536
BARS = "▁▂▃▄▅▆▇█"
_WIDEST = 1_000_000
"""Spans of whole numbers up to this are counted by place; wider ones are sorted."""


@dataclass
class Histogram:
    """How often each number occurs, numbers being whole multiples of ``step``."""

    label: str
    unit: str = ""
    step: float = 1.0
    counts: Counter[int] = field(default_factory=Counter)

    def add(self, numbers: np.ndarray) -> None:
        """Count some more numbers."""
        if not len(numbers):
            return
        if self.step != 1 or numbers.dtype.kind == "f":
            numbers = np.rint(numbers * (1 / self.step)).astype(np.int32)
        low, high = int(numbers.min()), int(numbers.max())
        if high - low < _WIDEST:
            counted = np.bincount(numbers - low)
            places = np.flatnonzero(counted)
            self._take(places + low, counted[places])
        else:
            self._take(*np.unique(numbers, return_counts=True))

    def _take(self, numbers: np.ndarray, counts: np.ndarray) -> None:
        for number, count in zip(numbers.tolist(), counts.tolist(), strict=True):
            self.counts[number] += count

    def _sorted(self) -> tuple[np.ndarray, np.ndarray]:
        numbers = np.array(sorted(self.counts), dtype=np.float64)
        return numbers * self.step, np.array([self.counts[each] for each in sorted(self.counts)], np.int64)

    @property
    def count(self) -> int:
        """Numbers counted."""
        return sum(self.counts.values())

    def mean(self) -> float:
        """The mean of the rounded numbers."""
        numbers, counts = self._sorted()
        return float(numbers @ counts / counts.sum())

    def quantile(self, share: float) -> float:
        """The smallest number that at least this share of all are not above."""
        numbers, counts = self._sorted()
        return float(numbers[np.searchsorted(np.cumsum(counts), share * counts.sum(), side="left")])

    def bins(self, most: int = 16) -> list[tuple[float, float, int]]:
        """(from, to, count) of equal bins over what occurs; ``to`` belongs to the last one only."""
        numbers, counts = self._sorted()
        low, high = float(numbers[0]), float(numbers[-1])
        if low == high:
            return [(low, high, self.count)]
        if self.step == 1 and high - low < most:
            edges = np.arange(low, high + 2)
        else:
            edges = np.linspace(low, high, most + 1)
        places = np.clip(
            np.searchsorted(edges, numbers + self.step / 1e6, side="right") - 1, 0, len(edges) - 2
        )
        heights = np.bincount(places, weights=counts, minlength=len(edges) - 1).astype(int).tolist()
        return list(zip(edges[:-1].tolist(), edges[1:].tolist(), heights, strict=True))

    def bars(self) -> str:
        """The bins as a row of bars; a bin with anything in it has at least the lowest."""
        heights = [height for *_, height in self.bins()]
        top = max(heights)
        return "".join(BARS[-(-height * len(BARS) // top) - 1] if height else " " for height in heights)

    def as_json(self) -> dict[str, Any]:
        """Its numbers for programs."""
        head = {"label": self.label, "unit": self.unit, "count": self.count}
        if not self.counts:
            return head
        shares = {"min": 0.0, "p5": 0.05, "median": 0.5, "p95": 0.95, "max": 1.0}
        quantiles = {name: round(self.quantile(share), 6) for name, share in shares.items()}
        return {**head, "mean": round(self.mean(), 6), **quantiles, "bins": self.bins()}


@dataclass
class Tally:
    """How often each value occurs."""

    label: str
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def count(self) -> int:
        """Values counted."""
        return sum(self.counts.values())

    def ranked(self) -> list[tuple[str, int]]:
        """Values by how often they occur, then by name."""
        return sorted(self.counts.items(), key=lambda entry: (-entry[1], entry[0]))

    def as_json(self) -> dict[str, Any]:
        """Its numbers for programs."""
        return {"label": self.label, "count": self.count, "values": dict(self.ranked())}


def of(found: Dataset, beside: Collection[str] | None = None) -> list[Histogram | Tally]:
    """The distributions of a dataset's measures (`measures.MEASURES`), in their order.

    Args:
        found: the dataset.
        beside: of which tables the rows that this one never names are counted as 0; None: of all that lie
            beside it.
    """
    beside = tables_beside(found) if beside is None else beside
    measures = MEASURES.get(found.name, ())
    results: list[Histogram | Tally] = [
        Tally(each.label) if isinstance(each, Category) else Histogram(each.label, each.unit, each.step)
        for each in measures
    ]
    for part in found.tables():
        for rows in slices(part):
            for measure, result in zip(measures, results, strict=True):
                _count(measure, rows, result)
    for measure, result in zip(measures, results, strict=True):
        if isinstance(measure, Measure) and isinstance(result, Histogram) and measure.of:
            _add_unnamed(found, measure.of if measure.of in beside else None, result)
    return results


def of_both(before: Dataset, after: Dataset) -> tuple[list[Histogram | Tally], list[Histogram | Tally]]:
    """The distributions of two versions of a table, counted alike.

    What a table never names is counted as 0 only where both have the table of all beside them: one fetched
    from a revision comes alone.
    """
    beside = tables_beside(before) & tables_beside(after)
    return of(before, beside), of(after, beside)


def tables_beside(found: Dataset) -> set[str]:
    """Tables beside a dataset whose every row has a number in one of its measures; none beside one part."""
    wanted = {each.of for each in MEASURES.get(found.name, ()) if isinstance(each, Measure) and each.of}
    return set() if found.path.is_file() else {name for name in wanted if found.sibling(name)}


def _count(measure: Measure | Category, rows: pa.RecordBatch, result: Histogram | Tally) -> None:
    if isinstance(measure, Measure) and isinstance(result, Histogram):
        result.add(measure.numbers(rows))
    elif isinstance(measure, Category) and isinstance(result, Tally):
        for entry in measure.values(rows).value_counts().to_pylist():
            result.counts[str(entry["values"])] += entry["counts"]


def _add_unnamed(found: Dataset, name: str | None, result: Histogram) -> None:
    """Count what the table never names as 0; say so where no table of all is to tell."""
    sibling = found.sibling(name) if name else None
    if sibling is None:
        result.label += ", of those with any"
        return
    unnamed = dataset.count_rows(sibling) - result.count
    if unnamed > 0:
        result.counts[0] += unnamed


def slices(table: pa.Table, most: int = SLICE_ROWS) -> Iterator[pa.RecordBatch]:
    """Pieces of about ``most`` rows or less, cut only where one image ends and the next begins."""
    for batch in table.to_batches():
        if batch.num_rows <= most or "image_id" not in batch.schema.names:
            yield from _cut(batch, range(0, batch.num_rows, most))
        else:
            codes = values(batch["image_id"].dictionary_encode().indices)
            starts = np.flatnonzero(np.diff(codes, prepend=-1))
            wanted = np.arange(0, batch.num_rows, most)
            places = np.searchsorted(starts, wanted, side="right") - 1
            yield from _cut(batch, np.unique(starts[places]).tolist())


def _cut(batch: pa.RecordBatch, starts: Iterable[int]) -> Iterator[pa.RecordBatch]:
    starts = [*starts, batch.num_rows]
    for start, end in pairwise(starts):
        yield batch.slice(start, end - start)
