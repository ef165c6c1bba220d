"""The caption loss, and the means that patch losses (`pipeline.training.patch_losses`) are of.

Shapes: B images, R regions an image (padded), N vision tokens, D width of the language model, K tokens of a
region's words (padded).
"""

from __future__ import annotations

import torch
from torch.nn import functional as F

from pipeline.training.cross_entropy import head_loss


def pool_regions(tokens_BND: torch.Tensor, weights_BRN: torch.Tensor) -> torch.Tensor:
    """v (B, R, D): the mean of each region's projected patches, weighted by their coverage.

    A row of ``weights_BRN`` that is all zero (padding) gives zero.
    """
    total = weights_BRN.sum(-1, keepdim=True).clamp_min(1e-6)
    return torch.bmm((weights_BRN / total).to(tokens_BND.dtype), tokens_BND)


def pool_words(embeddings_VD: torch.Tensor, ids_BRK: torch.Tensor, pad: int) -> torch.Tensor:
    """w (B, R, D): the mean input embedding of the tokens of each region's words; ``pad`` marks no token."""
    present = (ids_BRK != pad).unsqueeze(-1).float()
    summed = (F.embedding(ids_BRK, embeddings_VD).float() * present).sum(-2)
    return summed / present.sum(-2).clamp_min(1)


def token_loss(
    hidden_XLD: torch.Tensor, head: torch.nn.Module, labels_XL: torch.Tensor, mean_over: str = "tokens"
) -> tuple[torch.Tensor, torch.Tensor]:
    """Next-token cross-entropy as a sum and the number to divide it by; labels of -100 do not count.

    With ``mean_over="tokens"`` that is the sum over labelled tokens and their number; with ``"turns"`` the
    sum of each turn's mean and the number of turns that have a label, so that a one-word answer weighs as
    much as a long caption.

    Only labelled positions go through the head, so that the logits of prompts are never built, nor those of
    many answers at a time.
    """
    targets = labels_XL[..., 1:]
    labelled = targets != -100
    losses = head_loss(head, hidden_XLD[..., :-1, :][labelled], targets[labelled])
    if mean_over == "tokens":
        return losses.sum(), labelled.sum()
    lengths = labelled.sum(-1, keepdim=True)
    return (losses / lengths.expand_as(targets)[labelled]).sum(), (lengths > 0).sum()
