"""``encoder`` and ``language_model``: the pretrained parts, or what is trained in their place."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pipeline.params.section import Positive, Section, Share


class TrainedEncoderParams(Section):
    """A small CLIP, trained with open_clip on the source's own images and captions."""

    width: Positive = Field(description="Width of the vision tower.")
    layers: Positive = Field(description="Layers of the vision tower.")
    patch_size: Positive = Field(description="Side of a patch, pixels.")
    image_size: Positive = Field(description="Side of the input, pixels; scenes come in their own size.")
    embed_dim: Positive = Field(description="Width of the shared image-text space.")
    steps: Positive = Field(description="Optimiser steps.")
    batch_size: Positive = Field(description="Image-caption pairs a step.")
    learning_rate: float = Field(gt=0, description="Peak learning rate.")
    views: Share = Field(description="Share of the batches made of views of a few objects, with short texts.")


class PretrainedEncoderParams(Section):
    """A pretrained CLIP or SigLIP vision tower of transformers."""

    path: str = Field(description="Hub name or folder of a transformers CLIP or SigLIP model.")


class OpenClipEncoderParams(Section):
    """A pretrained vision transformer of open_clip, converted to transformers' CLIP vision model."""

    model: str = Field(description="open_clip's name, such as ViT-L-14, or local-dir:FOLDER, hf-hub:NAME.")
    pretrained: str | None = Field(
        description="open_clip's name of the weights, or a file; null: a folder's."
    )


class EncoderParams(Section):
    """The vision encoder, frozen from then on."""

    name: Literal["trained", "pretrained", "open_clip"]
    trained: TrainedEncoderParams
    pretrained: PretrainedEncoderParams
    open_clip: OpenClipEncoderParams


class TrainedLanguageModelParams(Section):
    """A small causal language model, trained on the training split's text alone."""

    width: Positive = Field(description="Hidden size.")
    layers: list[Literal["conv", "full_attention"]] = Field(description="The layers' kinds, first to last.")
    heads: Positive = Field(description="Attention heads.")
    hidden: Positive = Field(description="Width inside the feed-forward layers.")
    steps: Positive = Field(description="Optimiser steps.")
    batch_scenes: Positive = Field(description="Scenes in words a step.")
    turns: Positive = Field(description="Turns a scene and step.")
    learning_rate: float = Field(gt=0, description="Peak learning rate.")
    box_bins: Positive = Field(description="Bins of a box coordinate: each is a word.")


class PretrainedLanguageModelParams(Section):
    """A pretrained causal language model."""

    path: str = Field(
        description="Hub name or folder of a transformers causal LM, a GGUF file, or package:NAME for one"
        " that a Python package carries."
    )
    boxes: Literal["llava", "llava_padded", "qwen", "qwen_thousandths"] = Field(
        description="How it writes boxes (pipeline/models/boxes.py)."
    )
    chat_template: str | None = Field(
        description="vicuna, chatml or a Jinja file; null: the tokenizer's own."
    )


class LanguageModelParams(Section):
    """The language model, frozen in pre-training, trained in fine-tuning."""

    name: Literal["trained", "pretrained"]
    trained: TrainedLanguageModelParams
    pretrained: PretrainedLanguageModelParams
