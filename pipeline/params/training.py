"""``train``: the projector, the arms' losses, both stages of training."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pipeline.params.section import Positive, Section, Share


class ProjectorParams(Section):
    """The projector between encoder and language model."""

    kind: Literal["linear", "mlp"] = Field(description="mlp: two layers, a GELU between, as in LLaVA-1.5.")
    feature_layers: list[int] = Field(
        min_length=1,
        description="Encoder layers that are projected, side by side; LLaVA-1.5 takes [-2].",
    )


class PatchLossParams(Section):
    """The patch loss of the arms that have one."""

    form: Literal["cosine"] = Field(description="cosine: the paper's, mean over regions of 1 - cos(v, w).")
    beta: float = Field(ge=0, description="Weight beside the caption loss.")
    words: Literal["phrase", "head"] = Field(description="Words that make the region's target.")


class OptimisationParams(Section):
    """A stage of training."""

    steps: Positive = Field(description="Optimiser steps.")
    batch_images: Positive = Field(description="Images a step.")
    turns: Positive = Field(description="Captions or conversations an image and step.")
    mean_over: Literal["tokens", "turns"] = Field(
        description="The answers' loss is a mean over tokens, as in LLaVA, or turns: short ones then count"
        " as much as long ones."
    )
    learning_rate: float = Field(gt=0, description="Peak learning rate; cosine decay.")
    warmup: Share = Field(description="Share of the steps that the learning rate rises in.")
    weight_decay: float = Field(ge=0)
    save_every: Positive = Field(description="Steps between checkpoints that a rerun resumes from.")


class TrainParams(Section):
    """Projector pre-training and fine-tuning of the arms."""

    projector: ProjectorParams
    patch_loss: PatchLossParams
    pretrain: OptimisationParams
    finetune: OptimisationParams
