"""``train``: the arms with their losses, the projector, both stages of training."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from pipeline.params.section import Positive, Section, Share


class ProjectorParams(Section):
    """The projector between encoder and language model."""

    kind: Literal["linear", "mlp"] = Field(description="mlp: two layers, a GELU between, as in LLaVA-1.5.")
    feature_layers: list[int] = Field(
        min_length=1,
        description="Encoder layers that are projected, side by side; LLaVA-1.5 takes [-2].",
    )


class ArmParams(Section):
    """What one arm is trained with: all that it may differ in from the others."""

    loss: Literal["none", "cosine", "vocabulary", "contrastive", "logit_lens"] = Field(
        description="The patch loss. none: captions alone; cosine: the paper's, 1 - cos(v, w) of a region and"
        " its words; vocabulary: the right word among all of the language model's; contrastive: among those"
        " of the batch; logit_lens: the language model's head, read at the vision tokens, names the region."
    )
    beta: float = Field(default=2.0, ge=0, description="Weight of the patch loss beside the caption loss.")
    words: Literal["phrase", "head", "words"] = Field(
        default="phrase",
        description="A region's target: all words of its phrase, its head noun, or (words) each of the"
        " phrase's content words as a target of its own.",
    )
    apply_to: Literal["regions", "tokens"] = Field(
        default="regions", description="The loss is of a region's pooled tokens, or of each of its tokens."
    )
    dimensions: float = Field(
        default=1.0, gt=0, le=1, description="Share of the width that the loss sees; the rest stays free."
    )
    anneal: bool = Field(default=False, description="Beta falls to zero over pre-training.")
    finetune_beta: float = Field(
        default=0.0,
        ge=0,
        description="Weight of the patch loss in fine-tuning; 0: none, as the paper.",
    )
    captions: bool = Field(
        default=True,
        description="false: pre-training on patches alone, with word embeddings and no language model.",
    )

    @model_validator(mode="after")
    def _settings_go_together(self) -> ArmParams:
        if self.loss == "none" and not self.captions:
            raise ValueError("without captions or a patch loss there is nothing to train on: name a loss")
        if self.loss == "logit_lens" and not self.captions:
            raise ValueError("logit_lens reads the language model, which captions: false leaves out")
        if self.loss == "logit_lens" and self.dimensions < 1:
            raise ValueError("logit_lens reads a whole hidden state: dimensions has to be 1")
        if self.anneal and not self.captions:
            raise ValueError("without captions an annealed patch loss would leave nothing to train on")
        unused = sorted(
            name
            for name, field in type(self).model_fields.items()
            if name != "loss" and getattr(self, name) != field.default
        )
        if self.loss == "none" and unused:
            raise ValueError(
                f"with loss: none there is nothing that {', '.join(unused)} could change: remove"
                f" {'it' if len(unused) == 1 else 'them'}, or name a loss"
            )
        return self

    def in_finetuning(self) -> ArmParams | None:
        """What of the arm holds in fine-tuning: its patch loss with ``finetune_beta``, or nothing."""
        if self.loss == "none" or not self.finetune_beta:
            return None
        return self.model_copy(update={"beta": self.finetune_beta, "anneal": False, "captions": True})


def _arm_name(name: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or name == "references":
        raise ValueError(
            "an arm's name becomes the name of folders and stages: lower-case letters, digits and _, a letter"
            " first, and not references, which is taken"
        )
    return name


ArmName = Annotated[str, AfterValidator(_arm_name)]


class OptimisationParams(Section):
    """A stage of training."""

    steps: Positive = Field(description="Optimiser steps.")
    batch_images: Positive = Field(description="Images a step.")
    turns: Positive = Field(description="Captions or conversations an image and step.")
    mean_over: Literal["tokens", "turns"] = Field(
        description="The answers' loss is a mean over tokens, as in LLaVA, or turns: short ones then count"
        " as much as long ones."
    )
    optimiser: Literal["muon", "adamw"] = Field(
        "muon",
        description="muon: Muon for hidden matrices, AdamW for the rest; adamw: AdamW for all, as in LLaVA.",
    )
    learning_rate: float = Field(gt=0, description="Peak learning rate; cosine decay.")
    warmup: Share = Field(description="Share of the steps that the learning rate rises in.")
    weight_decay: float = Field(ge=0)
    save_every: Positive = Field(description="Steps between checkpoints that a rerun resumes from.")


class TrainParams(Section):
    """Projector pre-training and fine-tuning of the arms."""

    arms: dict[ArmName, ArmParams] = Field(
        min_length=1, description="What is trained side by side, by name: the same but for these settings."
    )
    projector: ProjectorParams
    cache_features: bool = Field(
        True,
        description="The frozen encoder runs once an image and its features are kept on disk; false: whenever"
        " an image is trained or evaluated on, and nothing is kept.",
    )
    pretrain: OptimisationParams
    finetune: OptimisationParams
    report_to: list[Literal["tensorboard", "dvclive", "wandb", "mlflow"]] = Field(
        default_factory=list, description="Dashboards that are shown the curves while training runs."
    )
