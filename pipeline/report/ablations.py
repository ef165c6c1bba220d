"""The ablations: one setting of an arm or of its data changed at a time, beside the run that is varied."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from pipeline.report import comparison
from pipeline.report.comparison import Row
from pipeline.tables.metrics import BY_KEY, Metric

SHOWN = (
    "alignment.cosine", "alignment.pointing", "position.r2", "captioning.objects", "captioning.cider",
    "referring.accuracy", "question.accuracy", "instruction.accuracy",
)  # fmt: skip
"""Metrics in the table's columns; CIDEr only where captions have no objects to be held against."""
TITLES = {
    "beta": "Weight of the patch loss (β)",
    "loss": "Form of the patch loss",
    "words": "Words that a region is pulled to",
    "patch_words.use": "Patches of a region: its mask or its box",
    "ground.source": "Annotation source",
    "source.scenes.train": "Training images",
}
"""What is varied, by its dotted setting; of an arm's settings, by the last part of it."""


@dataclass(frozen=True)
class Run:
    """One run: what it changes, and its metrics."""

    name: str
    title: str
    rows: dict[str, Row]
    """By metric key, the arm and the baseline that was trained on the same data."""


@dataclass(frozen=True)
class Section:
    """What the report shows of them."""

    arm: str
    baseline: str
    metrics: list[Metric]
    groups: list[tuple[str, list[Run]]]
    """By what is varied; first the run that is varied, by itself."""
    command: str
    commit: str
    profile: str


def of(found: Mapping[str, Any]) -> Section:
    """The section of an ``ablations.json``."""
    varied = Run("as set", f"as in profile {found['profile']}", _rows(found["base"]))
    runs = [
        (_subject(run["changes"]), Run(run["name"], _title(run["changes"], run["instead_of"]), _rows(run)))
        for run in found["runs"]
    ]
    groups = [("Nothing changed", [varied])]
    for subject, members in groupby(runs, lambda pair: pair[0]):
        groups.append((subject, [run for _, run in members]))
    return Section(
        found["arm"], found["baseline"], _columns(varied), groups,
        found["command"], found["commit"], found["profile"],
    )  # fmt: skip


def _rows(run: Mapping[str, Any]) -> dict[str, Row]:
    (_, arm) = run["arms"]
    rows = comparison.study_rows({**run, "references": {}, "differences": {arm: run["differences"]}})
    return {row.metric.key: row for row in rows}


def _columns(varied: Run) -> list[Metric]:
    left_out = {"captioning.cider"} if "captioning.objects" in varied.rows else set()
    return [BY_KEY[key] for key in SHOWN if key in varied.rows and key not in left_out]


def _subject(changes: Mapping[str, Any]) -> str:
    """What is varied, in words; a setting that has none by its name."""
    (key,) = list(changes)[:1]
    short = key.rpartition(".")[2] if key.startswith("train.arms.") else key
    return TITLES.get(short, key)


def _title(changes: Mapping[str, Any], instead_of: Mapping[str, Any]) -> str:
    parts = []
    for key, value in changes.items():
        before = instead_of.get(key)
        parts.append(_said(value) if before is None else f"{_said(value)} instead of {_said(before)}")
    return ", ".join(parts)


def _said(value: Any) -> str:
    if isinstance(value, str):
        return value.replace("_", " ")
    return f"{value:,}".replace(",", "\u202f") if isinstance(value, int) else f"{value:g}"
