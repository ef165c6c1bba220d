"""Muon for the matrices inside a model, AdamW for the rest, as one optimiser; or AdamW for all."""

from __future__ import annotations

from collections import defaultdict

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, Replicate
from torch.optim import AdamW, Muon, Optimizer
from torch.optim.lr_scheduler import OneCycleLR

ADAM_BETAS = (0.9, 0.95)
ITERATED_IN = torch.bfloat16  # as torch's Muon
OUTSIDE = ("embed", "lm_head")
"""Parts of names of matrices whose rows or columns are words or places: AdamW's, as Muon's author advises."""


def build(name: str, model: nn.Module, learning_rate: float, weight_decay: float) -> Optimizer:
    """The optimiser that ``optimiser`` of a training stage names, over what requires gradients.

    Args:
        name: ``muon`` for `MuonAdamW`; ``adamw`` for AdamW with the betas of transformers' Trainer, which
            LLaVA's scripts use (0.9, 0.999), decaying matrices alone.
        model: the model.
        learning_rate, weight_decay: as the optimisers take them.
    """
    if name == "muon":
        return MuonAdamW(model, learning_rate, weight_decay)
    if name != "adamw":
        raise ValueError(f"there is no optimiser {name!r}: use muon or adamw")
    trained = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
    return AdamW([group for group in groups if group["params"]], learning_rate)


def one_cycle(optimiser: Optimizer, highest: float, steps: int, warmup: float) -> OneCycleLR:
    """A learning rate that rises for a share ``warmup`` of the steps, and then falls to next to nothing.

    It is made for three steps at least, and rises for two: torch divides by the length of each part less one.
    """
    steps = max(steps, 3)
    rising = max(warmup, 2 / steps)
    return OneCycleLR(optimiser, highest, total_steps=steps, pct_start=rising, cycle_momentum=False)


class MuonAdamW(Optimizer):
    """Muon (Jordan, 2024) over hidden matrices and AdamW over embeddings, head, norms and filters.

    Muon's step is scaled to AdamW's typical size (``match_rms_adamw``, Moonshot AI, arXiv 2502.16982), so one
    learning rate serves both. Schedulers and checkpoints see one optimiser with a parameter group of each.
    """

    def __init__(self, model: nn.Module, learning_rate: float, weight_decay: float) -> None:
        named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
        inside = [p for name, p in named if p.ndim == 2 and not any(word in name for word in OUTSIDE)]
        chosen = {id(p) for p in inside}
        rest = [p for _, p in named if id(p) not in chosen]
        self._parts: list[Optimizer] = []
        if inside:
            self._parts.append(
                BatchedMuon(inside, learning_rate, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw")
            )
        if rest:
            self._parts.append(
                AdamW(rest, learning_rate, betas=ADAM_BETAS, weight_decay=weight_decay, fused=True)
            )
        super().__init__([p for _, p in named], {"lr": learning_rate})
        # The same dictionaries, so that a scheduler that sets a group's learning rate reaches the part.
        self.param_groups = [group for part in self._parts for group in part.param_groups]
        self._share()

    def _share(self) -> None:
        """Let the parts work on this optimiser's own groups and state."""
        for part, group in zip(self._parts, self.param_groups, strict=True):
            part.param_groups = [group]
            part.state = self.state

    @torch.no_grad()
    def step(self, closure=None):
        """One step of both."""
        loss = None if closure is None else torch.enable_grad()(closure)()
        for part in self._parts:
            part.step()
        return loss

    def load_state_dict(self, state_dict) -> None:
        """Restore what `state_dict` gave."""
        super().load_state_dict(state_dict)
        self._share()


class BatchedMuon(Muon):
    """torch's Muon, with the Newton-Schulz iterations of all matrices of one shape as one batched product.

    The matrices of a small model are many and small, and torch's takes them one by one: three products and
    three norms each, five times. A matrix that is sharded over processes is gathered for its iterations,
    which need all of it, and each process keeps its own part of the step.
    """

    @torch.no_grad()
    def step(self, closure=None):
        """One step."""
        loss = None if closure is None else torch.enable_grad()(closure)()
        for group in self.param_groups:
            moved: list[Tensor] = []
            gradients: list[Tensor] = []
            momenta: list[Tensor] = []
            self._init_group(group, moved, gradients, momenta)
            if not moved:
                continue
            torch._foreach_lerp_(momenta, gradients, 1 - group["momentum"])
            steps = torch._foreach_lerp(gradients, momenta, group["momentum"])
            if group["weight_decay"]:
                torch._foreach_mul_(moved, 1 - group["lr"] * group["weight_decay"])
            by_shape: dict[tuple[int, int], list[int]] = defaultdict(list)
            for place, value in enumerate(moved):
                by_shape[min(value.shape), max(value.shape)].append(place)
            for (_, longer), places in by_shape.items():
                wide = [whole(steps[place], moved[place].shape) for place in places]
                unit = orthogonalise(
                    torch.stack(wide), group["ns_coefficients"], group["ns_steps"], group["eps"]
                )
                rate = 0.2 * group["lr"] * longer**0.5
                for place, step in zip(places, unit, strict=True):
                    value = moved[place]
                    upright = step if value.shape[0] <= value.shape[1] else step.T
                    value.add_(like(upright, value), alpha=-rate)
        return loss


def whole(matrix: Tensor, shape: torch.Size) -> Tensor:
    """A matrix in `ITERATED_IN`, gathered where it is sharded, lying on its longer side."""
    local = matrix.full_tensor() if isinstance(matrix, DTensor) else matrix
    return (local if shape[0] <= shape[1] else local.T).to(ITERATED_IN)


def like(matrix: Tensor, value: Tensor) -> Tensor:
    """A whole matrix in the dtype of ``value``, and sharded as it is."""
    if not isinstance(value, DTensor):
        return matrix.to(value.dtype)
    same = DTensor.from_local(
        matrix.to(value.dtype), value.device_mesh, [Replicate()] * value.device_mesh.ndim
    )
    return same.redistribute(placements=value.placements)


def orthogonalise(
    matrices: Tensor, coefficients: tuple[float, float, float], iterations: int, least: float
) -> Tensor:
    """Nearly the nearest orthogonal matrices of (K, M, N), M <= N: torch's iterations, batched."""
    a, b, c = coefficients
    found = matrices / matrices.flatten(1).norm(dim=1).clamp_min(least).view(-1, 1, 1)
    for _ in range(iterations):
        gram = found @ found.mT
        found = torch.baddbmm(found, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), found, beta=a)
    return found
