"""The drawn world as a source: scenes to the tables of ingest."""

from __future__ import annotations

import hashlib
from random import Random
from typing import Any

from pipeline.params import ScenesParams, SourceParams
from pipeline.sources.base import OUTPUTS
from pipeline.sources.scenes.captions import caption
from pipeline.sources.scenes.draw import draw
from pipeline.sources.scenes.examples import Example, regions
from pipeline.sources.scenes.instructions import instructions
from pipeline.sources.scenes.language import Span
from pipeline.sources.scenes.questions import questions
from pipeline.sources.scenes.referring import referring
from pipeline.sources.scenes.relations import Places
from pipeline.sources.scenes.world import Scene
from pipeline.tables import digests, schemas
from pipeline.tables.schemas import SPLITS
from pipeline.tables.shards import Tables

WORLD_VERSION = 1  # raise it whenever the same settings and seed begin to give other scenes or words
_DESCRIBE = ("Describe the image.", "What is in the image?", "Write a caption.", "Tell what you see.")
_CAPTION_TRIES = 8

Rows = dict[str, list[dict[str, Any]]]


class ScenesSource:
    """Drawn scenes with exact ground truth; see `pipeline.sources.base.Source`.

    Scene i of a split depends on the seed, the split and i alone: asking for more scenes, or for other
    shards, changes none that were there. Shards hold train, then validation, then test, never two splits.
    """

    def __init__(self, params: SourceParams, seed: int) -> None:
        self._params = params.scenes
        self._seed = seed
        self._shard_size = params.shard_size
        counts = {split: getattr(params.scenes, split) for split in SPLITS}
        self._shards = [
            (split, range(start, min(start + params.shard_size, count)))
            for split, count in counts.items()
            for start in range(0, count, params.shard_size)
        ]
        self._rows: dict[int, int] = {}

    def shard_count(self) -> int:
        """How many shards there are."""
        return len(self._shards)

    def digest(self) -> str:
        """Digest of the settings, the seed and the version of the drawn world."""
        settings = self._params.model_dump(mode="json")
        return digests.of_value([WORLD_VERSION, self._seed, self._shard_size, settings])

    def rows_in(self, shard: int) -> int:
        """Images, captions, objects and conversations of the shard; made scenes are never rejected.

        Remembered once the shard was read; before that, the shard is made to be counted.
        """
        if shard not in self._rows:
            self.read(shard)
        return self._rows[shard]

    def read(self, shard: int) -> Tables:
        """The tables of one shard, in the order of the scenes' numbers."""
        split, indices = self._shards[shard]
        rows: Rows = {name: [] for name in OUTPUTS}
        for index in indices:
            _add(rows, self._params, self._seed, split, index)
        self._rows[shard] = sum(len(some) for some in rows.values())
        tables = {name: schemas.from_rows(name, some) for name, some in rows.items()}
        return {**tables, "rejects": schemas.empty("rejects")}


def make_scene(params: ScenesParams, seed: int, split: str, index: int) -> Scene:
    """Scene ``index`` of a split."""
    # Seeding by text goes through SHA-512, so neighbouring scenes and splits have unrelated streams.
    return draw(params, Random(f"{seed}/{split}/{index}/picture"))


def _add(rows: Rows, params: ScenesParams, seed: int, split: str, index: int) -> None:
    """Add one scene's rows to those of every table."""
    image_id = f"{split}-{index:06d}"
    scene = make_scene(params, seed, split, index)
    places = Places(scene)
    # Words have a stream of their own: a new wording leaves the pictures as they are.
    rng = Random(f"{seed}/{split}/{index}/words")
    captions = _captions(scene, places, params.captions, rng)
    rows["images"].append(
        {
            "image_id": image_id,
            "image": {"bytes": scene.png, "path": None},
            "sha256": hashlib.sha256(scene.png).hexdigest(),
            "width": scene.side,
            "height": scene.side,
            "split": split,
        }
    )
    for number, (text, _) in enumerate(captions):
        rows["captions"].append({"caption_id": f"{image_id}/c{number}", "image_id": image_id, "text": text})
    links = _links(image_id, len(scene.things), captions)
    for number, thing in enumerate(scene.things):
        rows["objects"].append(
            {
                "object_id": f"{image_id}/o{number}",
                "image_id": image_id,
                "label": thing.noun,
                "attributes": thing.attributes,
                "box": scene.boxes[number],
                "mask": scene.masks[number],
                "is_crowd": False,
                "phrase": links[number],
            }
        )
    examples = [
        *referring(scene.things, places, rng),
        *regions(scene.things, rng),
        *questions(scene.things, places, params, rng),
        *instructions(scene.things, places, params, rng),
        Example("caption", None, rng.choice(_DESCRIBE), rng.choice(captions)[0]),
    ]
    for number, example in enumerate(examples):
        rows["conversations"].append(
            {
                "conversation_id": f"{image_id}/q{number}",
                "image_id": image_id,
                "task": example.task,
                "kind": example.kind,
                "turns": [
                    {"role": "user", "text": example.prompt},
                    {"role": "assistant", "text": example.answer},
                ],
                "answer": example.answer,
                "box": None if example.target is None else scene.boxes[example.target],
                "split": split,
            }
        )


def _captions(scene: Scene, places: Places, count: int, rng: Random) -> list[tuple[str, list[Span]]]:
    """Different captions of a scene; the same again only where a few tries bring no new one."""
    captions: list[tuple[str, list[Span]]] = []
    for _ in range(count):
        for _ in range(_CAPTION_TRIES):
            made = caption(scene, places, rng)
            if all(made[0] != text for text, _ in captions):
                break
        captions.append(made)
    return captions


def _links(image_id: str, things: int, captions: list[tuple[str, list[Span]]]) -> list[list[dict[str, Any]]]:
    """For each object, the spans of the captions' noun phrases that name it."""
    links: list[list[dict[str, Any]]] = [[] for _ in range(things)]
    for number, (_, spans) in enumerate(captions):
        for start, end, members in spans:
            for member in members:
                links[member].append({"caption_id": f"{image_id}/c{number}", "start": start, "end": end})
    return links
