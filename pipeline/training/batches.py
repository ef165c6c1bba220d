"""What a step trains on: decided by the seed and the step's number alone, hence the same for every arm.

Shapes: B images, T turns an image, N vision tokens, W width of the encoder, L tokens of a turn, R regions,
K tokens of a region's words.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.data import Dataset

from pipeline.training.features import Features
from pipeline.training.supervision import PatchSupervision
from pipeline.training.turns import Turns, draw_some, split_by_length


@dataclass(frozen=True)
class Schedule(Dataset):
    """Which image each place of training takes: epochs of all images, each in an order of its own.

    Item k is (image, k). Nothing else is random in the data, so a resumed run sees what it would have seen.
    """

    order: np.ndarray

    @classmethod
    def of(cls, images: int, places: int, seed: int) -> Schedule:
        """A schedule of ``places`` over ``images`` images."""
        return cls(draw_some(images, places, np.random.default_rng([seed, 1])))

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, place: int) -> tuple[int, int]:
        return int(self.order[place]), place


@dataclass(frozen=True)
class Collator:
    """Places of a schedule as tensors.

    Turns are sorted by length within an image and cut into a shorter and a longer group where that saves
    padding; both groups go on from the same reading of the image.
    """

    features: Features
    turns: Turns
    turns_per_image: int
    pad: int
    seed: int
    supervision: PatchSupervision | None = None

    def __call__(self, places: list[tuple[int, int]]) -> dict:
        """A batch: features (B, N, W), groups of ids and labels (B, T, L), and regions' weights and words."""
        images = np.asarray([image for image, _ in places])
        rows = np.stack(
            [
                self.turns.draw(image, self.turns_per_image, np.random.default_rng([self.seed, 2, place]))
                for image, place in places
            ]
        )
        lengths = self.turns.lengths(rows)
        order = np.argsort(lengths, axis=1, kind="stable")
        rows, lengths = np.take_along_axis(rows, order, 1), np.take_along_axis(lengths, order, 1)
        cut = split_by_length(lengths)
        groups = [self.turns.pad(group, self.pad) for group in (rows[:, :cut], rows[:, cut:]) if group.size]
        batch = {
            "features": self.features.take(images),
            "ids": [torch.from_numpy(ids) for ids, _ in groups],
            "labels": [torch.from_numpy(labels) for _, labels in groups],
        }
        if self.supervision is not None:
            weights, words = self.supervision.batch(images)
            batch["region_weights"], batch["region_words"] = (
                torch.from_numpy(weights),
                torch.from_numpy(words),
            )
        return batch
