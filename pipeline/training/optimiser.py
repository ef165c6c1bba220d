"""Muon for the matrices inside a model, AdamW for the rest, as one optimiser."""

from __future__ import annotations

import torch
from torch import nn
from torch.optim import AdamW, Muon, Optimizer

ADAM_BETAS = (0.9, 0.95)
OUTSIDE = ("embed", "lm_head")
"""Parts of names of matrices whose rows or columns are words or places: AdamW's, as Muon's author advises."""


class MuonAdamW(Optimizer):
    """torch's Muon (Jordan, 2024) over hidden matrices and AdamW over embeddings, head, norms and filters.

    Muon's step is scaled to AdamW's typical size (``match_rms_adamw``, Moonshot AI, arXiv 2502.16982), so one
    learning rate serves both. Schedulers and checkpoints see the parameter groups of the two.
    """

    def __init__(self, model: nn.Module, learning_rate: float, weight_decay: float) -> None:
        named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
        inside = [p for name, p in named if p.ndim == 2 and not any(word in name for word in OUTSIDE)]
        chosen = {id(p) for p in inside}
        rest = [p for _, p in named if id(p) not in chosen]
        self._parts: list[Optimizer] = []
        if inside:
            self._parts.append(
                Muon(inside, learning_rate, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw")
            )
        if rest:
            self._parts.append(AdamW(rest, learning_rate, betas=ADAM_BETAS, weight_decay=weight_decay))
        super().__init__([p for _, p in named], {"lr": learning_rate})
        # The same dictionaries, so that a scheduler that sets a group's learning rate reaches the part.
        self.param_groups = [group for part in self._parts for group in part.param_groups]

    @torch.no_grad()
    def step(self, closure=None):
        """One step of both."""
        loss = None if closure is None else torch.enable_grad()(closure)()
        for part in self._parts:
            part.step()
        return loss

    def state_dict(self):
        """The states of both parts."""
        return {"parts": [part.state_dict() for part in self._parts]}

    def load_state_dict(self, state_dict) -> None:
        """Restore what `state_dict` gave."""
        for part, state in zip(self._parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)
        self.param_groups = [group for part in self._parts for group in part.param_groups]
