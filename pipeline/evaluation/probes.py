"""What a linear probe reads from vision tokens: where a token lies, and what a region's tokens show.

A probe is a ridge regression, fitted on images that no projector was trained on and scored on others. What it
can read from the encoder's features is what any projector can pass on; what it can still read after one is
what the projector kept in plain sight.

Shapes: B images, N vision tokens of an image, R regions, S samples, D width of the tokens, T targets.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pipeline.evaluation.referring import iou
from pipeline.evaluation.regions import Measures, Regions, region_vectors

PENALTIES = tuple(10.0**power for power in range(-6, 2))
"""Ridge penalties that are tried, for features of unit variance: scikit-learn's ``alpha`` / samples."""
HELD_OUT = 5  # every fifth sample group chooses the penalty
TOKENS = 32_000  # tokens that a probe of their place is fitted on

Tokens = Callable[[Sequence[int] | np.ndarray], Tensor]
"""Tokens (B, N, D) of images by number: features, or what a projector makes of them."""


@dataclass(frozen=True)
class Probe:
    """A fitted ridge regression: ``(x - mean) / scale @ weights + offset``."""

    mean_D: Tensor
    scale_D: Tensor
    weights_DT: Tensor
    offset_T: Tensor
    penalty: float

    def __call__(self, x_SD: Tensor) -> Tensor:
        """Predictions (S, T), float64."""
        return (x_SD.double() - self.mean_D) / self.scale_D @ self.weights_DT + self.offset_T


def fit(x_SD: Tensor, y_ST: Tensor, groups_S: np.ndarray | None = None) -> Probe:
    """Ridge regression of every target on standardised features, in float64.

    The penalty, one of `PENALTIES`, is the one whose fit on four fifths of the groups is closest to the
    rest (squared error over all targets); it is then fitted on everything. ``groups_S`` are samples'
    images, so that tokens of an image stay on one side; without it every sample is its own.

    Raises:
        ValueError: there are fewer than two groups, so that none can be held out.
    """
    x_SD, y_ST = x_SD.double(), y_ST.double()
    _, number_S = np.unique(np.arange(len(x_SD)) if groups_S is None else groups_S, return_inverse=True)
    if len(number_S) == 0 or number_S.max() < 1:
        raise ValueError("a probe needs samples of at least two images: one part chooses the penalty")
    held_S = torch.from_numpy(number_S % HELD_OUT == HELD_OUT - 1)
    if not bool(held_S.any()):  # fewer groups than five
        held_S = torch.from_numpy(number_S == number_S.max())
    trials = _ridges(x_SD[~held_S], y_ST[~held_S], PENALTIES)
    errors = [float((probe(x_SD[held_S]) - y_ST[held_S]).square().mean()) for probe in trials]
    return _ridges(x_SD, y_ST, [PENALTIES[int(np.argmin(errors))]])[0]


def _ridges(x_SD: Tensor, y_ST: Tensor, penalties: Sequence[float]) -> list[Probe]:
    mean_D, offset_T = x_SD.mean(0), y_ST.mean(0)
    centred_SD = x_SD - mean_D
    scale_D = centred_SD.square().mean(0).sqrt()
    scale_D = torch.where(scale_D > 1e-12, scale_D, 1.0)  # a feature that never changes tells nothing
    unit_SD = centred_SD / scale_D
    gram_DD = unit_SD.T @ unit_SD / len(unit_SD)
    cross_DT = unit_SD.T @ (y_ST - offset_T) / len(unit_SD)
    eye_DD = torch.eye(len(gram_DD), dtype=gram_DD.dtype, device=gram_DD.device)
    return [
        Probe(mean_D, scale_D, torch.linalg.solve(gram_DD + penalty * eye_DD, cross_DT), offset_T, penalty)
        for penalty in penalties
    ]


def places(grid: tuple[int, int]) -> Tensor:
    """Row and column of each patch of a grid, (N, 2)."""
    rows, columns = grid
    number = torch.arange(rows * columns)
    return torch.stack([number // columns, number % columns], dim=1)


def position(
    fit_on: Tokens, fit_images: int, test: Tokens, test_images: int, grid: tuple[int, int]
) -> dict[str, np.ndarray]:
    """How well a token's row and column are read from it, a value for each test image.

    Returns:
        ``r2``: share of the variance of rows and columns that is read (1: all of it; 0: no better than
        naming the middle), whose mean over images is the R² of all their tokens; ``error``: mean distance
        between the place read and the true one, in patches.
    """
    place_N2 = places(grid).double()
    images = np.arange(min(fit_images, max(2, -(-TOKENS // len(place_N2)))))
    fitted_BND = fit_on(images)
    probe = fit(fitted_BND.flatten(0, 1), place_N2.repeat(len(images), 1), np.repeat(images, len(place_N2)))
    spread = float((place_N2 - place_N2.mean(0)).square().sum())
    r2, error = [], []
    for start in range(0, test_images, 100):
        tokens_BND = test(np.arange(start, min(start + 100, test_images)))
        off_BN2 = probe(tokens_BND.flatten(0, 1)).unflatten(0, tokens_BND.shape[:2]) - place_N2
        r2.append(1 - off_BN2.square().sum((1, 2)) / spread)
        error.append(off_BN2.norm(dim=-1).mean(1))
    return {"r2": torch.cat(r2).numpy(), "error": torch.cat(error).numpy()}


def box_overlap(fit_RD: Tensor, fitted: Regions, test_RD: Tensor, regions: Regions) -> np.ndarray:
    """IoU of the box read from each region's pooled tokens with the box around its patches."""
    probe = fit(fit_RD, torch.from_numpy(fitted.boxes()), fitted.image)
    return iou(probe(test_RD).numpy(), regions.boxes())


def word_read(
    fit_RD: Tensor, fitted: Regions, test_RD: Tensor, regions: Regions, role: str
) -> tuple[list[int], np.ndarray]:
    """Whether the word that a probe reads from a region's pooled tokens is one of its words of that role.

    The probe regresses an indicator for each lemma of the role (a linear classifier by least squares); the
    highest is what it reads. Regions without a word of the role are left out; a word that no fitted region
    has cannot be read and counts as wrong.

    Returns:
        Rows of the test regions that have such a word, and 0 or 1 for each; none where there is nothing to
        fit on.
    """
    known, asked = fitted.of_role(role), regions.of_role(role)
    seen = [row for row, lemmas in enumerate(known) if lemmas]
    rows = [row for row, lemmas in enumerate(asked) if lemmas]
    lemmas = sorted({lemma for row in seen for lemma in known[row]})
    if len(lemmas) < 2 or not rows or len(np.unique(fitted.image[seen])) < 2:
        return [], np.zeros(0)
    column = {lemma: place for place, lemma in enumerate(lemmas)}
    indicators_RT = torch.zeros(len(seen), len(lemmas), dtype=torch.float64)
    for place, row in enumerate(seen):
        indicators_RT[place, [column[lemma] for lemma in known[row]]] = 1.0
    probe = fit(fit_RD[seen], indicators_RT, fitted.image[seen])
    read = probe(test_RD[rows]).argmax(1).tolist()
    right = [lemmas[best] in asked[row] for best, row in zip(read, rows, strict=True)]
    return rows, np.asarray(right, np.float64)


def measures(
    fit_on: Tokens, fitted: Regions, fit_images: int, test: Tokens, regions: Regions, image_ids: list[str]
) -> Measures:
    """All probes of tokens: metric key -> examples and a value for each.

    Args:
        fit_on: tokens of the images that the probes are fitted on; ``fitted`` are their regions.
        fit_images: how many images those are.
        test: tokens of the images that they are scored on; ``regions`` are their regions.
        image_ids: names of the test images.
    """
    if not len(regions) or not len(fitted) or fit_images < 2:
        return {}
    place = position(fit_on, fit_images, test, len(image_ids), regions.grid)
    fit_RD = _pooled(fit_on, fitted)
    test_RD = _pooled(test, regions)
    ids = regions.phrase_ids
    values = {
        "position.r2": (image_ids, place["r2"]),
        "position.error": (image_ids, place["error"]),
        "position.box": (ids, box_overlap(fit_RD, fitted, test_RD, regions)),
    }
    for key, role in (("probe.noun", "head"), ("probe.attribute", "attribute")):
        rows, right = word_read(fit_RD, fitted, test_RD, regions, role)
        if rows:
            values[key] = [ids[row] for row in rows], right
    return values


def _pooled(tokens: Tokens, regions: Regions) -> Tensor:
    """Pooled tokens (R, D) of regions, without the tokens of images that have none."""
    images, number = np.unique(regions.image, return_inverse=True)
    return region_vectors(tokens(images), Regions(regions.table, number, regions.coverage, regions.words))
