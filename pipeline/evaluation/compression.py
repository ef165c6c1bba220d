"""Compression: how few directions an image's vision tokens spread over.

Dimension letters: B images, N vision tokens, D width, M = min(N, D) eigenvalues.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

_CELLS = 16_000_000  # float64 cells held at once: 128 MB


def eigenvalues(tokens_BND: Tensor) -> np.ndarray:
    """Eigenvalues of each image's density matrix, float64 B x M, largest first; each row sums to one.

    With the image's tokens scaled to unit length as the rows of V, rho = V^T V / N. Its non-zero eigenvalues
    are those of V V^T / N, so the smaller of the two matrices is taken.

    Raises:
        ValueError: a token is zero or not finite, which has no direction.
    """
    _, n, d = tokens_BND.shape
    chunks = []
    for tokens_bND in tokens_BND.split(max(1, _CELLS // (n * d))):
        x_bND = tokens_bND.detach().double()
        norm_bN1 = x_bND.norm(dim=-1, keepdim=True)
        if not bool(((norm_bN1 > 0) & norm_bN1.isfinite()).all()):
            raise ValueError("a vision token is zero or not finite: it has no direction")
        v_bND = x_bND / norm_bN1
        gram_bMM = (v_bND @ v_bND.mT if n <= d else v_bND.mT @ v_bND) / n
        chunks.append(torch.linalg.eigvalsh(gram_bMM).flip(-1).clamp(min=0).cpu())
    return torch.cat(chunks).numpy() if chunks else np.zeros((0, min(n, d)))


def entropy(eigenvalues_BM: np.ndarray) -> np.ndarray:
    """Von Neumann entropy of each image, -sum(lambda log lambda) / log M, from 0 to 1.

    0: all tokens point one way; 1: they spread evenly over as many directions as there can be. The measure is
    that of Jiang et al. (arXiv 2505.17316), scaled by log M so that grids and widths can be compared.

    Raises:
        ValueError: M is 1, where the entropy is 0 / 0.
    """
    m = eigenvalues_BM.shape[-1]
    if m < 2:
        raise ValueError("entropy needs at least two vision tokens of width two or more")
    safe_BM = np.where(eigenvalues_BM > 0, eigenvalues_BM, 1.0)  # 0 log 0 = 0
    return np.clip(-(safe_BM * np.log(safe_BM)).sum(-1) / math.log(m), 0.0, 1.0)


def token_entropy(tokens_BND: Tensor) -> np.ndarray:
    """`entropy` of each image's tokens."""
    return entropy(eigenvalues(tokens_BND))


def spectrum(eigenvalues_BM: np.ndarray) -> np.ndarray:
    """The images' mean eigenvalue at each rank, largest first, M values that sum to one."""
    return eigenvalues_BM.mean(axis=0)
