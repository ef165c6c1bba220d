"""Audits of two made sources on the made project: one that takes all of a label, one that is often astray."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline.audit import images
from pipeline.audit.__main__ import write
from pipeline.audit.audit import audit
from pipeline.grounding.base import ShardInputs
from pipeline.grounding.dataset import DatasetAnnotator
from pipeline.params import DatasetSourceParams
from pipeline.tables.dataset import Provenance


@dataclass
class Astray:
    """Boxes of ``dataset``, many of them moved: a stand-in for a model."""

    name: str = "open_clip"

    def digest(self) -> str:
        return "astray"

    def ground(self, shard: ShardInputs) -> dict[str, pa.Table]:
        found = DatasetAnnotator(DatasetSourceParams(several="all", crowds=True)).ground(shard)
        regions = found["regions"]
        rng = np.random.default_rng(9)
        boxes = np.array(regions["box"].to_pylist()) + np.where(
            rng.random((len(regions), 1)) < 0.6, rng.integers(4, 20, (len(regions), 4)), 0
        )
        boxes = np.clip(boxes, 0, 64)
        boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 1)
        column = pa.FixedSizeListArray.from_arrays(pa.array(boxes.ravel(), pa.float32()), 4)
        place, score = regions.column_names.index("box"), regions.column_names.index("score")
        scores = pa.array(rng.random(len(regions)), pa.float32())
        moved = regions.set_column(place, regions.schema.field("box"), column)
        return {**found, "regions": moved.set_column(score, regions.schema.field("score"), scores)}


def write_audits(data: Path, resamples: int = 100) -> None:
    """Audit both sources on every image of the project."""
    chosen = images.choose(data, ["test"], 1000)
    for source in (DatasetAnnotator(DatasetSourceParams(several="all", crowds=True)), Astray()):
        found = audit(source, images.shards(data, chosen, data), resamples, 0)
        write(found, data / "audit" / source.name, Provenance())
