"""The true boxes of phrases: what people drew, and which of it a phrase means.

- ``linked``: the source links objects to characters of the caption (drawn scenes, Flickr30k Entities,
  RefCOCO, grounding files). A person, or the renderer, said what the phrase means.
- ``named``: boxes with labels and nothing more (COCO). A phrase means the objects whose label it names, by
  the rule of the source ``dataset`` (`pipeline.grounding.dataset`), all of them where there are several. The
  boxes are people's; the choice among them is that rule's. So ``dataset``, which is the same rule, is right
  on these phrases by definition: its numbers are the ceiling there, and no measurement.

So that no source copies the answers, sources are shown the objects without their links (`unlinked`): on
linked phrases ``dataset`` has to find the objects by label and attributes, and its numbers tell how good
that is. As an annotation source in use it follows the links, and is then exact.

Left out, because right and wrong cannot be told: phrases without a true box (people do not draw everything),
and those that mean a crowd region (its box is around many things that nobody told apart).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.grounding.base import ShardInputs
from pipeline.grounding.dataset import DatasetAnnotator
from pipeline.grounding.heads import read_heads
from pipeline.params import DatasetSourceParams
from pipeline.tables import schemas

CROWD = "crowd"
RULE = DatasetAnnotator(DatasetSourceParams(several="all", crowds=True))


@dataclass(frozen=True)
class Truth:
    """The phrases of a shard that can be judged."""

    phrases: pa.Table
    """Rows of ``phrases``, in their order."""
    nouns: list[str]
    """Lemma of each one's head, lower case."""
    linked: np.ndarray
    """Whether the source links the phrase's caption, bool (phrases,)."""
    phrase_of: np.ndarray
    """The phrase of each true box, ascending, (boxes,)."""
    boxes: np.ndarray
    """x0, y0, x1, y1, pixels, float64 (boxes, 4)."""
    left_out: Mapping[str, int]
    """Phrases that cannot be judged, by reason: a code of the source ``dataset``, or ``crowd``."""


def true_boxes(shard: ShardInputs) -> Truth:
    """What the phrases of a shard mean."""
    found = RULE.ground(shard)
    single = RULE.ground(replace(shard, objects=shard.objects.filter(pc.invert(shard.objects["is_crowd"]))))
    ids = shard.phrases["phrase_id"].combine_chunks()
    of_all, of_single = (_rows_of(ids, tables["regions"]) for tables in (found, single))
    count, without_crowds = (np.bincount(rows, minlength=len(ids)) for rows in (of_all, of_single))
    judged = (count > 0) & (count == without_crowds)
    left_out = Counter(found["rejects"]["reason"].to_pylist())
    crowds = int(((count > 0) & (count != without_crowds)).sum())
    if crowds:
        left_out[CROWD] = crowds
    kept = judged[of_all]
    phrases = shard.phrases.filter(pa.array(judged)).combine_chunks()
    return Truth(
        phrases=phrases,
        nouns=[term.rpartition(" ")[2] for term in read_heads(phrases).terms],
        linked=pc.is_in(phrases["caption_id"], value_set=_linked_captions(shard.objects)).to_numpy(),
        phrase_of=(np.cumsum(judged) - 1)[of_all[kept]],
        boxes=corners(found["regions"]["box"])[kept],
        left_out=dict(sorted(left_out.items())),
    )


def unlinked(objects: pa.Table) -> pa.Table:
    """``objects`` without what links them to captions: what a source that is audited may see."""
    place = objects.column_names.index("phrase")
    none = pa.array([[]] * objects.num_rows, type=schemas.SCHEMAS["objects"].field("phrase").type)
    return objects.set_column(place, schemas.SCHEMAS["objects"].field("phrase"), none)


def corners(boxes: pa.ChunkedArray) -> np.ndarray:
    """A column of boxes as float64 (rows, 4)."""
    return pc.list_flatten(boxes).to_numpy().reshape(-1, 4).astype(np.float64)


def _rows_of(ids: pa.Array, regions: pa.Table) -> np.ndarray:
    return pc.index_in(regions["phrase_id"], value_set=ids).to_numpy().astype(np.int64)


def _linked_captions(objects: pa.Table) -> pa.Array:
    spans = pc.list_flatten(objects["phrase"])
    return pc.unique(pc.struct_field(spans, "caption_id")).cast(pa.string())
