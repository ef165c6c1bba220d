"""From an image's tokens and its regions to one number: which vectors a patch loss is of, and their mean.

Shapes: B images, N vision tokens, R regions an image (padded), K tokens of a region's words (padded), D
width.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from pipeline.params import ArmParams
from pipeline.training.losses import pool_regions
from pipeline.training.patch_losses import FORMS
from pipeline.training.patch_losses.words import Words


def patch_loss(
    arm: ArmParams,
    tokens_BND: torch.Tensor,
    weights_BRN: torch.Tensor,
    ids_BRK: torch.Tensor,
    words: Words,
) -> torch.Tensor:
    """Mean of the arm's loss over regions, a scalar; 0 without regions.

    With ``apply_to: regions`` a region's loss is that of its pooled tokens; with ``tokens`` it is the mean of
    its tokens' losses, weighted by coverage. ``dimensions`` below 1 leaves the rest of the width alone.

    Args:
        arm: which loss, of what.
        tokens_BND: vision tokens, or their hidden states for losses of the last layer.
        weights_BRN: coverage of each token by each region; rows of zeros are padding.
        ids_BRK: tokens of each region's words.
        words: what the language model knows of words.
    """
    form = FORMS[arm.loss]
    present_BR = (ids_BRK != words.pad).any(-1)
    regions = present_BR.sum().clamp_min(1)
    if arm.dimensions < 1:
        kept = dimensions(tokens_BND.shape[-1], arm.dimensions, tokens_BND.device)
        tokens_BND = tokens_BND[..., kept]
        words = replace(words, embeddings_VD=words.embeddings_VD[:, kept])
    if arm.apply_to == "tokens":
        share_BRN = weights_BRN / weights_BRN.sum(-1, keepdim=True).clamp_min(1e-6)
        image, region, token = (share_BRN * present_BR.unsqueeze(-1)).nonzero(as_tuple=True)
        if not len(image):
            return (tokens_BND * 0).sum()
        losses = form(tokens_BND[image, token], ids_BRK[image, region], words)
        return (losses * share_BRN[image, region, token]).sum() / regions
    v_BRD = pool_regions(tokens_BND, weights_BRN)
    if not present_BR.any():
        return (tokens_BND * 0).sum()
    losses_BR = v_BRD.new_zeros(present_BR.shape, dtype=torch.float32)
    losses_BR = losses_BR.masked_scatter(present_BR, form(v_BRD[present_BR], ids_BRK[present_BR], words))
    return losses_BR.sum() / regions


def dimensions(width: int, share: float, device: torch.device | str = "cpu") -> torch.Tensor:
    """Places of a share of the dimensions, evenly spaced over the width; one at least."""
    count = max(1, round(share * width))
    return torch.arange(count, device=device) * width // count


def beta(arm: ArmParams, progress: float) -> float:
    """The loss's weight when a share ``progress`` of pre-training is over; annealed, it falls to zero."""
    return arm.beta * (1 - progress) if arm.anneal else arm.beta
