"""What the language model reads and writes: captions, conversations with their boxes, and scenes in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.models.boxes import BoxFormat
from pipeline.models.chat import ChatFormat
from pipeline.tables import dataset
from pipeline.training.turns import Turns

MARKER = "<box>"
"""What stands for a box in the text of a conversation, whatever the language model's own format."""


def sizes_of(images: Path) -> dict[str, tuple[int, int]]:
    """Width and height of every image."""
    table = dataset.read(images, ["image_id", "width", "height"])
    columns = (table[name].to_pylist() for name in ("image_id", "width", "height"))
    return {image: (width, height) for image, width, height in zip(*columns, strict=True)}


def with_box(text: str, box: Sequence[float] | None, size: tuple[int, int], boxes: BoxFormat) -> str:
    """A conversation's text with the marker replaced by its box in the language model's format."""
    return text if box is None or MARKER not in text else text.replace(MARKER, boxes.render(box, *size))


def read_conversations(
    folder: Path, split: str, sizes: Mapping[str, tuple[int, int]], boxes: BoxFormat
) -> list[dict]:
    """A split's single-turn conversations; ``prompt`` and ``reference`` are in the model's box format."""
    rows = []
    for table in dataset.iter_parts(folder):
        for row in table.filter(pc.equal(table["split"], split)).to_pylist():
            size = sizes[row["image_id"]]
            row["prompt"] = with_box(row["turns"][0]["text"], row["box"], size, boxes)
            row["reference"] = with_box(row["answer"], row["box"], size, boxes)
            rows.append(row)
    return rows


def conversation_turns(rows: list[dict], images: Sequence[str], tokenizer, chat: ChatFormat) -> Turns:
    """Conversations as tokenised turns, grouped by the images' numbers."""
    return _turns(
        [row["image_id"] for row in rows],
        [chat.prompt(row["prompt"]) for row in rows],
        [chat.answer(row["reference"]) for row in rows],
        images,
        tokenizer,
    )


def caption_turns(captions: pa.Table, images: Sequence[str], tokenizer, chat: ChatFormat) -> Turns:
    """Captions as turns without a question, grouped by the images' numbers; others' captions are left out."""
    texts = captions["text"].to_pylist()
    return _turns(
        captions["image_id"].to_pylist(),
        [chat.caption_prompt()] * len(texts),
        [chat.answer(text) for text in texts],
        images,
        tokenizer,
    )


def _turns(
    owners: list[str], prompts: list[str], answers: list[str], images: Sequence[str], tokenizer
) -> Turns:
    number = {image: index for index, image in enumerate(images)}
    owner = np.fromiter((number.get(image, -1) for image in owners), np.int64, len(owners))
    order = np.argsort(owner, kind="stable")
    order = order[owner[order] >= 0]
    return Turns.of(
        tokenizer, [prompts[i] for i in order], [answers[i] for i in order], owner[order], len(images)
    )


def scenes_in_words(
    objects: Path, images: Sequence[str], sizes: Mapping[str, tuple[int, int]], boxes: BoxFormat, seed: int
) -> Iterator[str]:
    """Each image's objects as text, in random order: ``red cup <b01> <b02> <b05> <b07>; ...``.

    This is what the language model learns the tasks from before it ever sees an image, and the ceiling of
    evaluation: what a perfect reading of the image would tell it.
    """
    wanted = set(images)
    found: dict[str, list[str]] = {}
    for table in dataset.iter_parts(objects):
        for row in table.select(["image_id", "label", "attributes", "box"]).to_pylist():
            image = row["image_id"]
            if image in wanted:
                name = " ".join([*row["attributes"], row["label"]])
                found.setdefault(image, []).append(f"{name} {boxes.render(row['box'], *sizes[image])}")
    for index, image in enumerate(images):
        entries = found.get(image, [])
        order = np.random.default_rng([seed, 4, index]).permutation(len(entries))
        yield "; ".join(entries[k] for k in order)
