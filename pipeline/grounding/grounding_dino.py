"""Annotation source: Grounding DINO and MM-Grounding-DINO by transformers, from the hub or a folder.

Liu et al., arXiv 2303.05499; Zhao et al., *An Open and Comprehensive Pipeline for Unified Object Grounding
and Detection*, arXiv 2401.02361.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.grounding import pretrained, prompts
from pipeline.grounding.detection import DetectionAnnotator, Scores, token_scores
from pipeline.grounding.prompts import Prompt
from pipeline.params import GroundingDinoParams

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

_SETTING = "ground.grounding_dino.model"
_ADVICE = "Give the hub name or folder of a model such as IDEA-Research/grounding-dino-base."


@dataclass(frozen=True)
class GroundingDinoDetector:
    """transformers' model and its processors; implements `pipeline.grounding.detection.Detector`."""

    model: Any
    tokenizer: Any
    processor: Any

    def prompts(self, texts: Sequence[str]) -> list[Prompt]:
        """As many texts a prompt as the model's tokens (256 as released) hold."""
        return prompts.build(texts, self.tokenizer, self.model.config.max_text_len)

    def canvas(self, width: int, height: int) -> tuple[int, int]:
        """The image itself."""
        return width, height

    def prepare(self, pictures: list[Image]) -> torch.Tensor:
        """Pictures of one size, as the model's own processor makes them."""
        return self.processor(images=pictures, return_tensors="pt")["pixel_values"].to(self.model.device)

    def detect(self, images_BCHW: torch.Tensor, prompts: list[Prompt]) -> list[Scores]:
        """Scores of each image for the prompt in its place."""
        import torch

        tokens = self.tokenizer([prompt.text for prompt in prompts], padding=True, return_tensors="pt")
        with torch.inference_mode(), pretrained.half_precision():
            out = self.model(
                pixel_values=images_BCHW,
                input_ids=tokens["input_ids"].to(images_BCHW.device),
                attention_mask=tokens["attention_mask"].to(images_BCHW.device),
            )
        return token_scores(prompts, *pretrained.outputs(out.logits, out.pred_boxes))


def annotator(params: GroundingDinoParams, kept_root: Path | None = None) -> DetectionAnnotator:
    """The source ``grounding_dino``; what the model says is kept below ``kept_root``."""
    return DetectionAnnotator(
        name="grounding_dino",
        params=params,
        load=load,
        box_threshold=params.box_threshold,
        text_threshold=params.text_threshold,
        nms_iou=params.nms_iou,
        batch_size=params.batch_size,
        files=(params.model,),
        kept_root=kept_root,
    )


def load(params: GroundingDinoParams) -> GroundingDinoDetector:
    """The model, loaded once a process.

    Raises:
        UserError: it cannot be loaded, or is a model of another kind.
    """
    return _load(params.model)


@lru_cache(maxsize=1)
def _load(place: str) -> GroundingDinoDetector:
    kinds = ("grounding-dino", "mm-grounding-dino")
    return GroundingDinoDetector(*pretrained.load_detector(_SETTING, place, kinds, _ADVICE))
