"""Tables that evaluation and the audit write, looked at and compared like all others."""

from __future__ import annotations

import json
from pathlib import Path

import made_run
import pytest
from test_inspect_command import run

from pipeline.inspection import diff
from pipeline.inspection.describe import Dataset
from pipeline.tables import dataset, schemas

ROWS = {
    "measures": [
        {"metric": "alignment.cosine", "example": "900/c44/p0/r0", "value": 0.25},
        {"metric": "compression.entropy", "example": "900", "value": 0.5},
        {"metric": "compression.entropy", "example": "901", "value": 0.75},
    ],
    "patch_labels": [
        {"image_id": name, "grid": [1, 2], "words": ["old", word], "similarity": [0.5, 0.25]}
        for name, word in (("900", "car"), ("901", "cup"), ("902", "dog"))
    ],
    "audit": [
        {
            "phrase_id": f"900/c44/p{number}", "image_id": "900", "noun": "car", "truth": "linked",
            "true_boxes": [[0.0, 0.0, 8.0, 8.0]], "true_ious": [0.5], "found": [True],
            "boxes": [[0.0, 0.0, 8.0, 4.0]], "scores": [0.75], "right": [True],
            "iou": 0.5, "hit": True, "pointed": True,
        }
        for number in range(3)
    ],
}  # fmt: skip
CHANGED = {"measures": {"value": 1.0}, "patch_labels": {"words": ["new", "car"]}, "audit": {"hit": False}}


def write(folder: Path, name: str, rows: list[dict]) -> Path:
    dataset.write_part(folder, 0, schemas.from_rows(name, rows), name, made_run.MADE_FROM)
    return folder


@pytest.mark.parametrize("name", list(ROWS))
def test_rows_are_matched_by_what_names_them(tmp_path: Path, name: str) -> None:
    one, two, three = ROWS[name]
    before = write(tmp_path / "before", name, [one, two])
    # In another order, so that only the key can match them.
    after = write(tmp_path / "after", name, [three, two, one | CHANGED[name]])
    found = diff.of(Dataset(before), Dataset(after))
    assert (found.same, found.changed, found.added, found.gone) == (1, 1, 1, 0)
    assert found.by_column == dict.fromkeys(CHANGED[name], 1)
    assert "1 rows the same, 1 changed, 1 added, 0 gone" in run("diff", before, after)


@pytest.mark.parametrize("name", list(ROWS))
def test_their_rows_are_shown(tmp_path: Path, name: str) -> None:
    folder = write(tmp_path / name, name, ROWS[name])
    assert "rows, the first 3" in run("inspect", folder)
    assert json.loads(run("inspect", folder, "--format", "json"))["sample"] == ROWS[name]


def test_words_of_patches_are_shown_as_they_are(tmp_path: Path) -> None:
    told = run("inspect", write(tmp_path / "patch_labels", "patch_labels", ROWS["patch_labels"]))
    assert "old car" in told and "old cup" in told
