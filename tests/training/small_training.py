"""Data of eight made images, the settings of a short run, and that run.

python small_training.py ENCODER LANGUAGE_MODEL OUT [whole] [key=value of compute ...]
"""

from __future__ import annotations

import multiprocessing
import sys
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch
from transformers import TrainerCallback

from pipeline.models.chat import ChatFormat, encode
from pipeline.models.vocabulary import IMAGE
from pipeline.params import ArmParams, ComputeParams, OptimisationParams, ProjectorParams
from pipeline.training.features import Features
from pipeline.training.supervision import PatchSupervision, pad_ids
from pipeline.training.turns import Turns

IMAGES, PATCHES = 8, 16
CAPTIONS = ["a red cup and a blue star .", "two cups", "a green box , left of a star", "none"]
SETTINGS = OptimisationParams(
    steps=8, batch_images=2, turns=2, mean_over="tokens", learning_rate=0.02, warmup=0.25, weight_decay=0.01,
    save_every=3,
)  # fmt: skip
multiprocessing.set_forkserver_preload(["pipeline.training.trainer", "pipeline.training.supervision"])
ALIGNED = ArmParams(loss="cosine", beta=2.0, words="phrase")


class KilledAt(TrainerCallback):
    """Ends a run after a step, as ctrl-C does."""

    def __init__(self, step):
        self._step = step

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == self._step:
            raise KeyboardInterrupt


def made_data(tokenizer, supervised):
    """Features, turns, turns an image, padding, seed and patch words of eight images."""
    generator = np.random.default_rng(2)
    features = generator.normal(size=(IMAGES, PATCHES, 32)).astype(np.float16)
    chat = ChatFormat.of(tokenizer, IMAGE)
    texts = [chat.answer(CAPTIONS[k % 4]) for k in range(2 * IMAGES)]
    owners = np.repeat(np.arange(IMAGES), 2)
    turns = Turns.of(tokenizer, [([(chat.caption_prompt(), text) for text in texts], owners)], IMAGES, IMAGE)
    patches = None
    if supervised:
        places = np.arange(IMAGES)
        ids = encode(tokenizer, [("red cup", "star")[k % 2] for k in range(IMAGES)])
        patches = PatchSupervision(
            patches=places, coverage=np.ones(IMAGES, np.float32), starts=np.arange(IMAGES + 1),
            word_ids=pad_ids(ids, 0), firsts=np.arange(IMAGES + 1), patch_count=PATCHES, pad=0,
        )  # fmt: skip
    held = Features([f"i{k}" for k in range(IMAGES)], [features], np.zeros(IMAGES, int), np.arange(IMAGES))
    return held, turns, 2, 0, 7, patches


def run(encoder: Path, language_model: Path, out: Path, words=(), callbacks=()) -> None:
    """Train on the CPU in float32 and write the model into ``out``, the curve beside it.

    ``words``: "whole" trains the language model too; ``data=FOLDER`` takes the features from there; another
    ``key=value`` sets a key of ``compute``.
    """
    whole = "whole" in words
    given = dict(word.split("=") for word in words if "=" in word)
    data = given.pop("data", None)
    compute = ComputeParams.model_validate({"runner": "threads", "workers": 1, "threads": 0} | given)
    from safetensors.torch import save_file

    from pipeline.models import llava
    from pipeline.training import features, optimiser, processes, step, trainer
    from pipeline.training.stages import unfreeze

    trainer.device, trainer.LOG_EVERY, step.autocast = lambda: "cpu", 2, nullcontext
    # In bfloat16 one rounding of a gradient can move a step of Muon's by a 256th.
    optimiser.ITERATED_IN = torch.float32
    projector = ProjectorParams(kind="mlp", feature_layers=[0, -1])
    model, processor = llava.assemble(encoder, language_model, projector, seed=1)
    tokenizer = processor.tokenizer
    model.requires_grad_(False)
    model.model.multi_modal_projector.requires_grad_(True)
    if whole:
        unfreeze(model)
    held, *rest = made_data(tokenizer, not whole)
    if data:
        held = features.load(Path(data) / "features", "train", Path(data))
    weights = trainer.train(
        model, trainer.Collator(held, *rest),
        encode(tokenizer, [ChatFormat.of(tokenizer, IMAGE).before_image])[0],
        SETTINGS, None if whole else ALIGNED, out / "work", out / "curve.csv", 7, list(callbacks), compute,
    )  # fmt: skip
    if processes.rank() == 0:
        state = weights if weights is not None else model.state_dict()
        save_file({name: value.contiguous() for name, value in state.items()}, out / "weights.safetensors")


if __name__ == "__main__":
    run(*map(Path, sys.argv[1:4]), sys.argv[4:])
