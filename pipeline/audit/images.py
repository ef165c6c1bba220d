"""The images that an audit looks at, and the shards that hold them."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Collection, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.grounding.base import ShardInputs
from pipeline.tables import dataset

TABLES = ("images", "captions", "phrases", "objects")


def choose(data: Path, splits: Collection[str], count: int) -> list[str]:
    """Ids of at most ``count`` images of some splits: those whose ids have the lowest SHA-256.

    Which ones they are depends on the ids alone, so an image stays chosen, or gives way, when others come.
    """
    wanted = pa.array(sorted(splits))
    return [image_id for _, image_id in heapq.nsmallest(count, _lots(data, wanted))]


def _lots(data: Path, splits: pa.Array) -> Iterator[tuple[str, str]]:
    for table in dataset.iter_parts(data / "images", ["image_id", "split"]):
        rows = table.filter(pc.is_in(table["split"], value_set=splits))
        for image_id in rows["image_id"].to_pylist():
            yield hashlib.sha256(image_id.encode()).hexdigest(), image_id


def shards(data: Path, image_ids: Collection[str], root: Path) -> Iterator[ShardInputs]:
    """The rows about some images, a shard at a time; shards without any of them are passed over.

    ``root`` is the source's folder, which paths in ``images`` are below.
    """
    wanted = pa.array(sorted(image_ids), pa.string())
    paths = [dataset.parts(data / name) for name in TABLES]
    for of_shard in zip(*paths, strict=True):
        tables = {
            name: (table := dataset.read_part(path)).filter(pc.is_in(table["image_id"], value_set=wanted))
            for name, path in zip(TABLES, of_shard, strict=True)
        }
        if tables["images"].num_rows:
            yield ShardInputs(**tables, root=root)
