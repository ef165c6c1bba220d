"""What a stage of training leaves: a standard transformers folder and its card."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import LlavaForConditionalGeneration, LlavaProcessor

from pipeline.models import card, llava
from pipeline.models.card import Card
from pipeline.params import Params
from pipeline.training.run import Run

PAPER = "[Jiang et al.](https://arxiv.org/abs/2505.17316)"


def save(
    folder: Path,
    model: LlavaForConditionalGeneration,
    processor: LlavaProcessor,
    params: Params,
    stage: str,
    run: Run,
    data: Mapping[str, int | str],
    weights: dict[str, torch.Tensor] | None = None,
) -> None:
    """Save a model after a stage: weights, configuration, processor, chat template and card.

    Args:
        folder: where to.
        model, processor: what was trained.
        params: of the run; the card shows those that the stage depends on.
        stage: ``pretrain`` or ``finetune``.
        run: arm and seed, and where the learning curve lies, whose last row the card shows.
        data: what was trained on, names and numbers.
        weights: of a model that is sharded over processes, whole.
    """
    llava.save(model, processor, folder, weights)
    settings = params.arm(run.arm).model_dump(mode="json", exclude_defaults=True)
    train = params.train.model_dump(mode="json")
    shown = {
        "seed": run.seed,
        "train": {"arms": {run.arm: settings}, "projector": train["projector"], stage: train[stage]},
    }
    template = processor.chat_template or ""
    card.write(
        folder,
        Card(
            title=f"LLaVA, {run.arm.replace('_', '-')}, after {_STAGES[stage]}",
            kind="llava",
            text=_text(model, stage, settings),
            data=data,
            params=shown,
            metrics=last_row(run.curve(stage)),
            options="enable_thinking=False" if "enable_thinking" in str(template) else "",
        ),
    )


_STAGES = {"pretrain": "pre-training", "finetune": "fine-tuning"}


def _text(model: LlavaForConditionalGeneration, stage: str, arm: Mapping[str, Any]) -> str:
    vision: Any = model.config.vision_config
    language: Any = model.config.text_config
    parts = (
        f"A LLaVA of a {vision.model_type} encoder (width {vision.hidden_size}, {vision.image_size} px, "
        f"patches of {vision.patch_size} px), a projector and a {language.model_type} language model (width "
        f"{language.hidden_size}, {language.num_hidden_layers} layers)."
    )
    if stage == "pretrain":
        what = "Its projector was trained on captions"
        if arm.get("loss", "none") != "none":
            what += f" and, by the patch loss `{arm['loss']}`, towards the words of patches ({PAPER})"
        return f"{parts} {what}; encoder and language model are as they were."
    return (
        f"{parts} After the projector's pre-training, projector and language model were trained on "
        "conversations."
    )


def last_row(curve: Path) -> list[tuple[str, str]]:
    """The last row of a learning curve, as names and values of the training set."""
    if not curve.is_file():
        return []
    with curve.open(newline="") as file:
        rows = list(csv.DictReader(file))
    last = rows[-1] if rows else {}
    shown = ("step", "loss", "caption_loss", "patch_loss")
    return [(f"training {name}", f"{float(last[name]):.4g}") for name in shown if last.get(name)]
