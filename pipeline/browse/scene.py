"""One image with all that is known of it: captions, annotation sources side by side, rejects, lineage.

A *source* is what one annotator of one dataset says. The first is the dataset's own ``patch_words`` as it
stands; where regions of several annotators were united in it, each annotator follows on its own, and then the
datasets that it is compared with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from pipeline.browse import captions
from pipeline.browse.grid import Edges, Grids, coverage_colours
from pipeline.browse.store import Store, rows
from pipeline.params import PatchWordsParams
from pipeline.report import lookup, outlines
from pipeline.tables import schemas

Row = dict[str, Any]


@dataclass(frozen=True)
class Member:
    """A dataset that is shown: the one that is browsed, or one that it is compared with."""

    name: str
    store: Store
    grids: Grids


def build(image: Row, rejected: list[Row], members: list[Member], params: PatchWordsParams) -> dict[str, Any]:
    """All that the page shows of an image, given as a row of ``images``.

    ``rejected``: the rejects that are about it. Captions are the first member's. ``params``: the settings by
    which an annotator's own coverage is worked out where the table holds only that of several together.
    """
    own = members[0]
    image_id = image["image_id"]
    said = rows(own.store.tables["captions"], "image_id", [image_id])
    sources = [source for member in members for source in _sources(member, image, params, rejected)]
    placed = ({**row, "image_id": image_id} for row in sources[0]["phrases"] if row["caption_id"])
    said += lookup.tag_captions(placed)
    marks = captions.marks_of({each["key"]: each["phrases"] for each in sources}, rejected)
    stored = image["image"]
    return {
        "image": {
            "image_id": image_id,
            "width": image["width"],
            "height": image["height"],
            "split": image["split"],
            "sha256": image["sha256"],
            "path": stored["path"],
            "bytes": len(stored["bytes"]) if stored["bytes"] is not None else None,
        },
        "captions": [
            {
                "caption_id": row["caption_id"],
                "text": row["text"],
                "segments": captions.segments(row["text"], marks.get(row["caption_id"], captions.Marks())),
            }
            for row in said
        ],
        "sources": sources,
        "rejects": rejected,
        "maps": _maps(own.store, image_id),
        "problems": [own.store.problems[name] for name in _SHOWN if name in own.store.problems],
        "colours": coverage_colours(),
    }


_SHOWN = ("captions", "phrases", "regions", "patch_words")


def _sources(
    member: Member, image: Row, params: PatchWordsParams, rejected: list[Row]
) -> list[dict[str, Any]]:
    image_id = image["image_id"]
    tables = member.store.tables
    patch_words = {row["phrase_id"]: row for row in rows(tables["patch_words"], "image_id", [image_id])}
    phrases = rows(tables["phrases"], "image_id", [image_id])
    known = {row["phrase_id"] for row in phrases}
    phrases += [_without_caption(row) for row in patch_words.values() if row["phrase_id"] not in known]
    regions = rows(tables["regions"], "image_id", [image_id])
    edges = member.grids.edges(image["width"], image["height"])
    why_not = {
        row["key"].partition(":")[2]: row["message"] for row in rejected if row["key"].startswith("phrase:")
    }
    named = [row["annotator"] for row in (*regions, *patch_words.values())]
    annotators = list(dict.fromkeys(named))

    def source(key: str, annotator: str | None, places: list[Row], of: Mapping[str, Row]) -> dict[str, Any]:
        return {
            "key": key,
            "dataset": member.name,
            "annotator": annotator,
            "phrases": [_phrase(row, places, of.get(row["phrase_id"]), why_not) for row in phrases],
            "grid": list(edges.grid) if edges else None,
            "x": edges.x if edges else None,
            "y": edges.y if edges else None,
            "problem": _grid_problem(member, edges, of),
        }

    found = [source(member.name, annotators[0] if len(annotators) == 1 else None, regions, patch_words)]
    if len(annotators) > 1:
        for annotator in annotators:
            places = [row for row in regions if row["annotator"] == annotator]
            alone = _of_annotator(member, image, phrases, places, patch_words, params)
            found.append(source(f"{member.name}:{annotator}", annotator, places, alone))
    return found


def _phrase(phrase: Row, regions: list[Row], row: Row | None, why_not: Mapping[str, str]) -> dict[str, Any]:
    """A phrase with its regions and, where it has a row of ``patch_words``, its patches."""
    return {
        **{name: phrase[name] for name in ("phrase_id", "caption_id", "text", "start", "end", "words")},
        "patches": row["patches"] if row else [],
        "coverage": [round(value, 6) for value in row["coverage"]] if row else [],
        "score": row["score"] if row else None,
        "annotator": row["annotator"] if row else None,
        "region_ids": row["region_ids"] if row else [],
        "computed": bool(row and row.get("computed")),
        "why_not": None if row else why_not.get(phrase["phrase_id"]),
        "regions": [
            {
                "region_id": region["region_id"],
                "box": region["box"],
                "masked": region["mask"] is not None,
                "outline": outlines.of_region(region),
                "score": region["score"],
                "annotator": region["annotator"],
            }
            for region in regions
            if region["phrase_id"] == phrase["phrase_id"]
        ],
    }


def _of_annotator(
    member: Member,
    image: Row,
    phrases: list[Row],
    regions: list[Row],
    patch_words: Mapping[str, Row],
    params: PatchWordsParams,
) -> dict[str, Row]:
    """Rows of ``patch_words`` by phrase, as the annotator's regions alone make them.

    A row of the table that rests on this annotator's regions only is taken as it is; the others are worked
    out by the stage's own code and marked ``computed``.
    """
    mine = {region["region_id"] for region in regions}
    found = {name: row for name, row in patch_words.items() if mine.issuperset(row["region_ids"])}
    others = [row for row in regions if row["phrase_id"] not in found]
    if not others or member.grids.geometry is None:
        return found
    from pipeline.patches import block

    made = block.patch_words(
        schemas.from_rows("images", [image]),
        pa.Table.from_pylist([_of_schema(row) for row in phrases], schema=schemas.SCHEMAS["phrases"]),
        schemas.from_rows("regions", others),
        member.grids.geometry,
        params,
    )["patch_words"].to_pylist()
    return found | {row["phrase_id"]: {**row, "computed": True} for row in made}


def _of_schema(phrase: Row) -> Row:
    return phrase if phrase["caption_id"] is not None else {**phrase, "caption_id": "", "start": 0, "end": 0}


def _without_caption(row: Row) -> Row:
    """A phrase that ``patch_words`` has and ``phrases`` has not, as a row of the latter without a place."""
    words = [{**word, "start": 0, "end": 0} for word in row["words"]]
    return {
        "phrase_id": row["phrase_id"], "caption_id": None, "image_id": row["image_id"], "text": row["phrase"],
        "start": None, "end": None, "is_plural": False, "words": words,
    }  # fmt: skip


def _grid_problem(member: Member, edges: Edges | None, of: Mapping[str, Row]) -> str | None:
    if edges is None:
        return member.grids.problem
    for row in of.values():
        if row["grid"] != list(edges.grid):
            made, now = (f"{grid[0]} x {grid[1]}" for grid in (row["grid"], edges.grid))
            return (
                f"patch_words was made for a grid of {made} patches, the encoder's is {now}:"
                " run `dvc repro patch_words` to make it again."
            )
    return None


def _maps(store: Store, image_id: str) -> dict[str, list[str]]:
    """By phrase, the names of the similarity maps that it has."""
    found: dict[str, list[str]] = {}
    for name, table in store.maps.items():
        slim = table.select(["image_id", "phrase_id"])
        for row in rows(slim, "image_id", [image_id]):
            found.setdefault(row["phrase_id"], []).append(name)
    return found
