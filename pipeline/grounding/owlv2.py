"""Annotation source: OWLv2 by transformers, from the hub or a folder.

Minderer et al., *Scaling Open-Vocabulary Object Detection*, NeurIPS 2023, arXiv 2306.09683.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.grounding import pretrained
from pipeline.grounding.detection import DetectionAnnotator, Scores
from pipeline.params import Owlv2Params

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

_SETTING = "ground.owlv2.model"
_ADVICE = "Give the hub name or folder of a model such as google/owlv2-base-patch16-ensemble."
_TEXTS = 64  # texts a prompt: bounds the memory that an image of very many phrases takes


@dataclass(frozen=True)
class Queries:
    """Some of an image's texts, a query each."""

    members: tuple[int, ...]
    """Which of the texts, by their number."""
    texts: tuple[str, ...]
    """What the model reads."""


@dataclass(frozen=True)
class Owlv2Detector:
    """transformers' model and its processors; implements `pipeline.grounding.detection.Detector`.

    A text is one query and has one probability, so ``best`` and ``mean`` of its scores are the same.
    """

    model: Any
    tokenizer: Any
    processor: Any
    template: str

    def prompts(self, texts: Sequence[str]) -> list[Queries]:
        """`_TEXTS` texts a prompt; a text longer than the model's 16 tokens is cut by the tokenizer."""
        if not texts:
            return []
        tokens = self.tokenizer(list(texts), add_special_tokens=False)["input_ids"]
        members = [i for i, ids in enumerate(tokens) if ids]
        parts = [tuple(members[first : first + _TEXTS]) for first in range(0, len(members), _TEXTS)]
        return [Queries(part, tuple(self.template.replace("{}", texts[i]) for i in part)) for part in parts]

    def canvas(self, width: int, height: int) -> tuple[int, int]:
        """A square: the processor pads on the right or below."""
        return max(width, height), max(width, height)

    def prepare(self, pictures: list[Image]) -> torch.Tensor:
        """Pictures as the model's own processor makes them."""
        return self.processor(images=pictures, return_tensors="pt")["pixel_values"].to(self.model.device)

    def detect(self, images_BCHW: torch.Tensor, prompts: list[Queries]) -> list[Scores]:
        """Scores of each image for the texts of the prompt in its place."""
        import torch

        most = max(len(prompt.texts) for prompt in prompts)
        tokens = self.tokenizer(
            [text for prompt in prompts for text in prompt.texts],
            padding="max_length",
            truncation=True,
            max_length=self.model.config.text_config.max_position_embeddings,
            return_tensors="pt",
        )
        # The model wants as many queries of every image, and ignores those whose first token is 0.
        ids_BKL = torch.zeros(len(prompts), most, tokens["input_ids"].shape[-1], dtype=torch.long)
        mask_BKL = torch.ones_like(ids_BKL)
        places = [(b, k) for b, prompt in enumerate(prompts) for k in range(len(prompt.texts))]
        at = tuple(torch.tensor(places).T)
        ids_BKL[at], mask_BKL[at] = tokens["input_ids"], tokens["attention_mask"]
        with torch.inference_mode(), pretrained.half_precision():
            out = self.model(
                pixel_values=images_BCHW,
                input_ids=ids_BKL.flatten(0, 1).to(images_BCHW.device),
                attention_mask=mask_BKL.flatten(0, 1).to(images_BCHW.device),
            )
        probability_BQK, boxes_BQ4 = pretrained.outputs(out.logits, out.pred_boxes)
        scores = [probability_BQK[b, :, : len(prompt.texts)] for b, prompt in enumerate(prompts)]
        return [Scores(boxes_Q4, best, best) for boxes_Q4, best in zip(boxes_BQ4, scores, strict=True)]


def annotator(params: Owlv2Params, kept_root: Path | None = None) -> DetectionAnnotator:
    """The source ``owlv2``; what the model says is kept below ``kept_root``.

    Raises:
        UserError: the prompt has no place for the phrase.
    """
    pretrained.check_template("ground.owlv2.prompt", params.prompt)
    return DetectionAnnotator(
        name="owlv2",
        params=params,
        load=load,
        box_threshold=params.threshold,
        text_threshold=0.0,  # a text has one score
        nms_iou=params.nms_iou,
        batch_size=params.batch_size,
        files=(params.model,),
        kept_root=kept_root,
    )


def load(params: Owlv2Params) -> Owlv2Detector:
    """The model, loaded once a process.

    Raises:
        UserError: it cannot be loaded, or is a model of another kind.
    """
    return _load(params.model, params.prompt)


@lru_cache(maxsize=1)
def _load(place: str, template: str) -> Owlv2Detector:
    return Owlv2Detector(*pretrained.load_detector(_SETTING, place, ("owlv2",), _ADVICE), template)
