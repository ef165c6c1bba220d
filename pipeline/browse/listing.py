"""What the stages left out, row by row."""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.browse import columns
from pipeline.browse.index import Index
from pipeline.browse.store import take
from pipeline.errors import UserError

LARGEST_PAGE = 500


def rejects(index: Index, stage: str, reason: str, offset: int, limit: int) -> dict[str, Any]:
    """Rejects of a stage and reason ("" for all), with the image of each where it is in the dataset.

    Raises:
        UserError: there is no such stage.
    """
    tables = index.store.rejects
    if stage and stage not in tables:
        raise UserError(f"There are no rejects of a stage {stage!r}, only of {', '.join(tables)}.")
    total = 0
    rows: list[dict[str, Any]] = []
    for name, table in tables.items():
        if stage and name != stage:
            continue
        numbers = np.arange(table.num_rows)
        if reason:
            numbers = np.flatnonzero(columns.among(table["reason"], [reason]))
        first = max(offset - total, 0)
        room = min(limit, LARGEST_PAGE) - len(rows)
        chosen = numbers[first : first + room]
        images = index.reject_images[name][chosen]
        rows += [
            {**row, "image_id": index.image_ids[int(image)].as_py() if image >= 0 else None}
            for row, image in zip(take(table, chosen), images, strict=True)
        ]
        total += len(numbers)
    return {"rows": total, "offset": offset, "rejects": rows}
