"""An open-vocabulary detector as an annotation source: images, batches, thresholds, regions, rejects.

What differs between detectors is in `Detector`: how texts become prompts and what scores its boxes get.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from pipeline.errors import UserError
from pipeline.grounding import boxes, pretrained
from pipeline.grounding.base import ShardInputs
from pipeline.params import Section
from pipeline.sources.pictures import load_picture
from pipeline.tables import digests, schemas
from pipeline.tables.rejects import Rejects
from pipeline.tables.shards import Tables

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

REASONS = {
    "below_threshold": "no box of the image is above the source's thresholds for the phrase",
    "no_words": "nothing of the phrase is left in the model's vocabulary",
    "image_unreadable": "the image could not be read",
}
# Detectors cut an image into a fixed number of candidates at least; a strip has too few tokens for them.
_SLIMMEST = 8


class Scores(NamedTuple):
    """What a detector says about one image and one prompt."""

    boxes: np.ndarray
    """Centre x, centre y, width, height as shares of the canvas, float32 (queries, 4)."""
    best: np.ndarray
    """Probability of each member's best token, or of the member, (queries, members)."""
    mean: np.ndarray
    """Mean probability of each member's tokens, the same shape."""


class Detector(Protocol):
    """A loaded model."""

    def prompts(self, texts: Sequence[str]) -> list[Any]:
        """An image's texts as prompts that the model takes, in order, but for those without a token.

        A prompt's ``members`` are the numbers of the texts in it.
        """

    def canvas(self, width: int, height: int) -> tuple[int, int]:
        """Width and height, in the image's pixels, of what the model sees: the image and its padding."""

    def prepare(self, pictures: list[Image]) -> torch.Tensor:
        """Pictures of one size as the model's input, (batch, 3, height, width)."""

    def detect(self, images_BCHW: torch.Tensor, prompts: list[Any]) -> list[Scores]:
        """Scores of each image for the prompt in its place."""


@dataclass(frozen=True)
class DetectionAnnotator:
    """Grounds phrases with a detector; implements `pipeline.grounding.base.Annotator`.

    A phrase's regions are the boxes that `boxes.choose` gives it, best first; their score is ``best``. Texts
    that several phrases of an image share are looked for once. Images of one size make a batch, so that none
    is padded and a batch gives what single images give.
    """

    name: str
    params: Section
    load: Callable[[Any], Detector]
    """From ``params`` to the model, which it keeps for the next call; a function of a module."""
    box_threshold: float
    text_threshold: float
    nms_iou: float
    batch_size: int
    files: tuple[str | None, ...]
    """Files, folders or hub names that the model is made of."""

    def digest(self) -> str:
        """Digest of the settings and of the model's files; ``batch_size`` changes no region."""
        settings = self.params.model_dump(mode="json", exclude={"batch_size"})
        return digests.of_value([self.name, settings, [pretrained.digest_of(place) for place in self.files]])

    def ground(self, shard: ShardInputs) -> Tables:
        """``regions`` and ``rejects``, in the order of the phrases.

        Raises:
            UserError: the model cannot be loaded.
        """
        phrase_ids = shard.phrases.column("phrase_id").to_pylist()
        image_ids = shard.phrases.column("image_id").to_pylist()
        texts = shard.phrases.column("text").to_pylist()
        wanted: dict[str, dict[str, None]] = {}
        for image_id, text in zip(image_ids, texts, strict=True):
            wanted.setdefault(image_id, {})[text] = None

        unreadable: dict[str, str] = {}
        found: dict[tuple[str, str], list[tuple[list[float], float]] | str] = {}
        for batch in self._batches(shard, wanted, unreadable):
            found.update(self._detect(batch, wanted))

        rows, rejects = [], Rejects("ground", REASONS)
        for phrase_id, image_id, text in zip(phrase_ids, image_ids, texts, strict=True):
            key = f"phrase:{phrase_id}"
            regions = found.get((image_id, text))
            if image_id in unreadable:
                rejects.add(key, "image_unreadable", unreadable[image_id])
            elif regions is None:
                rejects.add(key, "no_words", f"the phrase {text[:80]!r} has no token")
            elif isinstance(regions, str):
                rejects.add(key, "below_threshold", regions)
            else:
                rows += [
                    {
                        "region_id": f"{phrase_id}/r{number}",
                        "phrase_id": phrase_id,
                        "image_id": image_id,
                        "box": box,
                        "mask": None,
                        "score": score,
                        "annotator": self.name,
                    }
                    for number, (box, score) in enumerate(regions)
                ]
        return {"regions": schemas.from_rows("regions", rows), "rejects": rejects.table()}

    def _detect(
        self, batch: list[tuple[str, Image]], wanted: Mapping[str, Mapping[str, None]]
    ) -> Iterator[tuple[tuple[str, str], list[tuple[list[float], float]] | str]]:
        """(image, text) and its boxes with scores, or why it has none; nothing for a text without a token."""
        width, height = size = batch[0][1].size
        with pretrained.LOCK:
            detector = self.load(self.params)
            padded = [_at_least_so_wide(picture) for _, picture in batch]
            images_BCHW = detector.prepare(padded)
            scale = detector.canvas(*padded[0].size)
            texts = [list(wanted[image_id]) for image_id, _ in batch]
            units = [(i, prompt) for i in range(len(batch)) for prompt in detector.prompts(texts[i])]
            scored: list[Scores] = []
            for first in range(0, len(units), self.batch_size):
                images, prompts = zip(*units[first : first + self.batch_size], strict=True)
                scored += detector.detect(images_BCHW[list(images)], list(prompts))
        for (i, prompt), scores in zip(units, scored, strict=True):
            pixels = boxes.to_pixels(scores.boxes, scale, (width, height))
            chosen = boxes.choose(
                pixels, scores.best, scores.mean, self.box_threshold, self.text_threshold, self.nms_iou
            )
            for k, (member, rows) in enumerate(zip(prompt.members, chosen, strict=True)):
                regions = [(pixels[row].tolist(), float(scores.best[row, k])) for row in rows]
                yield (batch[i][0], texts[i][member]), regions or _why_none(scores, k, size)

    def _batches(
        self, shard: ShardInputs, wanted: Mapping[str, Any], unreadable: dict[str, str]
    ) -> Iterator[list[tuple[str, Image]]]:
        """The readable images that have phrases, some of one size at a time; why others are not, to the dict.

        The table's sizes only set the order in which images are decoded: few pictures are held at a time.
        """
        unreadable.update(dict.fromkeys(wanted, "the image is not in the same part of the table `images`"))
        images = shard.images
        sizes = zip(images.column("width").to_pylist(), images.column("height").to_pylist(), strict=True)
        order = [row for row, _ in sorted(enumerate(sizes), key=lambda entry: (entry[1], entry[0]))]
        ids = images.column("image_id").to_pylist()
        batch: list[tuple[str, Image]] = []
        for row in order:
            image_id = ids[row]
            if image_id not in wanted:
                continue
            try:
                picture = load_picture(images.column("image")[row].as_py(), shard.root, image_id)
            except UserError as error:
                unreadable[image_id] = str(error)
                continue
            del unreadable[image_id]
            if batch and (len(batch) == self.batch_size or picture.size != batch[0][1].size):
                yield batch
                batch = []
            batch.append((image_id, picture))
        if batch:
            yield batch


def _at_least_so_wide(picture: Image) -> Image:
    """The picture, or a strip of a picture with black on the right or below to 1 : `_SLIMMEST`."""
    from PIL import Image

    width, height = picture.size
    wanted = max(width, -(-height // _SLIMMEST)), max(height, -(-width // _SLIMMEST))
    if wanted == (width, height):
        return picture
    canvas = Image.new(picture.mode, wanted)
    canvas.paste(picture, (0, 0))
    return canvas


def _why_none(scores: Scores, k: int, size: tuple[int, int]) -> str:
    best, mean = scores.best[:, k].max(initial=0), scores.mean[:, k].max(initial=0)
    return f"the best box of the image ({size[0]} x {size[1]}) has score {best:.3f}, mean {mean:.3f}"
