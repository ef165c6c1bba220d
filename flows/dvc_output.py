"""What `dvc repro` and `dvc exp run` print, told apart by stage."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby


@dataclass(frozen=True)
class Step:
    """One stage's turn in DVC's output; the name is empty for what comes before the first."""

    stage: str
    outcome: str
    """``runs``, ``unchanged`` or ``restored`` (from the run cache)."""


_STEPS = (
    (re.compile(r"Running stage '([^']+)':"), "runs"),
    (re.compile(r"Stage '([^']+)' didn't change, skipping"), "unchanged"),
    (re.compile(r"Stage '([^']+)' is cached - skipping run, checking out outputs"), "restored"),
)
_BLOCKED = re.compile(r"is busy, it is being blocked by:|Unable to acquire (repo )?lock", re.IGNORECASE)


def by_stage(lines: Iterable[str]) -> Iterator[tuple[Step, Iterator[str]]]:
    """Each stage's turn with its lines, as they come: read a turn's lines before you ask for the next."""
    step = Step("", "runs")

    def turn(line: str) -> Step:
        nonlocal step
        for pattern, outcome in _STEPS:
            if found := pattern.match(line):
                step = Step(found[1], outcome)
        return step

    return groupby(lines, key=turn)


def is_blocked(line: str) -> bool:
    """Whether DVC says that another of its processes is at work here."""
    return _BLOCKED.search(line) is not None


def exit_status(line: str) -> int | None:
    """The status that a stage's command ended with, where DVC says it."""
    found = re.search(r"failed to run: .*, exited with (-?\d+)", line)
    return int(found[1]) if found else None
