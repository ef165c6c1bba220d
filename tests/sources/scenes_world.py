"""Small drawn worlds that the tests of scenes share, and what their tables say a scene holds."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pipeline import params as all_params
from pipeline.params import ScenesParams, SourceParams
from pipeline.sources.scenes.source import ScenesSource
from pipeline.tables.shards import Tables

COMMITTED = all_params.load(Path(__file__).parents[2] / "params.yaml").source
PLAIN: dict[str, Any] = {
    "train": 400,
    "validation": 30,
    "test": 20,
    "image_size": 64,
    "nouns": 10,
    "colours": 8,
    "patterns": 1,
    "objects": (2, 5),
    "object_size": (0.25, 0.45),
    "overlap": 0.1,
    "captions": 2,
}
RICH = PLAIN | {"nouns": 20, "colours": 10, "patterns": 4, "objects": (3, 6), "overlap": 0.3}


def scenes_params(**changes: Any) -> ScenesParams:
    return ScenesParams(**(PLAIN | changes))


def source_params(shard_size: int = 100, **changes: Any) -> SourceParams:
    changed = {"name": "scenes", "shard_size": shard_size, "scenes": scenes_params(**changes)}
    return COMMITTED.model_copy(update=changed)


@cache
def tables(rich: bool = False, train: int = 400) -> Tables:
    """The first shard: the training scenes."""
    world = RICH if rich else PLAIN
    return ScenesSource(source_params(train, **(world | {"train": train})), seed=5).read(0)


@dataclass
class Row:
    """One image with everything that the tables say of it."""

    image: dict[str, Any]
    captions: list[dict[str, Any]]
    objects: list[dict[str, Any]]
    conversations: list[dict[str, Any]]

    def centre(self, index: int, axis: int) -> float:
        """Centre of an object's box, as a share of the image's side."""
        box = self.objects[index]["box"]
        return (box[axis] + box[axis + 2]) / 2 / self.image["width"]


@cache
def rows(rich: bool = False, train: int = 400) -> tuple[Row, ...]:
    made = tables(rich, train)
    by_image: dict[str, dict[str, list]] = {
        name: defaultdict(list) for name in ("captions", "objects", "conversations")
    }
    for name, held in by_image.items():
        for row in made[name].to_pylist():
            held[row["image_id"]].append(row)
    return tuple(
        Row(image, *(by_image[name][image["image_id"]] for name in ("captions", "objects", "conversations")))
        for image in made["images"].to_pylist()
    )


SINGULAR = {"fish": "fish", "leaves": "leaf", "crosses": "cross"}


def singular(noun: str) -> str:
    return SINGULAR.get(noun, noun.removesuffix("s") if noun not in ("cross",) else noun)


def described(row: Row, words: list[str]) -> list[int]:
    """The objects that every word is true of, by the objects table alone."""
    return [
        index
        for index, thing in enumerate(row.objects)
        if all(
            word in ("thing", "things", thing["label"]) or word in thing["attributes"]
            or singular(word) == thing["label"]
            for word in words
        )
    ]  # fmt: skip


# (axis, sign): the sign of (centre - anchor's centre) along the axis when the relation holds.
SIDES = {"left of": (0, -1), "right of": (0, 1), "above": (1, -1), "below": (1, 1), "under": (1, 1)}


def side_of(row: Row, relation: str, index: int, anchor: int) -> float:
    """How far an object lies on the asked side of the anchor; negative on the other side."""
    axis, sign = SIDES[relation]
    return sign * (row.centre(index, axis) - row.centre(anchor, axis))
