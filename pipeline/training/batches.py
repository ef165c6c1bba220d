"""What a step trains on: decided by the seed and the step's number alone, hence the same for every arm.

Shapes: B images, T turns an image, N vision tokens, W width of the encoder, L tokens of a turn, R regions,
K tokens of a region's words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.data import Dataset, get_worker_info

from pipeline.errors import UserError
from pipeline.training.features import ImageFeatures
from pipeline.training.supervision import PatchSupervision
from pipeline.training.turns import Turns, draw_some, split_by_length

FAILED = "failed"
"""What a batch holds alone that a loader's worker could not make: the user's error, to be raised by whoever
takes it. One that is raised in a worker arrives inside the text of torch's traceback."""


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

    features: ImageFeatures
    turns: Turns
    turns_per_image: int
    pad: int
    seed: int
    supervision: PatchSupervision | None = None
    cut: bool = True
    """Whether turns are cut into groups where that saves padding."""

    def rows(self, places: Sequence[tuple[int, int]]) -> np.ndarray:
        """The turns (B, T) that are drawn for places."""
        return np.stack(
            [
                self.turns.draw(image, self.turns_per_image, np.random.default_rng([self.seed, 2, place]))
                for image, place in places
            ]
        )

    def __call__(self, places: Sequence[tuple[int, int]]) -> dict:
        """A batch: features (B, N, W) or pixels, ids and labels (B, T, L), regions' weights and words."""
        images = np.asarray([image for image, _ in places])
        rows = self.rows(places)
        lengths = self.turns.lengths(rows)
        order = np.argsort(lengths, axis=1, kind="stable")
        rows, lengths = np.take_along_axis(rows, order, 1), np.take_along_axis(lengths, order, 1)
        cut = split_by_length(lengths) if self.cut else lengths.shape[1]
        groups = [self.turns.pad(group, self.pad) for group in (rows[:, :cut], rows[:, cut:]) if group.size]
        batch = {
            "images": torch.from_numpy(images),
            **self.features.entries(images),
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


@dataclass(frozen=True)
class Shares(Dataset):
    """The batches of training, each a share of a step's images: what one process takes at a time.

    Item k is share ``k % shares`` of step ``k // shares``, whole as a batch; processes take turns. With
    several, a step's images are sorted by the length of their turns, so that a share has little padding and
    shares that are computed side by side take about as long.
    """

    collator: Collator
    schedule: Schedule
    step_images: int
    shares: int
    mean_over: str

    def __len__(self) -> int:
        return len(self.schedule) // self.step_images * self.shares

    def __getitem__(self, item: int) -> dict:
        try:
            return self._batch(item)
        except UserError as error:
            if get_worker_info() is None:
                raise
            return {FAILED: error}

    def _batch(self, item: int) -> dict:
        step, share = divmod(item, self.shares)
        first = step * self.step_images
        places = [self.schedule[place] for place in range(first, first + self.step_images)]
        if self.shares == 1:
            return self.collator(places)
        turns = self.collator.turns
        rows = self.collator.rows(places)
        order = np.argsort(turns.lengths(rows).sum(1), kind="stable")
        size = self.step_images // self.shares
        here = order[share * size : (share + 1) * size]
        batch = self.collator([places[place] for place in here])
        # What the step's means are over, of which this batch has a share.
        learned = turns.answered(rows)
        batch["answers"] = torch.tensor(
            int((learned > 0).sum() if self.mean_over == "turns" else learned.sum())
        )
        if self.collator.supervision is not None:
            images = np.asarray([image for image, _ in places])
            regions = self.collator.supervision.regions(images)
            batch["step_words"] = torch.from_numpy(self.collator.supervision.words(images))
            batch["region_share"] = torch.tensor(
                regions[here].sum() / max(regions.sum(), 1), dtype=torch.float32
            )
        return batch


def shares_of(step_images: int, most: int, processes: int) -> int:
    """How many shares a step's images are cut into: as few as ``processes`` and ``most`` allow.

    Args:
        step_images: images of an optimiser step.
        most: images that a process takes at a time; 0: as many as come to it.
        processes: which take the shares in turn.

    Raises:
        UserError: the processes cannot share the images evenly.
    """
    each, left = divmod(step_images, processes)
    if left or not each:
        raise UserError(
            f"a step of {step_images} images cannot be shared evenly by {processes} processes: choose a"
            " batch_images that compute.processes divides, or other processes"
        )
    largest = next(size for size in range(min(most or each, each), 0, -1) if each % size == 0)
    return step_images // largest
