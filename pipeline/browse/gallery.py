"""A stretch of the gallery: images as cards, each with its caption and the patches that the filters lit."""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.browse.grid import Grids
from pipeline.browse.index import Filters, Index
from pipeline.browse.store import take
from pipeline.report import lookup

LARGEST_PAGE = 200
MOST_LIT = 6
"""Phrases whose patches a card lights; a small picture shows no more."""


def page(index: Index, grids: Grids, filters: Filters, offset: int, limit: int) -> dict[str, Any]:
    """Cards of the images ``offset : offset + limit`` of those that the filters leave, and their number.

    ``images`` and ``patch_words`` are the numbers of rows of those tables that the filters hold for.
    """
    chosen = index.select(filters)
    numbers = chosen.images[offset : offset + min(limit, LARGEST_PAGE)]
    tables = index.store.tables
    cards = [
        {
            "row": int(number),
            "image_id": image["image_id"],
            "width": image["width"],
            "height": image["height"],
            "split": image["split"],
            "sha256": image["sha256"][:16],
            "caption": None,
            "captions": 0,
            "patch_words": 0,
            "lit": [],
        }
        for number, image in zip(
            numbers,
            take(tables["images"], numbers, ["image_id", "width", "height", "split", "sha256"]),
            strict=True,
        )
    ]
    place = {int(number): i for i, number in enumerate(numbers)}
    _add_captions(index, cards, place, numbers)
    _add_patch_words(index, grids, filters, cards, place, chosen.patch_words)
    return {
        "images": len(chosen.images),
        "patch_words": len(chosen.patch_words),
        "offset": offset,
        "cards": cards,
    }


def _add_captions(
    index: Index, cards: list[dict[str, Any]], place: dict[int, int], numbers: np.ndarray
) -> None:
    captions = index.store.tables["captions"]
    rows = index.rows_of_images("captions", numbers)
    image = index.image_of("captions")[rows]
    for number, row in zip(image.tolist(), take(captions, rows, ["text"]), strict=True):
        card = cards[place[number]]
        card["captions"] += 1
        if card["caption"] is None:
            card["caption"] = row["text"]
    _add_tags(index, {card["image_id"]: card for card in cards if card["caption"] is None})


def _add_tags(index: Index, cards: dict[str, dict[str, Any]]) -> None:
    """Captions made of tags to the cards, by image id, that have none."""
    if not cards:
        return
    numbers = np.array([card["row"] for card in cards.values()], dtype=np.int64)
    phrases = index.rows_of_images("phrases", numbers)
    tagged = take(index.store.tables["phrases"], phrases, ["caption_id", "image_id", "text"])
    for row in lookup.tag_captions(tagged):
        cards[row["image_id"]] |= {"captions": 1, "caption": row["text"]}


def _add_patch_words(
    index: Index,
    grids: Grids,
    filters: Filters,
    cards: list[dict[str, Any]],
    place: dict[int, int],
    chosen: np.ndarray,
) -> None:
    of_image = index.image_of("patch_words")[chosen]
    here = np.isin(of_image, np.fromiter(place, dtype=np.int64, count=len(place)))
    rows, images = chosen[here], of_image[here].tolist()
    for number in images:
        cards[place[number]]["patch_words"] += 1
    if not filters.on_rows:
        return
    table = index.store.tables["patch_words"]
    lit = take(table, rows, ["phrase", "grid", "patches", "coverage"])
    for number, row in zip(images, lit, strict=True):
        card = cards[place[number]]
        edges = grids.edges(card["width"], card["height"])
        if edges is None or list(edges.grid) != row["grid"] or len(card["lit"]) >= MOST_LIT:
            continue
        card["lit"].append(
            {"phrase": row["phrase"], "patches": edges.shares(row["patches"]), "coverage": row["coverage"]}
        )
