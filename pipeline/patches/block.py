"""The stage ``patch_words``: a phrase's regions become the patches that show it, with their coverage."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import UserError
from pipeline.params import PatchWordsParams
from pipeline.patches.coverage import mask_coverage
from pipeline.patches.geometry import Geometry
from pipeline.patches.sparse import Coverage, offsets_of, rows_in_order, runs
from pipeline.patches.union import boxes_union, mixed_union
from pipeline.tables import dataset, digests, masks, schemas
from pipeline.tables.dataset import Provenance
from pipeline.tables.shards import Tables

STAGE = "patch_words"
REASONS = {
    "below_min_score": "every region's score is below patch_words.min_score",
    "outside_view": "no patch sees any of the regions: they lie outside the encoder's crop, or are empty",
    "below_min_coverage": "no patch is covered by patch_words.min_coverage or more",
}


@dataclass(frozen=True)
class PatchWordsBlock:
    """`pipeline.tables.shards.Block` of the stage; shard *i* is part *i* of the three datasets."""

    images: Path
    phrases: Path
    regions: Path
    encoder: Path
    """The encoder's folder: only preprocessor_config.json and config.json are read."""
    params: PatchWordsParams

    stage: str = STAGE
    outputs: tuple[str, ...] = (STAGE,)

    @cached_property
    def geometry(self) -> Geometry:
        """The encoder's image geometry."""
        return Geometry.from_encoder(self.encoder)

    def shard_count(self) -> int:
        """Parts of the regions."""
        return len(dataset.parts(self.regions))

    def provenance(self) -> Provenance:
        """Params, the three datasets, and of the encoder what matters here: its geometry."""
        inputs = {
            name: digests.of_files(getattr(self, name), "part-*.arrow")
            for name in ("images", "phrases", "regions")
        }
        return Provenance(self.params.digest(), {**inputs, "geometry": self.geometry.digest()})

    def rows_in(self, shard: int) -> int:
        """Phrases that have a region."""
        return len(pc.unique(self._read(self.regions, shard, ["phrase_id"]).column("phrase_id")))

    def process(self, shard: int) -> Tables:
        """``patch_words`` and ``rejects`` of one shard."""
        images = self._read(self.images, shard, ["image_id", "width", "height", "split"])
        phrases = self._read(self.phrases, shard, ["phrase_id", "image_id", "text", "words"])
        return patch_words(images, phrases, self._read(self.regions, shard), self.geometry, self.params)

    def _read(self, folder: Path, shard: int, columns: list[str] | None = None) -> pa.Table:
        return dataset.read_part(folder / dataset.PART.format(shard), columns)


def patch_words(
    images: pa.Table, phrases: pa.Table, regions: pa.Table, geometry: Geometry, params: PatchWordsParams
) -> Tables:
    """The tables ``patch_words`` and ``rejects`` of some images.

    A row is a phrase with a usable region, in the order of ``phrases``; its regions are united, each place
    counting once. Every phrase that has a region comes out or is rejected. A patch counts when its coverage,
    as stored (float32), is at least ``params.min_coverage``.

    Raises:
        UserError: a region's phrase or image is not in the tables, or its mask has another size.
    """
    regions = regions.combine_chunks()
    of_phrase = _index(regions, phrases, "phrase_id", "regions", "phrases")
    order = np.argsort(of_phrase, kind="stable")
    regions, of_phrase = regions.take(pa.array(order)), of_phrase[order]
    named = of_phrase[runs(of_phrase)[0]]

    usable = regions.column("score").to_numpy() >= np.float32(params.min_score)
    regions, of_phrase = regions.filter(pa.array(usable)), of_phrase[usable]
    first, size = runs(of_phrase)
    rows, group = of_phrase[first], np.repeat(np.arange(len(first)), size)  # phrases with a usable region
    image = _index(phrases.take(pa.array(rows)), images, "image_id", "phrases", "images")
    width, height = (images.column(side).to_numpy()[image] for side in ("width", "height"))

    seen = _cover(regions, group, len(rows), width, height, geometry, params.use)
    seen = replace(seen, values=seen.values.astype(np.float32))
    kept = seen.where(seen.values >= np.float32(params.min_coverage))
    fits = kept.lengths > 0

    reason = np.full(phrases.num_rows, "", dtype=object)
    reason[named] = "below_min_score"
    reason[rows] = np.where(seen.lengths > 0, "below_min_coverage", "outside_view")
    reason[rows[fits]] = ""
    out = np.flatnonzero(fits)
    table = _rows(images, phrases, regions, rows, group, image, kept.without_empty_rows(), out, geometry)
    return {"patch_words": table, "rejects": _rejects(phrases, reason)}


def _cover(
    regions: pa.Table,
    group: np.ndarray,
    count: int,
    width: np.ndarray,
    height: np.ndarray,
    geometry: Geometry,
    use: str,
) -> Coverage:
    """Coverage of each phrase, one row a phrase; ``group`` is each region's."""
    boxes = regions.column("box").combine_chunks().flatten().to_numpy().reshape(-1, 4)
    has_mask = np.zeros(len(boxes), dtype=bool)
    if use == "masks":
        has_mask = regions.column("mask").is_valid().to_numpy()
    with_mask = np.zeros(count, dtype=bool)
    with_mask[group[has_mask]] = True
    # Phrases of boxes alone go together, in one sweep ...
    boxed = np.flatnonzero(~with_mask)
    alone = ~with_mask[group]
    pieces = [
        boxes_union(
            boxes[alone],
            np.searchsorted(boxed, group[alone]),
            len(boxed),
            width[boxed],
            height[boxed],
            geometry,
        )
    ]
    # ... those with masks are decoded from their runs, one at a time.
    if not with_mask.any():
        return rows_in_order(pieces, boxed)
    _check_sizes(regions, has_mask, width[group], height[group])
    masked = np.flatnonzero(with_mask)
    united = _unite(regions.filter(pa.array(has_mask)).column("mask").to_pylist(), group[has_mask])
    mixed = np.isin(masked, group[~has_mask])
    pieces.append(mask_coverage([united[i] for i in np.flatnonzero(~mixed)], geometry))
    for i in np.flatnonzero(mixed):
        row = masked[i]
        rest = boxes[(group == row) & ~has_mask]
        pieces.append(mixed_union(united[i], rest, geometry))
    return rows_in_order(pieces, np.concatenate([boxed, masked[~mixed], masked[mixed]]))


def _unite(values: list[dict[str, Any]], group: np.ndarray) -> list[dict[str, Any]]:
    """One mask for each run of equal groups: the union of its masks."""
    bounds = np.flatnonzero(np.diff(group, prepend=-1, append=group[-1] + 1)).tolist()
    return [
        values[low] if high == low + 1 else masks.union(values[low:high]) for low, high in pairwise(bounds)
    ]


def _check_sizes(regions: pa.Table, has_mask: np.ndarray, width: np.ndarray, height: np.ndarray) -> None:
    """Every mask has to be of its image's size."""
    found = regions.filter(pa.array(has_mask))
    sizes = pc.struct_field(found.column("mask").combine_chunks(), "size").flatten().to_numpy().reshape(-1, 2)
    wrong = np.flatnonzero((sizes != np.stack([height, width], axis=1)[has_mask]).any(axis=1))
    if len(wrong):
        i = int(wrong[0])
        raise UserError(
            f"Region {found.column('region_id')[i]}: its mask is {sizes[i, 1]} x {sizes[i, 0]} pixels, but "
            f"its image is {width[has_mask][i]} x {height[has_mask][i]}: they were made from different data. "
            "Run `dvc repro` to make both again."
        )


def _rows(
    images: pa.Table,
    phrases: pa.Table,
    regions: pa.Table,
    rows: np.ndarray,
    group: np.ndarray,
    image: np.ndarray,
    kept: Coverage,
    out: np.ndarray,
    geometry: Geometry,
) -> pa.Table:
    """The table: of all phrases ``rows``, those at the places ``out``, whose coverage is ``kept``."""
    phrase = phrases.take(pa.array(rows[out])).combine_chunks()
    first = np.searchsorted(group, np.arange(len(rows) + 1))
    regions = regions.filter(pa.array(np.isin(group, out))).combine_chunks()
    lengths = np.diff(first)[out]
    score, start = regions.column("score").to_numpy(), offsets_of(lengths)
    columns = {
        "image_id": phrase.column("image_id"),
        "phrase_id": phrase.column("phrase_id"),
        "split": images.column("split").take(pa.array(image[out])),
        "region_ids": _lists(start, regions.column("region_id").combine_chunks()),
        "phrase": phrase.column("text"),
        "words": _words(phrase.column("words").combine_chunks()),
        "grid": pa.FixedSizeListArray.from_arrays(pa.array(np.tile(geometry.grid, len(out)), pa.int32()), 2),
        "patches": _lists(kept.offsets, pa.array(kept.patches, pa.int32())),
        "coverage": _lists(kept.offsets, pa.array(kept.values, pa.float32())),
        "score": np.maximum.reduceat(score, start[:-1]) if len(out) else score[:0],
        "annotator": regions.column("annotator").take(pa.array(start[:-1])),
    }
    return pa.table(columns).select(schemas.SCHEMAS["patch_words"].names).cast(schemas.SCHEMAS["patch_words"])


def _words(words: pa.ListArray) -> pa.ListArray:
    """The phrase's words without their places in the caption."""
    flat = words.flatten()
    fields = ["text", "lemma", "role"]
    slim = pa.StructArray.from_arrays([flat.field(name) for name in fields], fields)
    lengths = np.asarray(words.value_lengths())
    return _lists(offsets_of(lengths), slim)


def _lists(offsets: np.ndarray, values: pa.Array) -> pa.ListArray:
    return pa.ListArray.from_arrays(pa.array(offsets.astype(np.int32)), values)


def _rejects(phrases: pa.Table, reason: np.ndarray) -> pa.Table:
    found = np.flatnonzero(reason != "")
    codes = reason[found].tolist()
    keys = pc.binary_join_element_wise("phrase", phrases.column("phrase_id").take(pa.array(found)), ":")
    return pa.table(
        {
            "stage": pa.array([STAGE] * len(found), pa.string()),
            "key": keys,
            "reason": pa.array(codes, pa.string()),
            "message": pa.array([REASONS[code] for code in codes], pa.string()),
        }
    ).cast(schemas.SCHEMAS["rejects"])


def _index(rows: pa.Table, of: pa.Table, column: str, name: str, of_name: str) -> np.ndarray:
    """The row of ``of`` that has each row's value in ``column``, which names one row of ``of``."""
    values, known = rows.column(column), of.column(column).combine_chunks()
    if len(rows) and not len(of):
        missing = values[0].as_py()
    else:
        found = pc.index_in(values, value_set=known)
        if not found.null_count:
            return found.to_numpy().astype(np.int64)
        missing = values.filter(found.is_null())[0].as_py()
    raise UserError(
        f"{name} speaks of {column} {missing!r}, which the same part of {of_name} does not have: they were "
        "made from different data. Run `dvc repro` to make both again."
    )
