"""A part's first weights as building the whole model draws them, the rest of the model never in memory.

Building a model fills it from one stream of random numbers, so what the projector starts from hangs on all
that was drawn before it, language model included. Here every tensor is a shape without memory; what would
have filled it is drawn into a scratch tensor instead, so that the stream goes on, and the last draw of
the part that is wanted is done again. Of a 7B model that takes the scratch, not 27 GB.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

PIECE = 2**24
"""Numbers drawn at a time; normal numbers are made sixteen at a time, so a multiple of that."""
_ATEN = torch.ops.aten
_RANDOM = {_ATEN.normal_.default, _ATEN.uniform_.default}
_FILLS = _RANDOM | {_ATEN.zero_.default, _ATEN.fill_.Scalar}


class _Shapes(TorchDispatchMode):
    """Makes ``torch.empty`` give shapes without memory, and remembers what each was last filled with."""

    def __init__(self) -> None:
        super().__init__()
        self.last: dict[int, tuple[torch.Tensor, torch.Tensor, Any, tuple, dict]] = {}
        """By tensor: itself (so that no other gets its id), random state before, and the fill."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func is _ATEN.empty.memory_format:
            return func(*args, **kwargs | {"device": "meta"})
        if func in _FILLS and args[0].is_meta:
            self.last[id(args[0])] = (args[0], torch.get_rng_state(), func, args[1:], kwargs)
            if func in _RANDOM:
                _spend(func, args[0], args[1:], kwargs)
            return args[0]
        return func(*args, **kwargs)


Model = TypeVar("Model", bound=nn.Module)


def of_part(build: Callable[[], Model], part: str, seed: int) -> Model:
    """``build()`` as it is on the CPU with a seed, but of its weights only those of ``part`` are filled.

    The others are shapes without memory, for weights from elsewhere to be assigned to
    (``load_state_dict(..., assign=True)``). Buffers, which are computed and not drawn, are all there. The
    stream of random numbers is left where building the whole model leaves it.

    Raises:
        RuntimeError: a weight of the part is made in a way that is not known here.
    """
    torch.manual_seed(seed)
    with _Shapes() as shapes, _truncated_in_full(shapes):
        model = build()
    after = torch.get_rng_state()
    found = {}
    for name, value in model.get_submodule(part).named_parameters():
        if value.is_meta and id(value) not in shapes.last:
            raise RuntimeError(f"{part}.{name} was not filled by normal_, uniform_, zero_ or fill_")
        made = value.detach()
        if value.is_meta:
            _, state, func, args, kwargs = shapes.last[id(value)]
            made = torch.empty(value.shape, dtype=value.dtype)
            torch.set_rng_state(state)
            func(made, *args, **kwargs)
        found[name] = made
    torch.set_rng_state(after)
    model.get_submodule(part).load_state_dict(found, strict=False, assign=True)
    return model


@contextlib.contextmanager
def _truncated_in_full(shapes: _Shapes) -> Iterator[None]:
    """Draw truncated normal numbers (of SigLIP's tower) for good: how many it takes hangs on the numbers.

    torch draws none for a shape without memory.
    """
    usual = nn.init._no_grad_trunc_normal_

    def drawn(tensor: torch.Tensor, *args, **kwargs) -> torch.Tensor:
        if not tensor.is_meta:
            return usual(tensor, *args, **kwargs)
        shapes.last.pop(id(tensor), None)
        usual(torch.zeros(tensor.shape, dtype=tensor.dtype), *args, **kwargs)
        return tensor

    nn.init._no_grad_trunc_normal_ = drawn
    try:
        yield
    finally:
        nn.init._no_grad_trunc_normal_ = usual


def _spend(func, tensor: torch.Tensor, args: tuple, kwargs: dict) -> None:
    """Draw what would fill a tensor, a piece at a time; the last has what is left over, sixteen at least."""
    left = tensor.numel()
    scratch = torch.zeros(min(left, PIECE + 15), dtype=tensor.dtype)
    while left:
        piece = left if left < PIECE + 16 else PIECE
        func(scratch[:piece], *args, **kwargs)
        left -= piece
