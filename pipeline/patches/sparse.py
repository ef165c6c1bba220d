"""Coverage as sparse rows: only the patches that a row covers are held, whatever the grid's size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_DENSE_ROWS = 1 << 20  # elements of the scratch array when rows are summed: 8 MB


@dataclass(frozen=True)
class Coverage:
    """Rows of (patch, share covered): those of row ``i`` are ``offsets[i]:offsets[i + 1]``."""

    offsets: np.ndarray
    """int64 (rows + 1,), ascending from 0."""
    patches: np.ndarray
    """int32 (total,), ascending within a row, each once."""
    values: np.ndarray
    """float64 or float32 (total,), above 0."""

    @property
    def rows(self) -> int:
        """How many rows there are; a row may be empty."""
        return len(self.offsets) - 1

    @property
    def lengths(self) -> np.ndarray:
        """Patches of each row, (rows,)."""
        return np.diff(self.offsets)

    def row_of_each(self) -> np.ndarray:
        """The row that each element belongs to, (total,)."""
        return np.repeat(np.arange(self.rows), self.lengths)

    def where(self, kept: np.ndarray) -> Coverage:
        """Only the elements where ``kept`` (total,) is true; the rows stay, some perhaps empty."""
        if kept.all():
            return self
        found = np.flatnonzero(kept)
        return Coverage(np.searchsorted(found, self.offsets), self.patches[found], self.values[found])

    def without_empty_rows(self) -> Coverage:
        """The rows that cover something, in their order."""
        lengths = self.lengths
        return Coverage(offsets_of(lengths[lengths > 0]), self.patches, self.values)

    def take(self, rows: np.ndarray) -> Coverage:
        """The rows of these indices, in their order."""
        lengths = self.lengths[rows]
        elements = ranges(self.offsets[:-1][rows], lengths)
        return Coverage(offsets_of(lengths), self.patches[elements], self.values[elements])


def offsets_of(lengths: np.ndarray) -> np.ndarray:
    """``[0, l0, l0 + l1, ...]`` as int64."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)])


def runs(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First index and length of each run of equal values, (runs,) each."""
    if not len(values):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    first = np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]]))
    return first, np.diff(first, append=len(values))


def ranges(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """``starts[0], starts[0] + 1, ...`` (``lengths[0]`` of them), then the same for the next, and so on."""
    offsets = offsets_of(lengths)
    return np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], lengths)


def concatenate(pieces: list[Coverage]) -> Coverage:
    """The rows of all pieces, one piece after another."""
    if len(pieces) == 1:
        return pieces[0]
    return Coverage(
        offsets_of(np.concatenate([np.zeros(0, np.int64), *(piece.lengths for piece in pieces)])),
        np.concatenate([np.zeros(0, np.int32), *(piece.patches for piece in pieces)]),
        np.concatenate([np.zeros(0), *(piece.values for piece in pieces)]),
    )


def rows_in_order(pieces: list[Coverage], rows: np.ndarray) -> Coverage:
    """The pieces' rows, put where ``rows`` (total,) says; every place is named once."""
    together = concatenate(pieces)
    if np.array_equal(rows, np.arange(together.rows)):
        return together
    return together.take(np.argsort(rows, kind="stable"))


def sum_rows(coverage: Coverage, groups: np.ndarray, count: int, patches: int) -> Coverage:
    """Add up rows of one group: ``groups`` (rows,) is ascending, below ``count``; ``patches`` is the grid's.

    For rows that share no area (parts of one region), the sum is the coverage of their union.
    """
    if len(groups) == count and np.array_equal(groups, np.arange(count)):
        return coverage
    first_row = np.searchsorted(groups, np.arange(count + 1))
    bounds = coverage.offsets[first_row]
    # Groups of one row need no sum; most are such.
    several = np.flatnonzero(np.diff(first_row) > 1)
    if 2 * len(several) < count:
        return _sum_only(coverage, groups, first_row, several, patches)
    step = max(1, _DENSE_ROWS // patches)
    pieces = []
    for low in range(0, count, step):
        high = min(low + step, count)
        part = slice(bounds[low], bounds[high])
        lengths = coverage.lengths[first_row[low] : first_row[high]]
        group = np.repeat(groups[first_row[low] : first_row[high]] - low, lengths)
        total = np.bincount(
            group * patches + coverage.patches[part],
            weights=coverage.values[part],
            minlength=(high - low) * patches,
        )
        found = np.flatnonzero(total)
        pieces.append(
            Coverage(
                np.searchsorted(found, np.arange(high - low + 1) * patches),
                (found % patches).astype(np.int32),
                total[found],
            )
        )
    return concatenate(pieces)


def _sum_only(
    coverage: Coverage, groups: np.ndarray, first_row: np.ndarray, several: np.ndarray, patches: int
) -> Coverage:
    """`sum_rows` where few groups have several rows: sum these, then put all back in order."""
    rows = np.diff(first_row)
    members = ranges(first_row[several], rows[several])
    summed = sum_rows(
        coverage.take(members), np.repeat(np.arange(len(several)), rows[several]), len(several), patches
    )
    empty = Coverage(np.zeros(2, np.int64), np.zeros(0, np.int32), np.zeros(0))
    pool = concatenate([coverage, summed, empty])
    chosen = np.where(rows == 1, first_row[:-1], coverage.rows + len(several))
    chosen[several] = coverage.rows + np.arange(len(several))
    return pool.take(chosen)
