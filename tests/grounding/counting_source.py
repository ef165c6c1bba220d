"""A detector without weights that writes down each image that it is given: what goes through the model."""

from __future__ import annotations

import hashlib
import io
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image

from pipeline.grounding.base import ShardInputs
from pipeline.grounding.detection import DetectionAnnotator, Scores
from pipeline.params import GroundingDinoParams
from pipeline.tables import schemas

PHRASES = ["a dog", "two cats"]


class Asked(NamedTuple):
    members: tuple[int, ...]
    texts: tuple[str, ...]


@dataclass(frozen=True)
class CountingDetector:
    """Eight boxes an image, from a random stream that image and texts start: a pure function of both."""

    log: Path
    seconds: float

    def prompts(self, texts):
        return [Asked(tuple(range(len(texts))), tuple(texts))]

    def canvas(self, width, height):
        return width, height

    def prepare(self, pictures):
        # An image's number is in its first pixel, as two digits of base 16.
        return torch.tensor(
            [16 * (p.getpixel((0, 0))[0] // 8) + p.getpixel((0, 0))[1] // 8 for p in pictures]
        )

    def detect(self, images_BCHW, prompts):
        with self.log.open("a") as log:
            log.write("".join(f"{number}\n" for number in images_BCHW.tolist()))
        time.sleep(self.seconds)
        found = []
        for number, prompt in zip(images_BCHW.tolist(), prompts, strict=True):
            seed = hashlib.sha256(f"{number} {prompt.texts}".encode()).digest()
            random = np.random.default_rng(list(seed))
            boxes = random.uniform(0.2, 0.8, (8, 4)).astype(np.float32)
            best, mean = random.random((2, 8, len(prompt.texts))).astype(np.float32)
            found.append(Scores(boxes, best, best * mean))
        return found


@dataclass(frozen=True)
class Loader:
    log: Path
    seconds: float

    def __call__(self, _params):
        self.log.parent.mkdir(parents=True, exist_ok=True)
        return CountingDetector(self.log, self.seconds)


def annotator(folder: Path, keep=True, seconds=0.0, **changes) -> DetectionAnnotator:
    """The source; it logs to ``folder/asked`` and keeps in ``folder/kept``."""
    values = {
        "model": "counting",
        "box_threshold": 0.3,
        "text_threshold": 0.1,
        "nms_iou": 0.4,
        "batch_size": 4,
    }
    params = GroundingDinoParams(**{**values, **changes})
    return DetectionAnnotator(
        name="counting",
        params=params,
        load=Loader(folder / "asked", seconds),
        box_threshold=params.box_threshold,
        text_threshold=params.text_threshold,
        nms_iou=params.nms_iou,
        batch_size=params.batch_size,
        files=(params.model,),
        kept_root=folder / "kept" if keep else None,
    )


def shard(numbers, prefix="", texts=PHRASES, broken=()) -> ShardInputs:
    """Images that are their number, all with the same phrases."""
    images, phrases = [], []
    for number in numbers:
        name = f"{prefix}{number}"
        file = io.BytesIO()
        Image.new("RGB", (40 + number % 2, 30), (8 * (number // 16), 8 * (number % 16), 0)).save(file, "png")
        data = b"no picture" if number in broken else file.getvalue()
        images.append(
            {
                "image_id": name,
                "image": {"bytes": data, "path": None},
                "sha256": hashlib.sha256(data).hexdigest(),
                "width": 40 + number % 2,
                "height": 30,
                "split": "train",
            }
        )
        phrases += [
            {
                "phrase_id": f"{name}/c0/p{i}",
                "caption_id": f"{name}/c0",
                "image_id": name,
                "text": text,
                "start": 0,
                "end": len(text),
                "is_plural": False,
                "words": [],
            }
            for i, text in enumerate(texts)
        ]
    return ShardInputs(
        images=schemas.from_rows("images", images),
        captions=schemas.empty("captions"),
        phrases=schemas.from_rows("phrases", phrases),
        objects=schemas.empty("objects"),
        root=Path(),
    )


def big() -> ShardInputs:
    """Sixty images."""
    return shard(range(60))
