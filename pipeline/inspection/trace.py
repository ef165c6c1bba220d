"""Where a patch word came from: patches <- regions <- phrase <- characters of a caption <- image.

Whatever is not there any more (a dataset, a row, a picture's file) is named in `Trace.missing`; the rest is
shown all the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.errors import UserError
from pipeline.inspection.describe import Dataset
from pipeline.report import lookup
from pipeline.tables import schemas

Row = dict[str, Any]
STAGES = ("ingest", "parse", "ground", "patch_words")


@dataclass
class Trace:
    """The rows behind one row of ``patch_words``."""

    phrase_id: str
    patch: int | None
    """The patch that was asked for: row * columns + column."""
    patch_word: Row | None = None
    regions: list[Row] = field(default_factory=list)
    phrase: Row | None = None
    caption: Row | None = None
    image: Row | None = None
    rejects: list[Row] = field(default_factory=list)
    """What stages said about the phrase, its regions, caption or image."""
    missing: list[str] = field(default_factory=list)
    """What could not be found, a sentence each."""

    def as_json(self) -> dict[str, Any]:
        """All of it for programs, pictures' bytes left out."""
        image = self.image and {
            **self.image, "image": {"bytes": None, "path": self.image["image"].get("path")}
        }  # fmt: skip
        return {**vars(self), "image": image}


def of(found: Dataset, asked: str, root: Path) -> Trace:
    """The lineage of a phrase's row.

    Args:
        found: a dataset of the run; the others are looked for beside it.
        asked: a phrase's id (or that of one of its regions), followed by ``:17`` for one patch.
        root: the folder below which pictures lie that are kept by path.

    Raises:
        UserError: no dataset of the run knows the id, or the phrase does not lie on the patch.
    """
    names = _candidates(asked)
    trace = next((trace for each in names if (trace := _begun(found, *each))), None)
    if trace is None:
        raise UserError(
            f"{asked!r} is the id of no row of patch_words, phrases or regions beside {found.path}. "
            f"Give a phrase_id, as `patchwords inspect {found.path}` shows them."
        )
    _follow(found, trace)
    _check_patch(trace)
    _check_picture(trace, root)
    trace.rejects = _rejects(found, trace)
    return trace


def _candidates(asked: str) -> list[tuple[str, int | None]]:
    """Phrases and patches that a text may mean: ids may hold colons and need not nest."""
    head, colon, tail = asked.rpartition(":")
    whole: list[tuple[str, int | None]] = [(asked, None), (asked.rpartition("/")[0], None)]
    return [*whole, (head, int(tail))] if colon and tail.isdigit() else whole


def _begun(found: Dataset, phrase_id: str, patch: int | None) -> Trace | None:
    trace = Trace(phrase_id, patch)
    trace.patch_word = _one(found, trace, "patch_words", "phrase_id", phrase_id)
    trace.phrase = _one(found, trace, "phrases", "phrase_id", phrase_id)
    return trace if trace.patch_word or trace.phrase else None


def _follow(found: Dataset, trace: Trace) -> None:
    """Add regions, caption and image to a trace that has its phrase."""
    if trace.patch_word:
        trace.regions = _rows(found, trace, "regions", "region_id", trace.patch_word["region_ids"])
        for lost in sorted(set(trace.patch_word["region_ids"]) - {row["region_id"] for row in trace.regions}):
            trace.missing.append(f"regions has no row {lost}")
    else:
        trace.regions = _rows(found, trace, "regions", "phrase_id", [trace.phrase_id])
    if trace.phrase:
        trace.caption = _caption(found, trace, trace.phrase)
    image_id = (trace.patch_word or trace.phrase or {}).get("image_id", "")
    trace.image = _one(found, trace, "images", "image_id", image_id)


def _caption(found: Dataset, trace: Trace, phrase: Row) -> Row | None:
    """The phrase's caption; one made of an image's tags is in no table."""
    caption_id = phrase["caption_id"]
    phrases = found.sibling("phrases")
    if phrases and caption_id.endswith(schemas.TAGS_CAPTION):
        (caption,) = lookup.tag_captions(lookup.rows(phrases, "caption_id", [caption_id]))
        return caption
    return _one(found, trace, "captions", "caption_id", caption_id)


def _rows(found: Dataset, trace: Trace, name: str, column: str, ids: Iterable[str]) -> list[Row]:
    folder = found.sibling(name)
    if folder is None:
        trace.missing.append(f"there is no dataset {name} beside {found.path}")
        return []
    return lookup.rows(folder, column, ids)


def _one(found: Dataset, trace: Trace, name: str, column: str, identifier: str) -> Row | None:
    before = len(trace.missing)
    rows = _rows(found, trace, name, column, [identifier])
    if not rows and len(trace.missing) == before:
        trace.missing.append(f"{name} has no row {identifier}")
    return rows[0] if rows else None


def _check_patch(trace: Trace) -> None:
    if trace.patch is None or trace.patch_word is None:
        return
    if trace.patch not in trace.patch_word["patches"]:
        listed = ", ".join(map(str, trace.patch_word["patches"])) or "none"
        raise UserError(f"{trace.phrase_id} does not lie on patch {trace.patch}; it lies on {listed}.")


def _check_picture(trace: Trace, root: Path) -> None:
    picture: Row = trace.image["image"] if trace.image else {"bytes": b""}
    if picture["bytes"] is None and not (root / (picture["path"] or "")).is_file():
        trace.missing.append(
            f"the picture: there is no file {picture['path']} below {root} (put it back, or give --root)"
        )


def _rejects(found: Dataset, trace: Trace) -> list[Row]:
    """Rows of the stages' rejects about anything in the trace."""
    keys = [f"phrase:{trace.phrase_id}", *(f"region:{row['region_id']}" for row in trace.regions)]
    for row, kind in ((trace.caption, "caption"), (trace.image, "image")):
        keys += [f"{kind}:{row[f'{kind}_id']}"] if row else []
    folders = [found.sibling(f"rejects/{stage}") for stage in STAGES]
    return [row for folder in folders if folder for row in lookup.rows(folder, "key", keys)]
