"""``logit_lens``: the language model's own head, read at the vision tokens, must name the region.

As in the logit lens loss of arXiv 2602.01530: hidden states of the last layer (after its norm) at the vision
tokens go through the output head, whose scores are taken as they are. The states are those that reading the
image computes for captions anyway.
"""

from __future__ import annotations

import torch

from pipeline.training.patch_losses.words import Words, naming


def losses(vectors_MD: torch.Tensor, ids_MK: torch.Tensor, words: Words) -> torch.Tensor:
    """Cross-entropy of softmax(head(h)) against the row's tokens; ``vectors_MD`` are hidden states h."""
    return naming(vectors_MD.float(), words.head_VD.float(), ids_MK, words.pad)
