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

    loss: Literal["none", "cosine"] = Field(
        description="none: captions alone; cosine: the paper's patch loss, mean over regions of"
        " 1 - cos(v, w)."
    )
    beta: float = Field(default=2.0, ge=0, description="Weight of the patch loss beside the caption loss.")
    words: Literal["phrase", "head"] = Field(
        default="phrase", description="Words that make the region's target."
    )

    @model_validator(mode="after")
    def _no_settings_of_no_loss(self) -> ArmParams:
        changed = (
            name
            for name, field in type(self).model_fields.items()
            if name != "loss" and getattr(self, name) != field.default
        )
        unused = sorted(changed)
        if self.loss == "none" and unused:
            raise ValueError(
                f"with loss: none there is nothing that {', '.join(unused)} could change: remove"
                f" {'it' if len(unused) == 1 else 'them'}, or name a loss"
            )
        return self


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
    pretrain: OptimisationParams
    finetune: OptimisationParams
    report_to: list[Literal["tensorboard", "dvclive", "wandb", "mlflow"]] = Field(
        default_factory=list, description="Dashboards that are shown the curves while training runs."
    )
