"""One annotation source against human boxes: from the datasets to results and measures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.audit import measures, scoring, truth
from pipeline.audit.measures import Measures
from pipeline.grounding.base import Annotator, ShardInputs
from pipeline.tables import schemas


@dataclass(frozen=True)
class Audit:
    """What an audit of one source found."""

    results: pa.Table
    """The table ``audit``: a phrase with true boxes a row."""
    measures: Measures
    images: int
    """Images that were looked at."""
    left_out: dict[str, int]
    """Their phrases that could not be judged, by reason."""
    rejected: dict[str, int]
    """Phrases with true boxes that the source rejected, by its reason."""


def audit(annotator: Annotator, shards: Iterable[ShardInputs], resamples: int, seed: int) -> Audit:
    """Ground the phrases whose true boxes are known and compare.

    The source is shown the images with such phrases and nothing else, their objects without links to
    captions (`truth.unlinked`).
    """
    results = [schemas.empty("audit")]
    areas: dict[str, int] = {}
    left_out: Counter[str] = Counter()
    rejected: Counter[str] = Counter()
    images = 0
    for shard in shards:
        images += shard.images.num_rows
        known = truth.true_boxes(shard)
        left_out.update(known.left_out)
        if known.phrases.num_rows:
            shown = _shown(shard, known.phrases)
            areas |= _areas(shown.images)
            found = annotator.ground(shown)
            rejected.update(found["rejects"]["reason"].to_pylist())
            results.append(scoring.score(known, found["regions"]))
    table = pa.concat_tables(results).combine_chunks()
    measured = measures.measure(table, areas, resamples, seed)
    return Audit(table, measured, images, dict(sorted(left_out.items())), dict(sorted(rejected.items())))


def _shown(shard: ShardInputs, phrases: pa.Table) -> ShardInputs:
    """What the source may look at."""
    ids = pc.unique(phrases["image_id"])
    images, captions, objects = (
        table.filter(pc.is_in(table["image_id"], value_set=ids))
        for table in (shard.images, shard.captions, shard.objects)
    )
    return replace(shard, images=images, captions=captions, phrases=phrases, objects=truth.unlinked(objects))


def _areas(images: pa.Table) -> dict[str, int]:
    sides = zip(*(images[name].to_pylist() for name in ("image_id", "width", "height")), strict=True)
    return {image_id: width * height for image_id, width, height in sides}
