"""What the scores need to know of the images that are asked about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.evaluation import naming


@dataclass(frozen=True)
class World:
    """What the scores need to know of the test images, beside the examples themselves."""

    sizes: Mapping[str, tuple[int, int]]
    captions: Mapping[str, list[str]]
    objects: Mapping[str, list[dict]]
    """Rows of the ``objects`` table by image."""
    labels: frozenset[str] = frozenset()
    """Every label of the dataset's objects: what a caption can rightly or wrongly say is there."""

    def lexicon(self) -> naming.Lexicon | None:
        """Nouns, colours and other attributes to read captions with; None where objects have no colours."""
        rows = [row for found in self.objects.values() for row in found]
        colours = {row["attributes"][0] for row in rows if row["attributes"]}
        if not colours:
            return None
        others = {word for row in rows for word in row["attributes"][1:]}
        return naming.lexicon({row["label"] for row in rows}, colours, others)
