"""The patch losses: what an arm's ``loss`` names.

A new one is a file here, a line below, and its name in `pipeline.params.training`.

Each is a function ``(vectors_MD, ids_MK, words) -> losses_M``: M vectors that should say the words whose
tokens ``ids_MK`` holds (padded), against what `Words` knows of the language model. `loss` makes the vectors
of an image's tokens and the mean of the losses.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from pipeline.training.patch_losses import contrastive, cosine, logit_lens, vocabulary
from pipeline.training.patch_losses.words import Words

FORMS: dict[str, Callable[[torch.Tensor, torch.Tensor, Words], torch.Tensor]] = {
    "cosine": cosine.losses,
    "vocabulary": vocabulary.losses,
    "contrastive": contrastive.losses,
    "logit_lens": logit_lens.losses,
}
READ_IN_THE_LAST_LAYER = {"logit_lens"}
"""Losses of the vision tokens' hidden states in the language model, not of the tokens themselves."""
