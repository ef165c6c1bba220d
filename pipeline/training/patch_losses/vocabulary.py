"""``vocabulary``: the right word among all of the language model's, by cosine of its word embeddings.

The cosine loss asks for a direction; this one asks for it to be nearer than any other word's. Scores are
cosines divided by a temperature of 0.07, where CLIP's training starts (Radford et al., arXiv 2103.00020,
section 2.5): without unit length, long embeddings and long vision tokens would decide instead of directions.
"""

from __future__ import annotations

import torch
from torch.nn import functional as F

from pipeline.training.patch_losses.words import Words, naming

TEMPERATURE = 0.07


def losses(vectors_MD: torch.Tensor, ids_MK: torch.Tensor, words: Words) -> torch.Tensor:
    """Cross-entropy of softmax(cos(v, e_u) / 0.07) over all words u against the row's tokens."""
    unit_MD = F.normalize(vectors_MD.float(), dim=-1)
    table_VD = F.normalize(words.embeddings_VD.float(), dim=-1)
    return naming(unit_MD / TEMPERATURE, table_VD, ids_MK, words.pad)
