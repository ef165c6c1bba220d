"""LLaVA: a fixed grid of square patches, every one a vision token."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pipeline.models.adapters.base import Adapter
from pipeline.patches.geometry import Geometry
from pipeline.patches.processor import read_settings


class LlavaAdapter(Adapter):
    """transformers' ``LlavaForConditionalGeneration`` over a CLIP or SigLIP tower."""

    model_types = ("llava",)

    def projector(self, model: nn.Module) -> nn.Module:
        """Its two linear layers."""
        return model.get_submodule("model.multi_modal_projector")

    def tokens(self, output: torch.Tensor, batch: Mapping[str, Any]) -> torch.Tensor:
        """(B, N, D): the projector's output as it is."""
        return output

    def geometry(self, config: Any, processor: Any, width: int, height: int) -> Geometry:
        """The encoder's: resized, cropped or padded to one size, whatever the image's."""
        settings = processor.image_processor.to_dict()
        return Geometry(**read_settings(Path("the processor"), settings, config.to_dict()))
