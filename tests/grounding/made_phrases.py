"""Phrases and objects as tables, from a line each, for the tests of annotation sources."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipeline.grounding.base import ShardInputs
from pipeline.tables import schemas


def phrase(text: str, lemma: str | None = None, image_id: str = "7", **changes: Any) -> dict[str, Any]:
    """A phrase in caption ``<image>/c0``, its characters from 10 on.

    ``text`` marks roles: ``red/a`` an attribute, ``fire/c`` a compound, ``two/n`` a number, ``the/-`` no
    word; the head has no mark, and is its own ``lemma`` unless one is given.
    """
    words, spoken, start = [], [], 10
    for part in text.split():
        word, _, mark = part.partition("/")
        role = {"": "head", "a": "attribute", "c": "compound", "n": "number"}.get(mark)
        if role:
            base = (lemma or word).lower() if role == "head" else word.lower()
            end = start + len(word)
            words.append({"text": word, "lemma": base, "role": role, "start": start, "end": end})
        spoken.append(word)
        start += len(word) + 1
    caption_id = f"{image_id}/c0"
    row = {
        "phrase_id": f"{caption_id}/p0",
        "caption_id": caption_id,
        "image_id": image_id,
        "text": " ".join(spoken),
        "start": 10,
        "end": start - 1,
        "is_plural": False,
        "words": words,
    }
    return {**row, **changes}


def thing(label: str, number: int = 0, image_id: str = "7", **changes: Any) -> dict[str, Any]:
    """An object with a box of 10 x 10 pixels."""
    row = {
        "object_id": f"{image_id}/o{number}",
        "image_id": image_id,
        "label": label,
        "attributes": [],
        "box": [0.0, 0.0, 10.0, 10.0],
        "mask": None,
        "is_crowd": False,
        "phrase": [],
    }
    return {**row, **changes}


def span(start: int, end: int, caption_id: str = "7/c0") -> dict[str, Any]:
    """A linked span of characters."""
    return {"caption_id": caption_id, "start": start, "end": end}


def shard(phrases: list[dict[str, Any]], objects: list[dict[str, Any]]) -> ShardInputs:
    """The tables of a shard; no images and captions, which human annotations need not look at."""
    return ShardInputs(
        images=schemas.empty("images"),
        captions=schemas.empty("captions"),
        phrases=schemas.from_rows("phrases", phrases),
        objects=schemas.from_rows("objects", objects),
        root=Path(),
    )
