"""Families of multimodal models that the patch loss attaches to: a file and a line below for each."""

from __future__ import annotations

from torch import nn

from pipeline.errors import UserError
from pipeline.models.adapters.base import Adapter, stack
from pipeline.models.adapters.llava import LlavaAdapter
from pipeline.models.adapters.qwen2_5_vl import Qwen25VLAdapter

__all__ = ["ADAPTERS", "Adapter", "of", "stack"]

ADAPTERS: tuple[Adapter, ...] = (LlavaAdapter(), Qwen25VLAdapter())


def of(model: nn.Module) -> Adapter:
    """The adapter of a model.

    Raises:
        UserError: there is none for its family.
    """
    kind = getattr(model.config, "model_type", None)
    for adapter in ADAPTERS:
        if kind in adapter.model_types:
            return adapter
    known = ", ".join(sorted(name for adapter in ADAPTERS for name in adapter.model_types))
    raise UserError(
        f"The patch loss has no adapter for a {kind} model; it has for {known}. An adapter is one file: see "
        "pipeline/models/adapters/base.py"
    )
