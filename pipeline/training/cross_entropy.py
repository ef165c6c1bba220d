"""Cross-entropy of a language model's head without its logits: a vocabulary's worth of numbers a token.

Logits of a few rows at a time are made, used and let go, and made again in the backward pass: Liger Kernel
(arXiv 2410.10989) takes slices of rows too, Cut Your Losses (Wijmans et al., arXiv 2411.09009) one kernel.
Shapes: R rows, D width of the model, V words of the vocabulary.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional as F

LOGITS = 1 << 24
"""Numbers that are held at a time; fewer rows than give this many go through the head as they are."""


def head_loss(head: Any, hidden_RD: torch.Tensor, targets_R: torch.Tensor) -> torch.Tensor:
    """Cross-entropy (R,) in float32 of ``head(hidden_RD)``, a linear layer, against word ids."""
    weight = head.weight
    rows = max(LOGITS // weight.shape[0], 1)
    if len(hidden_RD) <= rows or getattr(head, "bias", None) is not None:
        return F.cross_entropy(head(hidden_RD).float(), targets_R, reduction="none")
    kind = hidden_RD.device.type
    if torch.is_autocast_enabled(kind):
        # What autocast does to a linear layer; its gradients flow back through the conversions.
        weight, hidden_RD = (value.to(torch.get_autocast_dtype(kind)) for value in (weight, hidden_RD))
    with torch.autocast(kind, enabled=False):
        return _InSlices.apply(hidden_RD, weight, targets_R, rows)


class _InSlices(torch.autograd.Function):
    @staticmethod
    def forward(ctx, hidden_RD, weight_VD, targets_R, rows):
        ctx.save_for_backward(hidden_RD, weight_VD, targets_R)
        ctx.rows = rows
        return torch.cat(
            [
                F.cross_entropy((hidden @ weight_VD.T).float(), targets, reduction="none")
                for hidden, targets in zip(hidden_RD.split(rows), targets_R.split(rows), strict=True)
            ]
        )

    @staticmethod
    def backward(ctx, gradient_R):
        hidden_RD, weight_VD, targets_R = ctx.saved_tensors
        for_hidden = torch.empty_like(hidden_RD) if ctx.needs_input_grad[0] else None
        for_weight = torch.zeros_like(weight_VD, dtype=torch.float32) if ctx.needs_input_grad[1] else None
        for start in range(0, len(hidden_RD), ctx.rows):
            here = slice(start, start + ctx.rows)
            slope_RV = (hidden_RD[here] @ weight_VD.T).float().softmax(-1)
            slope_RV[torch.arange(len(slope_RV), device=slope_RV.device), targets_R[here]] -= 1
            slope_RV = slope_RV.mul_(gradient_R[here, None]).to(weight_VD.dtype)
            if for_hidden is not None:
                for_hidden[here] = slope_RV @ weight_VD
            if for_weight is not None:
                for_weight += slope_RV.T @ hidden_RD[here]
        return for_hidden, None if for_weight is None else for_weight.to(weight_VD.dtype), None, None
