"""A model's answers to the test split's conversations, and their scores under each task's rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from pipeline.evaluation import captioning, instructions, naming, referring, vqa
from pipeline.evaluation.statistics import estimate
from pipeline.models.boxes import BoxFormat
from pipeline.models.chat import encode
from pipeline.models.generation import answer_all
from pipeline.params import EvaluateParams
from pipeline.tables import schemas
from pipeline.tables.metrics import Estimates

TASKS = ("caption", "referring", "region", "question", "instruction")
LONGEST_ANSWER = 64  # tokens; the longest caption of the scenes has about 50


@dataclass(frozen=True)
class World:
    """What the scores need to know of the test images, beside the examples themselves."""

    sizes: Mapping[str, tuple[int, int]]
    captions: Mapping[str, list[str]]
    objects: Mapping[str, list[dict]]
    """Rows of the ``objects`` table by image."""

    def lexicon(self) -> naming.Lexicon | None:
        """Nouns, colours and other attributes to read captions with; None where objects have no colours."""
        rows = [row for found in self.objects.values() for row in found]
        colours = {row["attributes"][0] for row in rows if row["attributes"]}
        if not colours:
            return None
        others = {word for row in rows for word in row["attributes"][1:]}
        return naming.lexicon({row["label"] for row in rows}, colours, others)


@dataclass(frozen=True)
class Reader:
    """A language model that answers prompts behind prefixes of its own: images, or scenes in words."""

    decoder: PreTrainedModel
    head: torch.nn.Module
    tokenizer: PreTrainedTokenizerBase
    ask: Callable[[str], str]
    """What stands between image and answer for a prompt, such as `ChatFormat.prompt`."""
    prefixes: Callable[[Sequence[str]], torch.Tensor]
    """Prefix embeddings (B, P, D) of images by id; all of equal length."""
    prefix_length: Callable[[str], int]

    def answer(self, images: Sequence[str], prompts: Sequence[str], batch: int) -> list[str]:
        """The answer to each prompt (text between image and answer) about its image."""
        tokens = answer_all(
            self.decoder,
            self.head,
            lambda rows: self.prefixes([images[row] for row in rows]),
            np.fromiter((self.prefix_length(image) for image in images), np.int64, len(images)),
            encode(self.tokenizer, prompts),
            self.tokenizer.eos_token_id,
            LONGEST_ANSWER,
            batch,
        )
        return [str(self.tokenizer.decode(row, skip_special_tokens=True)).strip() for row in tokens]


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
    """Answer the examples and score them: the ``predictions`` table, in the order of ``rows``."""
    said = reader.answer(
        [row["image_id"] for row in rows],
        [reader.ask(row["prompt"]) for row in rows],
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
    """Estimates of the tasks' metrics from a ``predictions`` table."""
    by_task: dict[str, list[dict]] = {}
    for row in predictions.to_pylist():
        by_task.setdefault(row["task"], []).append(row)
    values = {}
    for task, rows in by_task.items():
        scores = np.array([row["score"] for row in rows])
        if task == "caption":
            references = [world.captions[row["image_id"]] for row in rows]
            values["captioning.cider"] = captioning.cider([row["prediction"] for row in rows], references)
            if world.lexicon() is not None:
                values["captioning.objects"] = scores
        elif task == "referring":
            values["referring.accuracy"] = scores
            true = np.array([row["box"] for row in rows], np.float64)
            values["referring.miou"] = referring.box_scores([row["predicted_box"] for row in rows], true).iou
        else:
            values[f"{task}.accuracy"] = scores
    return {key: estimate(found, settings.bootstrap, seed) for key, found in values.items()}


def _rule(task: str, rows: list[dict], world: World) -> np.ndarray:
    answers, said = [row["answer"] for row in rows], [row["prediction"] for row in rows]
    if task == "caption":
        known = world.lexicon()
        if known is None:
            return captioning.cider(said, [world.captions[row["image_id"]] for row in rows])
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
