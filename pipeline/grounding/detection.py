"""An open-vocabulary detector as an annotation source: images, batches, thresholds, regions, rejects.

What differs between detectors is in `Detector`: how texts become prompts and what scores its boxes get.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from pipeline.grounding import batches, boxes, candidates, kept, pretrained
from pipeline.grounding.base import ShardInputs
from pipeline.grounding.candidates import Candidates
from pipeline.grounding.prompts import Prompt
from pipeline.params import Section
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
# Settings that what a detector says does not depend on.
_AFTERWARDS = ("box_threshold", "text_threshold", "threshold", "nms_iou", "batch_size")
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
    is padded and a batch gives what single images give, to rounding. What the detector says of an image and
    its texts is kept below ``kept_root``, before thresholds (see `pipeline.grounding.kept`).
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
    kept_root: Path | None = None

    def digest(self) -> str:
        """Digest of the settings and of the model's files; ``batch_size`` changes no region."""
        settings = self.params.model_dump(mode="json", exclude={"batch_size"})
        return digests.of_value([self.name, settings, self._weights])

    def ground(self, shard: ShardInputs) -> Tables:
        """``regions`` and ``rejects``, in the order of the phrases.

        Raises:
            UserError: the model cannot be loaded, or what it said cannot be kept.
        """
        phrase_ids = shard.phrases.column("phrase_id").to_pylist()
        image_ids = shard.phrases.column("image_id").to_pylist()
        texts = shard.phrases.column("text").to_pylist()
        wanted: dict[str, dict[str, None]] = {}
        for image_id, text in zip(image_ids, texts, strict=True):
            wanted.setdefault(image_id, {})[text] = None

        unreadable: dict[str, str] = {}
        found: dict[tuple[str, str], list[tuple[list[float], float]] | str] = {}
        for image_id, data in self._recall(shard, wanted, unreadable).items():
            size, said = candidates.unpack(data, len(wanted[image_id]))
            for text, one in zip(wanted[image_id], said, strict=True):
                if one is not None:
                    found[image_id, text] = self._regions(one) or _why_none(one, size)

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

    @cached_property
    def _weights(self) -> list[str]:
        return [pretrained.digest_of(place) for place in self.files]

    @cached_property
    def _floor(self) -> float:
        return candidates.floor_of(self.box_threshold)

    def _recall(
        self, shard: ShardInputs, wanted: Mapping[str, Mapping[str, None]], unreadable: dict[str, str]
    ) -> dict[str, bytes]:
        """What the detector says of each image that can be read, packed; why others cannot, to the dict."""
        contents = batches.contents(shard.images)
        unreadable.update((image_id, batches.ELSEWHERE) for image_id in wanted if image_id not in contents)
        about = {
            "source": self.name,
            "settings": self.params.model_dump(mode="json", exclude=set(_AFTERWARDS)),
            "weights": self._weights,
            "floor": self._floor,
        }
        return kept.recall(
            kept.open_kept(self.kept_root, about),
            [image_id for image_id in wanted if image_id in contents],
            # A detector may let the texts of an image look at each other: they are one question.
            lambda image_id: kept.key(contents[image_id], *wanted[image_id]),
            lambda lacking: (
                self._detect(batch, wanted)
                for batch in batches.batches(
                    shard.images, shard.root, lacking, self.batch_size, unreadable, of_one_size=True
                )
            ),
        )

    def _regions(self, found: Candidates) -> list[tuple[list[float], float]]:
        """Boxes and scores of a text, best first."""
        pixels, best, mean = np.split(found.rows, [4, 5], axis=1)
        best = best[:, 0]
        chosen = boxes.choose(pixels, best, mean[:, 0], self.box_threshold, self.text_threshold, self.nms_iou)
        return [(pixels[row].tolist(), float(best[row])) for row in chosen]

    def _detect(
        self, batch: list[tuple[str, Image]], wanted: Mapping[str, Mapping[str, None]]
    ) -> dict[str, bytes]:
        """What the detector says of each image of a batch, packed."""
        width, height = size = batch[0][1].size
        texts = [list(wanted[image_id]) for image_id, _ in batch]
        with pretrained.LOCK:
            detector = self.load(self.params)
            padded = [_at_least_so_wide(picture) for _, picture in batch]
            images_BCHW = detector.prepare(padded)
            scale = detector.canvas(*padded[0].size)
            units = [(i, prompt) for i in range(len(batch)) for prompt in detector.prompts(texts[i])]
            scored: list[Scores] = []
            for first in range(0, len(units), self.batch_size):
                images, prompts = zip(*units[first : first + self.batch_size], strict=True)
                scored += detector.detect(images_BCHW[list(images)], list(prompts))
        found: list[list[Candidates | None]] = [[None] * len(mine) for mine in texts]
        for (i, prompt), scores in zip(units, scored, strict=True):
            pixels = boxes.to_pixels(scores.boxes, scale, (width, height))
            for k, member in enumerate(prompt.members):
                found[i][member] = candidates.gather(
                    pixels, scores.best[:, k], scores.mean[:, k], self._floor
                )
        return {
            image_id: candidates.pack(size, mine) for (image_id, _), mine in zip(batch, found, strict=True)
        }


def token_scores(
    prompts: Sequence[Prompt], probability_BQL: np.ndarray, boxes_BQ4: np.ndarray
) -> list[Scores]:
    """Scores of each image for its prompt, from the probabilities of the prompt's tokens."""
    return [
        Scores(boxes_Q4, *prompt.scores(probability_QL))
        for prompt, probability_QL, boxes_Q4 in zip(prompts, probability_BQL, boxes_BQ4, strict=True)
    ]


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


def _why_none(found: Candidates, size: tuple[int, int]) -> str:
    return (
        f"the best box of the image ({size[0]} x {size[1]}) has score {found.best:.3f}, mean {found.mean:.3f}"
    )
