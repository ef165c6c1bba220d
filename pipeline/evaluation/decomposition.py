"""Decomposition of vision tokens into words of the LLM by matching pursuit, and how many true words it finds.

Dimension letters: T tokens, D width, V words, K words picked, M most true words of a token.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

_CELLS = 64_000_000  # float32 cells held at once: 256 MB


class Decomposition(NamedTuple):
    """What `matching_pursuit` picked."""

    words_TK: np.ndarray
    """int64: rows of the vocabulary in the order picked, distinct within a token."""
    residual_TK: np.ndarray
    """float32: what is left of the token after each pick, as a share of its length."""


@torch.no_grad()
def matching_pursuit(
    tokens_TD: Tensor, words_VD: Tensor, k: int, orthogonal: bool = True, positive: bool = False
) -> Decomposition:
    """Decompose each token into ``k`` words: the word most like the residual, taken out of it, k times.

    Args:
        tokens_TD: vision tokens after the projector; scale does not matter.
        words_VD: word embeddings; scaled to unit length here.
        k: words to pick, at most V.
        orthogonal: take out the span of all the words picked so far (orthogonal matching pursuit; Pati et al.
            1993) rather than the last word alone (Mallat and Zhang 1993).
        positive: pick the word with the highest inner product rather than the highest magnitude, so that a
        word
            is never picked for being the token's opposite.

    Orthogonal and not positive, it picks what scikit-learn's ``orthogonal_mp`` picks (a test holds the two
    together). Plain pursuit, which scikit-learn does not have, picks the same first two words and may part
    from it at the third, since its residual still leans on the words before.

    A word is picked once at most. Where the residual is already zero, the remaining picks are arbitrary (but
    the same in every run). Ties go to the word that comes first.

    All tokens advance together, in chunks that bound memory to a few hundred MB beside the inputs: the loop
    is over k and chunks only.

    Raises:
        ValueError: ``k`` is not within 1 to V, the widths differ, or a token or word is zero or not finite.
    """
    vocabulary, width = words_VD.shape
    if not 1 <= k <= vocabulary:
        raise ValueError(f"k = {k} words cannot be picked from {vocabulary}")
    if tokens_TD.shape[1] != width:
        raise ValueError(f"tokens of width {tokens_TD.shape[1]} cannot be made of words of width {width}")
    unit_VD = _unit(words_VD, "word")
    picks, lengths = [], []
    # A chunk holds its similarities to all words and, if orthogonal, the k directions taken out so far.
    for chunk_TD in tokens_TD.split(max(1, _CELLS // (vocabulary + width * (k + 2)))):
        words_TK, length_TK = _pursue(_unit(chunk_TD, "token"), unit_VD, k, orthogonal, positive)
        picks.append(words_TK.cpu())
        lengths.append(length_TK.cpu())
    if not picks:
        return Decomposition(np.zeros((0, k), np.int64), np.zeros((0, k), np.float32))
    return Decomposition(torch.cat(picks).numpy(), torch.cat(lengths).numpy())


def _pursue(
    residual_TD: Tensor, unit_VD: Tensor, k: int, orthogonal: bool, positive: bool
) -> tuple[Tensor, Tensor]:
    words_TK = torch.zeros(len(residual_TD), k, dtype=torch.int64, device=residual_TD.device)
    length_TK = residual_TD.new_zeros(len(residual_TD), k)
    basis_TKD = residual_TD.new_zeros(len(residual_TD), k if orthogonal else 0, residual_TD.shape[1])
    for step in range(k):
        similarity_TV = residual_TD @ unit_VD.T
        if not positive:
            similarity_TV.abs_()
        similarity_TV.scatter_(1, words_TK[:, :step], -torch.inf)
        word_T = similarity_TV.argmax(1)
        direction_TD = unit_VD[word_T]
        if orthogonal:  # Gram-Schmidt, twice: once loses digits when words are nearly parallel
            taken_TKD = basis_TKD[:, :step]
            for _ in range(2):
                inside_TK = torch.einsum("tkd,td->tk", taken_TKD, direction_TD)
                direction_TD = direction_TD - torch.einsum("tkd,tk->td", taken_TKD, inside_TK)
            norm_T1 = direction_TD.norm(dim=1, keepdim=True)
            # A word within the span of those before it adds no direction.
            direction_TD = torch.where(norm_T1 > 1e-5, direction_TD / norm_T1.clamp(min=1e-5), 0.0)
            basis_TKD[:, step] = direction_TD
        inside_T1 = (residual_TD * direction_TD).sum(1, keepdim=True)
        residual_TD = residual_TD - inside_T1 * direction_TD
        words_TK[:, step] = word_T
        length_TK[:, step] = residual_TD.norm(dim=1)
    return words_TK, length_TK


@torch.no_grad()
def nearest_with_cosine(tokens_TD: Tensor, words_VD: Tensor, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The ``k`` words of highest cosine with each token, nearest first: rows (T, K) int64, and cosines."""
    unit_VD = _unit(words_VD, "word")
    best = []
    for chunk_TD in tokens_TD.split(max(1, _CELLS // len(words_VD))):
        cosine, nearest = (_unit(chunk_TD, "token") @ unit_VD.T).topk(k, dim=1)
        best.append((nearest, cosine))
    if not best:
        return np.zeros((0, k), np.int64), np.zeros((0, k), np.float32)
    nearest_TK, cosine_TK = (torch.cat(part).cpu().numpy() for part in zip(*best, strict=True))
    return nearest_TK, cosine_TK


def nearest_words(tokens_TD: Tensor, words_VD: Tensor, k: int) -> np.ndarray:
    """The ``k`` words of highest cosine with each token, nearest first, int64 T x K: the simpler baseline."""
    return nearest_with_cosine(tokens_TD, words_VD, k)[0]


def recall_by_k(words_TK: np.ndarray, true_TM: np.ndarray) -> np.ndarray:
    """Share of each token's true words among its first 1, 2, ..., K picks: float64 T x K, rising along a row.

    ``true_TM``: the words that the token's patch carries, rows of the vocabulary, distinct, padded with -1.

    Raises:
        ValueError: a token has no true word; leave such tokens out.
    """
    real_TM = true_TM >= 0
    count_T = real_TM.sum(1)
    if np.any(count_T == 0):
        raise ValueError(f"{int((count_T == 0).sum())} tokens have no true word: leave them out")
    found_TKM = (words_TK[:, :, None] == true_TM[:, None, :]) & real_TM[:, None, :]
    return np.cumsum(found_TKM.sum(2), axis=1) / count_T[:, None]


def chance_recall(k: int, vocabulary: int) -> float:
    """Expected recall of ``k`` distinct words drawn at random: exactly k / V, whatever the true words."""
    return k / vocabulary


def _unit(x: Tensor, what: str) -> Tensor:
    x = x.detach().float()
    norm = x.norm(dim=-1)
    if not bool(((norm > 0) & norm.isfinite()).all()):
        raise ValueError(f"a {what} is zero or not finite: it has no direction")
    return F.normalize(x, dim=-1)
