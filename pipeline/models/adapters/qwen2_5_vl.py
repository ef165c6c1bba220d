"""Qwen2.5-VL: images at their own resolution, a vision token for each 2 x 2 of patches (arXiv 2502.13923).

The image is stretched to the nearest multiple of 28 pixels a side, within bounds on its area, so that the
grid differs from image to image. The encoder orders patches by windows inside and puts the merged ones back
in the grid's order before they leave it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from pipeline.errors import UserError
from pipeline.models.adapters.base import Adapter
from pipeline.patches.geometry import Geometry


class Qwen25VLAdapter(Adapter):
    """transformers' ``Qwen2_5_VLForConditionalGeneration``, for images."""

    model_types = ("qwen2_5_vl",)

    def projector(self, model: nn.Module) -> nn.Module:
        """The vision encoder, which ends with the merger and the tokens' order."""
        return model.get_submodule("model.visual")

    def tokens(self, output: Any, batch: Mapping[str, Any]) -> Sequence[torch.Tensor]:
        """The merger's tokens, cut between images by ``image_grid_thw`` (in patches)."""
        grid = batch["image_grid_thw"]
        merged = output.pooler_output
        if not isinstance(merged, torch.Tensor):  # the model cuts its encoder's output in place
            return merged
        share = int(grid.prod(-1).sum()) // len(merged)  # patches a token: 4
        return torch.split(merged, (grid.prod(-1) // share).tolist())

    def geometry(self, config: Any, processor: Any, width: int, height: int) -> Geometry:
        """The image stretched to whole tokens."""
        from transformers.models.qwen2_vl.image_processing_qwen2_vl import smart_resize

        found = processor.image_processor
        if not found.do_resize:
            raise UserError("the image processor of Qwen2.5-VL has do_resize: false; the grid needs it true")
        side = found.patch_size * found.merge_size
        size = smart_resize(
            height, width, side, int(found.size["shortest_edge"]), int(found.size["longest_edge"])
        )
        return Geometry("stretch", size, size, (side, side))
