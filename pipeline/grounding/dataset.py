"""Ground phrases by the dataset's own human annotations.

Where the source links objects to characters of a caption (``objects.phrase``), the link decides for every
phrase of that caption. Elsewhere an object is meant when its label is what the phrase names: label, compound,
lemma or synonym (`pipeline.grounding.naming`), attributes agreeing where the object has any. An object has an
attribute or not: a phrase with an attribute that the object lacks does not mean the object.

A plural and a noun for many (crowd, luggage) take all instances and, if ``crowds`` is set, crowd
regions too, however many the number word says: people miscount, and annotators stop early. A singular noun
with several candidates follows ``several``: all of them, the one with the largest box (the first of equals),
or none.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.grounding.base import ShardInputs
from pipeline.grounding.heads import Heads, read_heads
from pipeline.grounding.naming import Named, Vocabulary
from pipeline.params import DatasetSourceParams
from pipeline.tables import digests, schemas, synonyms
from pipeline.tables.rejects import Rejects
from pipeline.tables.shards import Tables

REASONS = {
    "not_a_category": "the phrase names nothing that the dataset annotates",
    "no_object": "the image has no object of that name, or none whose attributes agree",
    "several_objects": "several objects match a singular noun, and ground.dataset.several is skip",
    "crowd_only": "only crowd regions match, and a singular noun or ground.dataset.crowds rules them out",
    "not_linked": "the dataset links objects to this caption, but none to this phrase",
}


@dataclass(frozen=True)
class DatasetAnnotator:
    """The source's human annotations as an annotation source; implements `base.Annotator`."""

    params: DatasetSourceParams
    name: str = "dataset"

    def digest(self) -> str:
        """Digest of the settings and of the lists of synonyms."""
        words = [list(synonyms.by_word().items()), sorted(synonyms.OTHER_THINGS)]
        sets = [sorted(synonyms.COLLECTIVE), sorted(synonyms.SINGULAR_ONLY)]
        return digests.of_value([self.name, self.params.digest(), words, sets])

    def ground(self, shard: ShardInputs) -> Tables:
        """``regions`` (score 1, objects in the order of their table) and ``rejects`` of a shard."""
        # One chunk each, so that row numbers of flattened lists are those of the table.
        phrases, objects = shard.phrases.combine_chunks(), shard.objects.combine_chunks()
        heads = read_heads(phrases)
        candidates = _Candidates.of(objects)
        links = _links(objects)
        vocabulary = Vocabulary(candidates.labels)
        names: dict[tuple[str, str], Named | None] = {}
        rejects = Rejects("ground", REASONS)
        phrase_rows: list[int] = []
        object_rows: list[int] = []
        phrase_ids = phrases["phrase_id"].to_pylist()
        rows = zip(
            phrase_ids,
            phrases["caption_id"].to_pylist(),
            phrases["image_id"].to_pylist(),
            phrases["is_plural"].to_pylist(),
            strict=True,
        )
        for row, (phrase_id, caption_id, image_id, is_plural) in enumerate(rows):
            link = links.get((image_id, caption_id))
            if link is not None:
                start, end = heads.starts[row], heads.ends[row]
                found = [obj for first, last, obj in link if first <= start and end <= last]
                # A head is at least a character long; a phrase without one lies in no span.
                reason = "" if found and end > start else "not_linked"
            else:
                key = heads.terms[row], heads.surfaces[row]
                if key not in names:
                    names[key] = vocabulary.name(tuple(key[0].split()), key[1])
                found, reason = self._choose(names[key], candidates, image_id, is_plural, heads, row)
            if reason:
                rejects.add(f"phrase:{phrase_id}", reason)
            else:
                phrase_rows += [row] * len(found)
                object_rows += found
        return {
            "regions": _regions(phrases, objects, phrase_rows, object_rows, self.name),
            "rejects": rejects.table(),
        }

    def _choose(
        self,
        named: Named | None,
        candidates: _Candidates,
        image_id: str,
        is_plural: bool,
        heads: Heads,
        row: int,
    ) -> tuple[list[int], str]:
        """Rows of the objects that a phrase means, or the reason why there is none."""
        if named is None:
            return [], "not_a_category"
        found = candidates.find(image_id, named)
        if found and candidates.attributes:
            said = [pair for pair in heads.attributes(row) if pair[0] not in named.words]
            found = [obj for obj in found if candidates.agrees(obj, said)]
        if not found:
            return [], "no_object"
        single = [obj for obj in found if obj not in candidates.crowds]
        if is_plural or named.is_collective:
            chosen = found if self.params.crowds else single
            return chosen, "" if chosen else "crowd_only"
        if not single:
            return [], "crowd_only"
        if len(single) == 1 or self.params.several == "all":
            return single, ""
        if self.params.several == "skip":
            return [], "several_objects"
        return [max(single, key=candidates.areas.__getitem__)], ""


@dataclass
class _Candidates:
    """The objects of a shard, to be found by image and label."""

    by_image: dict[str, dict[str, list[int]]]
    labels: frozenset[str]
    crowds: frozenset[int]
    areas: Sequence[float]
    """Areas of the boxes, square pixels."""
    attributes: dict[int, frozenset[str]] = field(default_factory=dict)
    """Of the objects that have any."""

    @classmethod
    def of(cls, objects: pa.Table) -> _Candidates:
        labels = objects["label"].to_pylist()
        by_image: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
        for row, (image_id, label) in enumerate(zip(objects["image_id"].to_pylist(), labels, strict=True)):
            by_image[image_id][label].append(row)
        boxes = pc.list_flatten(objects["box"]).to_numpy().reshape(-1, 4).astype(np.float64)
        return cls(
            by_image=by_image,
            labels=frozenset(labels),
            crowds=frozenset(np.flatnonzero(objects["is_crowd"].to_numpy()).tolist()),
            areas=((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])).tolist(),
            attributes={
                row: frozenset(attribute.lower() for attribute in attributes)
                for row, attributes in enumerate(objects["attributes"].to_pylist())
                if attributes
            },
        )

    def find(self, image_id: str, named: Named) -> list[int]:
        """Objects of the first alternative that the image has, in the order of their table."""
        by_label = self.by_image.get(image_id, {})
        for labels in named.alternatives:
            found = [obj for label in labels if label in by_label for obj in by_label[label]]
            if found:
                return found if len(labels) == 1 else sorted(found)
        return []

    def agrees(self, obj: int, said: list[tuple[str, str]]) -> bool:
        """Whether an object has every attribute (as written, lemma), or none are known of it."""
        known = self.attributes.get(obj)
        return known is None or all(text in known or lemma in known for text, lemma in said)


def _links(objects: pa.Table) -> dict[tuple[str, str], list[tuple[int, int, int]]]:
    """(start, end, object's row) of every linked span, by image and caption."""
    links: dict[tuple[str, str], list[tuple[int, int, int]]] = defaultdict(list)
    rows = pc.list_parent_indices(objects["phrase"])
    images = objects["image_id"].take(rows).to_pylist()
    spans = pc.list_flatten(objects["phrase"]).to_pylist()
    for row, image_id, span in zip(rows.to_pylist(), images, spans, strict=True):
        links[image_id, span["caption_id"]].append((span["start"], span["end"], row))
    return dict(links)


def _regions(
    phrases: pa.Table, objects: pa.Table, phrase_rows: list[int], object_rows: list[int], annotator: str
) -> pa.Table:
    if not phrase_rows:
        return schemas.empty("regions")
    of_phrase, of_object = np.array(phrase_rows), np.array(object_rows)
    # Rows of a phrase stand together, so a region's number is its distance to the phrase's first.
    firsts = np.flatnonzero(np.diff(of_phrase, prepend=-1))
    numbers = np.arange(len(of_phrase)) - np.repeat(firsts, np.diff(firsts, append=len(of_phrase)))
    phrase_id = phrases["phrase_id"].take(of_phrase)
    columns = {
        "region_id": pc.binary_join_element_wise(phrase_id, pa.array(numbers).cast(pa.string()), "/r"),
        "phrase_id": phrase_id,
        "image_id": phrases["image_id"].take(of_phrase),
        "box": objects["box"].take(of_object),
        "mask": objects["mask"].take(of_object),
        "score": pa.array(np.ones(len(of_phrase), np.float32)),
        "annotator": pa.repeat(annotator, len(of_phrase)),
    }
    return pa.table(columns, schema=schemas.SCHEMAS["regions"])
