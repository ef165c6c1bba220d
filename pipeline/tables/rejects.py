"""Rows that a stage could not use: kept, with a fixed code and a sentence, instead of lost."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from pipeline.tables import schemas


class Rejects:
    """Collects the rejects of one shard of one stage.

    ``reasons`` maps each code that the stage may use to a line that says what it means: the one place
    where a stage's codes are listed.
    """

    def __init__(self, stage: str, reasons: dict[str, str]) -> None:
        self._stage = stage
        self._reasons = reasons
        self._rows: list[dict[str, Any]] = []

    def add(self, key: str, reason: str, message: str = "") -> None:
        """Reject the row ``key`` (kind and id, such as ``image:790``).

        Raises:
            KeyError: the reason is not one of the stage's codes.
        """
        default = self._reasons[reason]
        self._rows.append({"stage": self._stage, "key": key, "reason": reason, "message": message or default})

    def __len__(self) -> int:
        return len(self._rows)

    def table(self) -> pa.Table:
        """The rejects so far, in the order in which they came."""
        return schemas.from_rows("rejects", self._rows)
