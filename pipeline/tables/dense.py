"""Sparse patches and coverage as dense arrays, as training and evaluation use them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa


def dense_coverage(rows: pa.Table) -> np.ndarray:
    """The coverage of ``patch_words`` rows as float32 (rows, patches); 0 where a phrase covers nothing.

    All rows have one grid. The result takes rows x patches x 4 bytes: hand over a batch, not a dataset.

    Raises:
        ValueError: the rows have different grids.
    """
    if not rows.num_rows:
        return np.zeros((0, 0), dtype=np.float32)
    grids = rows.column("grid").combine_chunks().flatten().to_numpy().reshape(-1, 2)
    if (grids != grids[0]).any():
        raise ValueError(f"rows of several grids: {np.unique(grids, axis=0).tolist()}")
    patches = rows.column("patches").combine_chunks()
    lengths = np.asarray(patches.value_lengths())
    dense = np.zeros((rows.num_rows, int(grids[0].prod())), dtype=np.float32)
    row = np.repeat(np.arange(rows.num_rows), lengths)
    dense[row, patches.flatten().to_numpy()] = rows.column("coverage").combine_chunks().flatten().to_numpy()
    return dense
