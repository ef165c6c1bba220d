"""Rows of the datasets by id, joined for drawing: a phrase with its caption, regions and picture."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import UserError
from pipeline.tables import dataset, schemas


@dataclass(frozen=True)
class Phrase:
    """A phrase and what it takes to draw it: rows of ``phrases``, ``captions``, ``images``, ``regions``."""

    phrase_id: str
    text: str
    caption: str
    span: tuple[int, int]
    """Characters of the caption."""
    image: Mapping[str, Any]
    regions: list[dict[str, Any]]


def rows(folder: Path, column: str, values: Iterable[str]) -> list[dict[str, Any]]:
    """The dataset's rows whose ``column`` is one of the values, in the dataset's order."""
    wanted = pa.array(sorted(set(values)), type=pa.string())
    found: list[dict[str, Any]] = []
    for part in dataset.iter_parts(folder):
        found += part.filter(pc.is_in(part[column], value_set=wanted)).to_pylist()
    return found


def by_id(folder: Path, column: str, values: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Rows by their id.

    Raises:
        UserError: an id is not there, so the datasets are not of one run.
    """
    wanted = set(values)
    found = {row[column]: row for row in rows(folder, column, wanted)}
    missing = sorted(wanted - set(found))
    if missing:
        raise UserError(
            f"{folder} has no {column} {missing[0]!r}"
            + (f" (nor {len(missing) - 1} more)" if missing[1:] else "")
            + ": give one that it has, or, if the datasets are not of one run, run `dvc repro`."
        )
    return found


def phrases(data: Path, phrase_ids: Iterable[str]) -> dict[str, Phrase]:
    """Phrases by id, each joined with its caption, image and regions."""
    found = by_id(data / "phrases", "phrase_id", phrase_ids)
    captions = _captions(data, {row["caption_id"] for row in found.values()})
    images = by_id(data / "images", "image_id", (row["image_id"] for row in found.values()))
    regions: dict[str, list[dict[str, Any]]] = {phrase_id: [] for phrase_id in found}
    for region in rows(data / "regions", "phrase_id", found):
        regions[region["phrase_id"]].append(region)
    return {
        phrase_id: Phrase(
            phrase_id=phrase_id,
            text=row["text"],
            caption=captions[row["caption_id"]],
            span=(row["start"], row["end"]),
            image=images[row["image_id"]],
            regions=regions[phrase_id],
        )
        for phrase_id, row in found.items()
    }


def _captions(data: Path, caption_ids: set[str]) -> dict[str, str]:
    """Texts of captions by id; those made of an image's tags are in no table, and are the tags joined."""
    of_tags = {name for name in caption_ids if name.endswith(schemas.TAGS_CAPTION)}
    written = by_id(data / "captions", "caption_id", caption_ids - of_tags)
    tagged = tag_captions(rows(data / "phrases", "caption_id", of_tags) if of_tags else ())
    return {name: row["text"] for name, row in written.items()} | {
        row["caption_id"]: row["text"] for row in tagged
    }


def tag_captions(phrases: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The captions, as rows of ``captions``, of those phrases that are tags of their image.

    No table holds them: such a caption is the image's tags joined, so all of them have to be among the rows
    of ``phrases`` that are given, in the table's order.
    """
    found: dict[str, dict[str, Any]] = {}
    for row in phrases:
        name = row["caption_id"]
        if not name.endswith(schemas.TAGS_CAPTION):
            continue
        if name in found:
            found[name]["text"] += schemas.BETWEEN_TAGS + row["text"]
        else:
            found[name] = {"caption_id": name, "image_id": row["image_id"], "text": row["text"]}
    return list(found.values())


def spread(folder: Path, count: int) -> list[str]:
    """Ids of up to ``count`` phrases of a dataset, evenly over its images, one an image if there are enough.

    The choice depends on the rows alone. Within an image the phrase taken moves on from image to image, so
    that not all are the caption's first.
    """
    table = dataset.read(folder, ["image_id", "phrase_id"])
    if table.num_rows == 0 or count < 1:
        return []
    codes = np.asarray(pc.dictionary_encode(table["image_id"].combine_chunks()).indices)
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    sizes = np.diff(starts, append=len(order))
    turns = -(-count // len(starts))  # phrases an image, when there are fewer images than asked for
    picked: list[int] = []
    for turn in range(turns):
        images = np.unique(np.linspace(0, len(starts) - 1, min(count, len(starts))).round().astype(int))
        steps = np.arange(len(images)) + turn
        fits = turn < sizes[images]
        picked += (starts[images] + steps % sizes[images])[fits].tolist()
    return table["phrase_id"].take(order[np.asarray(picked[:count], dtype=np.int64)]).to_pylist()
