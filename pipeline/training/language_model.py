"""Stage ``language_model``: train the embedded profile's small LM on text alone, or fetch a pretrained one.

The text is the training split's: behind a scene in words (its objects and their boxes) come the same turns
that fine-tuning will ask behind an image, and listings of the scene. The model learns language and tasks; it
never sees an image.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedModel

from pipeline import params as parameters
from pipeline.console import run_command
from pipeline.models import card, vocabulary
from pipeline.models import language_model as language_models
from pipeline.models.boxes import BoxFormat
from pipeline.models.card import Card
from pipeline.models.chat import ChatFormat, encode
from pipeline.models.shared_prefix import read_prefix, read_turns
from pipeline.params import Params, TrainedLanguageModelParams
from pipeline.tables import dataset
from pipeline.training import text
from pipeline.training.losses import token_loss
from pipeline.training.optimiser import MuonAdamW, one_cycle
from pipeline.training.runtime import DATA, Progress, autocast, prepare, publish, write_curve
from pipeline.training.turns import Turns, split_by_length

TARGET = DATA / "models/language_model"
CURVE = DATA / "curves/language_model.csv"


@dataclass(frozen=True)
class TextScenes:
    """Scenes in words and the turns about them: ``prefixes[k]`` are the ids of scene k."""

    prefixes: list[np.ndarray]
    turns: Turns


def main() -> None:
    """Write ``data/models/language_model`` from ``params.yaml``."""
    params = parameters.load()
    prepare(params.seed, params.compute.threads)
    settings, given = params.language_model, params.language_model.pretrained
    publish(
        lambda folder: (
            fetch(given.path, given.chat_template, folder)
            if settings.name == "pretrained"
            else make(params, folder)
        ),
        TARGET,
    )


def fetch(path: str, template: str | None, folder: Path) -> None:
    """Save a pretrained language model and its tokenizer as the stage's output."""
    model, tokenizer = language_models.load(path, template)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    shown = {"language_model": {"pretrained": {"path": path, "chat_template": template}}}
    title = "A pretrained language model, as it was fetched."
    card.write(folder, Card("Language model", "language_model", title, {}, shown))
    write_curve(CURVE, [])


def make(params: Params, folder: Path) -> None:
    """Train a language model on the training split's text and save it with its tokenizer."""
    settings = params.language_model.trained
    boxes = BoxFormat("bins", settings.box_bins)
    sizes = text.sizes_of(dataset.read(DATA / "images"))
    images = text.discussed(DATA, "train")
    scenes = list(text.scenes_in_words(DATA / "objects", images, sizes, boxes, params.seed))
    tokenizer = vocabulary.build(chain(scenes, spoken(boxes, params.seed)), boxes.words())
    model = language_models.build(settings, tokenizer, params.seed)
    chat = ChatFormat.of(tokenizer, vocabulary.IMAGE)
    data = TextScenes(
        [np.asarray(ids) for ids in encode(tokenizer, [chat.before_image + scene for scene in scenes])],
        text.conversation_turns(turns_of_text(boxes, params.seed), images, tokenizer, chat),
    )
    write_curve(CURVE, train(model, data, settings, tokenizer.pad_token_id, params.seed))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    shown = {"seed": params.seed, "language_model": {"trained": settings.model_dump(mode="json")}}
    what = "A small language model, trained on the text of captions and conversations; it has seen no image."
    said = {"scenes in words": len(data.prefixes), "turns": len(data.turns.starts) - 1}
    card.write(folder, Card("Language model", "language_model", what, said, shown))


def turns_of_text(boxes: BoxFormat, seed: int) -> Iterator[list[dict]]:
    """What comes behind a scene in words: the training split's conversations, and listings of the scene."""
    return chain(text.conversations(DATA, "train", boxes), text.listings(DATA, "train", boxes, seed))


def spoken(boxes: BoxFormat, seed: int) -> Iterator[str]:
    """Every caption, and every question and answer that is learned from."""
    for part in dataset.iter_parts(DATA / "captions", ["text"]):
        yield from part["text"].to_pylist()
    for rows in turns_of_text(boxes, seed):
        for row in rows:
            yield from row["texts"]


def train(
    model: PreTrainedModel, data: TextScenes, settings: TrainedLanguageModelParams, pad: int, seed: int
) -> list[dict]:
    """Train a language model in place on turns behind scenes in words; returns the learning curve."""
    generator = np.random.default_rng([seed, 5])
    lengths = np.fromiter((len(prefix) for prefix in data.prefixes), np.int64, len(data.prefixes))
    order = np.argsort(lengths, kind="stable")
    optimiser = MuonAdamW(model, settings.learning_rate, weight_decay=0.0)
    schedule = one_cycle(optimiser, settings.learning_rate, settings.steps, warmup=0.05)
    curve = []
    model.train()
    with Progress("language model", settings.steps) as progress:
        for step in range(settings.steps):
            batch = like_lengths(lengths, order, settings.batch_scenes, generator)
            rows = np.stack([data.turns.draw(image, settings.turns, generator) for image in batch])
            with autocast():
                loss = step_loss(
                    model, np.stack([data.prefixes[image] for image in batch]), data.turns, rows, pad
                )
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            progress.advance(loss=loss.item())
            if step % 10 == 0 or step == settings.steps - 1:
                rate = schedule.get_last_lr()[0]
                curve.append({"step": step + 1, "loss": round(loss.item(), 5), "learning_rate": rate})
    model.eval()
    return curve


def step_loss(
    model: PreTrainedModel, prefix: np.ndarray, turns: Turns, rows: np.ndarray, pad: int
) -> torch.Tensor:
    """Mean cross-entropy of the answers of turns ``rows`` (B, T) behind prefixes (B, P)."""
    lengths = turns.lengths(rows)
    order = np.argsort(lengths, axis=1, kind="stable")
    rows, lengths = np.take_along_axis(rows, order, 1), np.take_along_axis(lengths, order, 1)
    cut = split_by_length(lengths)
    decoder, embed = model.get_decoder(), model.get_input_embeddings()
    cache = read_prefix(decoder, embed(torch.from_numpy(prefix)))
    total, count = torch.zeros(()), torch.zeros(())
    for group in (rows[:, :cut], rows[:, cut:]):
        if group.size:
            ids, labels = turns.pad(group, pad)
            hidden = read_turns(decoder, cache, embed(torch.from_numpy(ids)))
            summed, labelled = token_loss(hidden, model.lm_head, torch.from_numpy(labels))
            total, count = total + summed, count + labelled
    return total / count.clamp_min(1)


def like_lengths(
    lengths: np.ndarray, order: np.ndarray, batch: int, generator: np.random.Generator
) -> np.ndarray:
    """Scenes of one prefix length, drawn so that every scene is as likely as any other; no padding is needed.

    Args:
        lengths: tokens of each prefix.
        order: the scenes sorted by length.
        batch: scenes to draw.
        generator: where chance comes from.
    """
    pivot = lengths[generator.integers(len(lengths))]
    first, last = np.searchsorted(lengths[order], [pivot, pivot + 1])
    return order[first + generator.choice(last - first, batch, replace=last - first < batch)]


if __name__ == "__main__":
    run_command(main)
