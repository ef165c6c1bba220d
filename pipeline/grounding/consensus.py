"""Annotation source: several others, and of their regions those that enough of them agree on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import UserError
from pipeline.grounding.base import Annotator, ShardInputs
from pipeline.params import ConsensusParams
from pipeline.tables import digests, schemas
from pipeline.tables.rejects import Rejects
from pipeline.tables.shards import Tables

REASONS = {"no_agreement": "too few sources have a region of the phrase in the same place"}


@dataclass(frozen=True)
class ConsensusAnnotator:
    """Grounds by agreement; implements `pipeline.grounding.base.Annotator`.

    Regions agree when they ground the same phrase and their boxes overlap by ``iou`` or more. What is kept is
    the region of the source that ``sources`` names first, box and mask as they are; its score is the mean of
    the sources' scores, 0 for one that is not in agreement.
    """

    params: ConsensusParams
    members: tuple[Annotator, ...]
    name: str = "consensus"

    def __post_init__(self) -> None:
        if not 2 <= self.params.agree <= len(self.members):
            raise UserError(
                f"ground.consensus.agree: found {self.params.agree} with {len(self.members)} sources; it must"
                " be from 2 to as many as there are."
            )

    def digest(self) -> str:
        """Digest of the settings and of the sources' own."""
        settings = self.params.model_dump(mode="json", exclude={"sources"})
        return digests.of_value([self.name, settings, [one.digest() for one in self.members]])

    def ground(self, shard: ShardInputs) -> Tables:
        """``regions`` and ``rejects`` of a shard, in the order of its phrases."""
        found = [member.ground(shard) for member in self.members]
        regions = pa.concat_tables([tables["regions"] for tables in found]).combine_chunks()
        sources = np.repeat(np.arange(len(found)), [tables["regions"].num_rows for tables in found])
        phrase_ids = shard.phrases.column("phrase_id")
        phrase_of = pc.index_in(regions["phrase_id"], value_set=phrase_ids.combine_chunks()).to_numpy()
        scores = regions["score"].to_numpy().astype(np.float64)
        rows, combined = agree(
            phrase_of,
            sources,
            pc.list_flatten(regions["box"]).to_numpy().reshape(-1, 4).astype(np.float64),
            scores,
            self.params.iou,
            self.params.agree,
            len(found),
        )
        order = np.argsort(phrase_of[rows], kind="stable")
        rows, combined = rows[order], combined[order]
        rejects = Rejects("ground", REASONS)
        kept = set(phrase_of[rows].tolist())
        counts = np.zeros((len(found), len(phrase_ids)), dtype=int)
        np.add.at(counts, (sources, phrase_of), 1)
        for number, phrase_id in enumerate(phrase_ids.to_pylist()):
            if number not in kept:
                said = ", ".join(
                    f"{member.name} {count}"
                    for member, count in zip(self.members, counts[:, number].tolist(), strict=True)
                )
                rejects.add(f"phrase:{phrase_id}", "no_agreement", f"regions found: {said}")
        return {
            "regions": _renamed(regions.take(pa.array(rows)), combined, self.name),
            "rejects": rejects.table(),
        }


def agree(
    phrase_of: np.ndarray,
    sources: np.ndarray,
    boxes: np.ndarray,
    scores: np.ndarray,
    iou: float,
    least: int,
    source_count: int,
) -> tuple[np.ndarray, np.ndarray]:
    """The regions that enough sources agree on.

    A source's best regions look for partners first, sources in their order: in each later source the free
    region that overlaps most (the first of equals). A region that was kept or is a partner is free no more.

    Args:
        phrase_of: number of each region's phrase.
        sources: number of each region's source.
        boxes: x0, y0, x1, y1 of each, (regions, 4).
        scores: of each.
        iou: least overlap, intersection over union.
        least: sources that must agree, the region's own among them.
        source_count: how many sources there are.

    Returns:
        Rows of the regions that are kept, those of a phrase in the order of sources and scores, and their
        combined scores.
    """
    partners = _overlapping(phrase_of, sources, boxes, iou)
    free = np.ones(len(scores), dtype=bool)
    rows, combined = [], []
    # Only regions with a partner in another source can be kept.
    for row in sorted(partners, key=lambda i: (sources[i], -scores[i], i)):
        if not free[row]:
            continue
        best: dict[int, tuple[float, int]] = {}
        for overlap, other in partners[row]:
            source = int(sources[other])
            if free[other] and overlap > best.get(source, (0.0, -1))[0]:
                best[source] = overlap, other
        if len(best) + 1 < least:
            continue
        group = [row, *(other for _, other in best.values())]
        free[group] = False
        rows.append(row)
        combined.append(scores[group].sum() / source_count)
    return np.array(rows, dtype=np.int64), np.array(combined, dtype=np.float64)


def _overlapping(
    phrase_of: np.ndarray, sources: np.ndarray, boxes: np.ndarray, iou: float
) -> dict[int, list[tuple[float, int]]]:
    """Of each region the later sources' regions of its phrase that it overlaps enough: (IoU, row)."""
    pairs = defaultdict(list)
    order = np.argsort(phrase_of, kind="stable")
    starts = np.flatnonzero(np.diff(phrase_of[order], prepend=-1))
    counts = np.diff(starts, append=len(order))
    # Every region beside every one of its phrase, all phrases at once.
    left = np.repeat(order, np.repeat(counts, counts))
    within = np.arange(len(left)) - np.repeat(np.cumsum(counts**2) - counts**2, counts**2)
    right = order[np.repeat(starts, counts**2) + within % np.repeat(counts, counts**2)]
    ahead = sources[left] < sources[right]
    left, right = left[ahead], right[ahead]
    overlap = _iou(boxes[left], boxes[right])
    enough = overlap >= iou
    for i, j, value in zip(
        left[enough].tolist(), right[enough].tolist(), overlap[enough].tolist(), strict=True
    ):
        pairs[i].append((value, j))
    return pairs


def _iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes, pair by pair; 0 where neither has an area."""
    sides = np.clip(np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2]), 0, None)
    shared = sides.prod(axis=1)
    union = (a[:, 2:] - a[:, :2]).prod(axis=1) + (b[:, 2:] - b[:, :2]).prod(axis=1) - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def _renamed(regions: pa.Table, scores: np.ndarray, annotator: str) -> pa.Table:
    """Regions, those of a phrase one after another, numbered anew, with other scores and annotator."""
    names: Sequence[str] = regions["phrase_id"].to_pylist()
    seen: dict[str, int] = defaultdict(int)
    ids = []
    for name in names:
        ids.append(f"{name}/r{seen[name]}")
        seen[name] += 1
    columns = {
        **{name: regions[name] for name in regions.column_names},
        "region_id": pa.array(ids, pa.string()),
        "score": pa.array(scores.astype(np.float32)),
        "annotator": pa.array([annotator] * len(ids), pa.string()),
    }
    return pa.table(columns, schema=schemas.SCHEMAS["regions"])
