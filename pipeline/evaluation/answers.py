"""A model's answers to the test split's conversations, and their scores under each task's rule."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from pipeline.evaluation import caption_scores, captioning, instructions, referring, vqa
from pipeline.evaluation.scores import measure
from pipeline.evaluation.world import World
from pipeline.models.boxes import BoxFormat
from pipeline.models.chat import encode_behind
from pipeline.models.generation import answer_all
from pipeline.models.vocabulary import IMAGE
from pipeline.params import EvaluateParams
from pipeline.tables import schemas
from pipeline.tables.metrics import Estimates
from pipeline.training import processes

TASKS = ("caption", "referring", "region", "question", "instruction")
LONGEST_ANSWER = 64  # tokens; the longest caption of the scenes has about 50


@dataclass(frozen=True)
class Reader:
    """A language model that answers prompts behind prefixes of its own: images, or scenes in words."""

    decoder: PreTrainedModel
    head: torch.nn.Module
    tokenizer: PreTrainedTokenizerBase
    ask: Callable[[Sequence[str]], str]
    """What stands between image and answer for what user and assistant said in turn: `ChatFormat.asked`."""
    prefixes: Callable[[Sequence[str]], torch.Tensor]
    """Prefix embeddings (B, P, D) of images by id; all of equal length."""
    prefix_length: Callable[[str], int]

    def answer(self, images: Sequence[str], prompts: Sequence[str], batch: int) -> list[str]:
        """The answer to each prompt (text between image and answer) about its image.

        Of processes that have joined, each answers a part, and all have the whole.
        """
        tokens = answer_all(
            self.decoder,
            self.head,
            lambda rows: self.prefixes([images[row] for row in rows]),
            np.fromiter((self.prefix_length(image) for image in images), np.int64, len(images)),
            encode_behind(self.tokenizer, prompts, IMAGE),
            self.tokenizer.eos_token_id,
            LONGEST_ANSWER,
            batch,
            processes.own_part(),
        )
        # A row is empty in every process but the one that answered it, if not there too.
        whole = [max(rows, key=len) for rows in zip(*processes.gathered(tokens), strict=True)]
        return [str(self.tokenizer.decode(row, skip_special_tokens=True)).strip() for row in whole]


def choose(rows: list[dict], most: int) -> list[dict]:
    """At most ``most`` examples of each task, spread evenly over the split."""
    chosen: list[dict] = []
    for task in TASKS:
        found = [row for row in rows if row["task"] == task]
        places = np.unique(np.linspace(0, len(found) - 1, min(most, len(found))).round().astype(int))
        chosen.extend(found[place] for place in places)
    return chosen


def predict(
    reader: Reader, rows: list[dict], world: World, boxes: BoxFormat, settings: EvaluateParams
) -> pa.Table:
    """Answer the examples and score them: the ``predictions`` table, in the order of ``rows``.

    The last answer of a conversation is asked for, behind its earlier turns as the dataset has them.
    """
    said = reader.answer(
        [row["image_id"] for row in rows],
        [reader.ask(row["texts"][:-1]) for row in rows],
        settings.batch_size,
    )
    return score(rows, said, world, boxes)


def score(rows: list[dict], said: list[str], world: World, boxes: BoxFormat) -> pa.Table:
    """The ``predictions`` table of answers that are there already."""
    table = []
    for row, answer in zip(rows, said, strict=True):
        found = boxes.parse(answer, *world.sizes[row["image_id"]]) if row["task"] == "referring" else None
        table.append(
            {name: row[name] for name in ("conversation_id", "image_id", "task", "kind", "prompt", "box")}
            | {"answer": row["reference"], "prediction": answer, "predicted_box": found, "score": 0.0}
        )
    for task in TASKS:
        places = [place for place, row in enumerate(table) if row["task"] == task]
        if places:
            for place, value in zip(places, _rule(task, [table[k] for k in places], world), strict=True):
                table[place]["score"] = float(value)
    return schemas.from_rows("predictions", table)


def summarise(predictions: pa.Table, world: World, settings: EvaluateParams, seed: int) -> Estimates:
    """Estimates of the tasks' metrics from a ``predictions`` table; METEOR and SPICE are left out."""
    return measure(predictions, world).estimates(settings, seed)


def _rule(task: str, rows: list[dict], world: World) -> np.ndarray:
    answers, said = [row["answer"] for row in rows], [row["prediction"] for row in rows]
    if task == "caption":
        known = world.lexicon()
        if known is None:
            people = [world.captions[row["image_id"]] for row in rows]
            # CIDEr has no meaning for a single image.
            return captioning.cider(said, people) if len(rows) > 1 else caption_scores.rouge_l(said, people)
        return captioning.objects_f1(said, [scene_of(world.objects[row["image_id"]]) for row in rows], known)
    if task == "referring":
        true = np.array([row["box"] for row in rows], np.float64)
        return referring.box_scores([row["predicted_box"] for row in rows], true).hit
    if task == "instruction":
        return instructions.followed([row["kind"] for row in rows], answers, said)
    return vqa.exact_match(said, answers)


def scene_of(objects: list[dict]) -> list[tuple[str, str]]:
    """An image's objects as (noun, colour)."""
    return [(row["label"], row["attributes"][0]) for row in objects if row["attributes"]]
