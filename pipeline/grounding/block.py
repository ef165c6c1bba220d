"""The stage ``ground``: an annotation source, shard by shard."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipeline.grounding.base import Annotator, ShardInputs
from pipeline.tables import dataset, digests
from pipeline.tables.dataset import Provenance
from pipeline.tables.shards import Tables


@dataclass(frozen=True)
class GroundBlock:
    """Grounds the phrases of one shard after another; implements `pipeline.tables.shards.Block`.

    ``images``, ``captions``, ``phrases`` and ``objects`` are the datasets' folders; ``root`` is the folder
    that paths in ``images`` are below (``source.path``).
    """

    annotator: Annotator
    images: Path
    captions: Path
    phrases: Path
    objects: Path
    root: Path

    stage = "ground"
    outputs = ("regions",)

    def shard_count(self) -> int:
        """As many as ``phrases`` has parts."""
        return len(dataset.parts(self.phrases))

    def provenance(self) -> Provenance:
        """The annotation source's digest and those of the four datasets that it sees."""
        folders = {
            "images": self.images,
            "captions": self.captions,
            "phrases": self.phrases,
            "objects": self.objects,
        }
        return Provenance(
            params=self.annotator.digest(),
            inputs={name: digests.of_files(folder, "part-*.arrow") for name, folder in folders.items()},
        )

    def rows_in(self, shard: int) -> int:
        """Phrases of the shard: each comes out with a region or more, or is rejected."""
        return dataset.read_part(self.phrases / dataset.PART.format(shard), columns=["phrase_id"]).num_rows

    def process(self, shard: int) -> Tables:
        """The ``regions`` and ``rejects`` of one shard."""
        images, captions, phrases, objects = (
            dataset.read_part(folder / dataset.PART.format(shard))
            for folder in (self.images, self.captions, self.phrases, self.objects)
        )
        return self.annotator.ground(
            ShardInputs(images=images, captions=captions, phrases=phrases, objects=objects, root=self.root)
        )
