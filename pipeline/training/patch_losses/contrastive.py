"""``contrastive``: the right words among those of the batch (InfoNCE), as SEA aligns tokens with words.

SEA: Yin et al., "SEA: Supervised Embedding Alignment for Token-Level Visual-Textual Integration in MLLMs",
arXiv 2408.11813. Here labels come from patch-word tables instead of a CLIP model's guesses, and one
direction is used, vision to words. Rows with the same words are one candidate, never each other's negatives.
The batch is the whole step's, however it is shared out to processes and micro-batches.
"""

from __future__ import annotations

import torch
from torch.nn import functional as F

from pipeline.training.patch_losses.words import Words

TEMPERATURE = 0.07
"""Where CLIP's training starts (Radford et al., arXiv 2103.00020)."""


def losses(vectors_MD: torch.Tensor, ids_MK: torch.Tensor, words: Words) -> torch.Tensor:
    """Cross-entropy of softmax(cos(v, w_u) / 0.07) over the batch's distinct words u."""
    step_UK = ids_MK if words.others_UK is None else torch.cat([ids_MK, words.others_UK])
    # Sorted: words in another order have the same mean.
    distinct_UK, own_U = step_UK.sort(-1).values.unique(dim=0, return_inverse=True)
    own_M = own_U[: len(ids_MK)]
    w_UD = F.normalize(words.vectors(distinct_UK).float(), dim=-1)
    scores_MU = F.normalize(vectors_MD.float(), dim=-1) @ w_UD.t() / TEMPERATURE
    return F.cross_entropy(scores_MU, own_M, reduction="none")
