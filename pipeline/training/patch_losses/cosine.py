"""``cosine``: 1 - cos(v, w), the patch loss of Jiang et al. (NeurIPS 2025, arXiv 2505.17316)."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from pipeline.training.patch_losses.words import Words


def losses(vectors_MD: torch.Tensor, ids_MK: torch.Tensor, words: Words) -> torch.Tensor:
    """1 - cos of each vector and the mean embedding of its words; the vector's length is left free."""
    return 1 - F.cosine_similarity(vectors_MD.float(), words.vectors(ids_MK).float(), dim=-1)
