"""Alignment of vision tokens with words: cosine, retrieval of the right word, and similarity maps.

Dimension letters: R regions, N vision tokens of an image, D width of the LLM's embeddings, V candidate words,
B images. Vectors are torch tensors on any device and in any floating type; cosines are computed in float32.
What comes back is one value a region, as NumPy float64, for `statistics.estimate`.

A region's *patches* are those that it covers by half or more; a region too small for that has its
best-covered patches instead (`region_patches`).
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

_CELLS = 32_000_000  # float32 cells held at once by chunked products: 128 MB


def region_cosines(regions_RD: Tensor, words_RD: Tensor) -> np.ndarray:
    """cos(v, w) for each region.

    v is the coverage-weighted mean of its projected tokens, w the mean of its words' tokens. A zero vector
    has cosine 0.
    """
    return _numpy((_unit(regions_RD) * _unit(words_RD)).sum(-1))


def word_ranks(regions_RD: Tensor, vocabulary_VD: Tensor, right_R: Tensor) -> np.ndarray:
    """Rank of each region's right word among the vocabulary by cosine, int64 from 1 (nearest) to V.

    ``right_R``: rows of ``vocabulary_VD``, int64. Ties count against the right word (it is ranked last among
    equals), so that embeddings collapsed onto one direction rank nothing first. Candidates must be distinct
    words.
    """
    unit_VD = _unit(vocabulary_VD)
    step = max(1, _CELLS // len(unit_VD))
    ranks = []
    for rows_RD, rows_R in zip(regions_RD.split(step), right_R.split(step), strict=True):
        cosine_RV = _unit(rows_RD) @ unit_VD.T
        right_R1 = cosine_RV.gather(1, rows_R[:, None].to(cosine_RV.device))
        ranks.append((cosine_RV >= right_R1).sum(1))
    return torch.cat(ranks).cpu().numpy() if ranks else np.zeros(0, np.int64)


def retrieval(ranks_R: np.ndarray) -> dict[str, np.ndarray]:
    """``top1``, ``top5`` (0 or 1) and ``mrr`` (reciprocal rank) for each region, from `word_ranks`."""
    return {
        "top1": (ranks_R <= 1).astype(np.float64),
        "top5": (ranks_R <= 5).astype(np.float64),
        "mrr": 1.0 / ranks_R,
    }


def nearest_is_right(regions_RD: Tensor, vocabulary_VD: Tensor, right_RV: Tensor) -> np.ndarray:
    """1.0 where the nearest word by cosine is one of the region's right ones, such as any of its attributes.

    ``right_RV``: bool. A tie between a right and a wrong word counts as wrong.

    Raises:
        ValueError: a region has no right word; leave such regions out.
    """
    if not bool(right_RV.any(1).all()):
        raise ValueError(f"{int((~right_RV.any(1)).sum())} regions have no right word: leave them out")
    unit_VD = _unit(vocabulary_VD)
    step = max(1, _CELLS // len(unit_VD))
    hits = []
    for rows_RD, rows_RV in zip(regions_RD.split(step), right_RV.split(step), strict=True):
        cosine_RV = _unit(rows_RD) @ unit_VD.T
        rows_RV = rows_RV.to(cosine_RV.device)
        best_right_R = cosine_RV.masked_fill(~rows_RV, -torch.inf).amax(1)
        best_wrong_R = cosine_RV.masked_fill(rows_RV, -torch.inf).amax(1)
        hits.append(best_right_R > best_wrong_R)
    return _numpy(torch.cat(hits)) if hits else np.zeros(0)


def similarity_maps(tokens_BND: Tensor, image_R: Tensor, words_RD: Tensor) -> Tensor:
    """Cosine of every token of a region's image with the region's words: float32 R x N.

    ``image_R``: the row of ``tokens_BND`` that each region lies in, int64.
    """
    unit_BND = _unit(tokens_BND)
    step = max(1, _CELLS // (unit_BND.shape[1] * unit_BND.shape[2]))
    maps = [
        torch.einsum("rnd,rd->rn", unit_BND[rows_R.to(unit_BND.device)], _unit(rows_RD))
        for rows_R, rows_RD in zip(image_R.split(step), words_RD.split(step), strict=True)
    ]
    return torch.cat(maps) if maps else unit_BND.new_zeros(0, unit_BND.shape[1])


def region_patches(coverage_RN: np.ndarray) -> np.ndarray:
    """The patches that a region is judged by, bool R x N: coverage >= min(0.5, the region's best coverage).

    ``coverage_RN``: dense, 0 to 1, 0 for patches that the region does not touch.

    Raises:
        ValueError: a region covers no patch at all.
    """
    best_R1 = np.max(coverage_RN, axis=1, keepdims=True, initial=0.0)
    if np.any(best_R1 <= 0):
        raise ValueError(f"{int((best_R1 <= 0).sum())} regions cover no patch: leave them out")
    return coverage_RN >= np.minimum(best_R1, 0.5)


def pointing(similarity_RN: np.ndarray, coverage_RN: np.ndarray) -> np.ndarray:
    """1.0 where the patch most similar to the words is one of the region's patches, else 0.0.

    Where several patches are equally similar it is the share of them on the region: what a random pick among
    them would score on average, so that a constant map scores what chance does.
    """
    patches_RN = region_patches(coverage_RN)
    top_RN = similarity_RN == similarity_RN.max(axis=1, keepdims=True)
    return (top_RN & patches_RN).sum(1) / top_RN.sum(1)


def map_iou(similarity_RN: np.ndarray, coverage_RN: np.ndarray) -> np.ndarray:
    """IoU of the thresholded map with the region's patches, for each region.

    A patch is on when its similarity is at least halfway between the map's lowest and highest. The rule has
    no parameter to tune and is blind to the level and the scale of the cosines, which training moves in every
    arm: it asks only where the map is high. A constant map is on everywhere.
    """
    patches_RN = region_patches(coverage_RN)
    halfway_R1 = (similarity_RN.min(axis=1, keepdims=True) + similarity_RN.max(axis=1, keepdims=True)) / 2
    on_RN = similarity_RN >= halfway_R1
    return (on_RN & patches_RN).sum(1) / (on_RN | patches_RN).sum(1)


def region_share(coverage_RN: np.ndarray) -> np.ndarray:
    """Share of the grid that the region's patches take, for each region.

    The floor of both `pointing` (a patch picked at random) and `map_iou` (a map that is on everywhere).
    """
    return region_patches(coverage_RN).mean(axis=1)


def _unit(x: Tensor) -> Tensor:
    return F.normalize(x.float(), dim=-1)


def _numpy(x: Tensor) -> np.ndarray:
    return x.detach().double().cpu().numpy()
