"""What the language model reads and writes: captions, conversations with their boxes, and scenes in words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
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


def sizes_of(images: pa.Table) -> dict[str, tuple[int, int]]:
    """Width and height by image id, of rows of ``images``."""
    columns = (images[name].to_pylist() for name in ("image_id", "width", "height"))
    return {image: (width, height) for image, width, height in zip(*columns, strict=True)}


def with_box(text: str, box: Sequence[float] | None, size: tuple[int, int], boxes: BoxFormat) -> str:
    """A conversation's text with the marker replaced by its box in the language model's format."""
    return text if box is None or MARKER not in text else text.replace(MARKER, boxes.render(box, *size))


def conversations(data: Path, split: str, boxes: BoxFormat) -> Iterator[list[dict]]:
    """A split's conversations, a list for each part of the dataset: never all at once.

    Each row has the columns of ``conversations``, and in the model's box format ``texts``, what user and
    assistant say in turn, ``reference``, the last of them, and ``prompt``, what it answers.
    """
    folders = (data / "conversations", data / "images")
    # Part i of every table concerns the same images.
    for table, images in zip(*map(dataset.iter_parts, folders), strict=True):
        sizes = sizes_of(images)
        rows = table.filter(pc.equal(table["split"], split)).to_pylist()
        for row in rows:
            size = sizes[row["image_id"]]
            said = [turn["text"] for turn in row["turns"] if turn["role"] in ("user", "assistant")]
            # The last turn is the answer; tables of other tools may hold it in its own column alone.
            asked = said[:-1] if len(said) % 2 == 0 else said
            row["texts"] = [with_box(each, row["box"], size, boxes) for each in (*asked, row["answer"])]
            row["prompt"], row["reference"] = row["texts"][-2:]
        yield rows


def discussed(data: Path, split: str) -> list[str]:
    """The images that a split's conversations are about, in the order of the table."""
    parts = dataset.iter_parts(data / "conversations", ["image_id", "split"])
    found = (part.filter(pc.equal(part["split"], split))["image_id"] for part in parts)
    return [image for column in found for image in column.unique().to_pylist()]


def conversation_turns(
    parts: Iterable[list[dict]], images: Sequence[str], tokenizer, chat: ChatFormat
) -> Turns:
    """`conversations` as tokenised turns, one sequence each, grouped by the images' numbers."""
    number = {image: index for index, image in enumerate(images)}
    return Turns.of(
        tokenizer,
        (
            (
                [chat.dialogue(row["texts"]) for row in rows],
                _numbers([row["image_id"] for row in rows], number),
            )
            for rows in parts
        ),
        len(images),
        chat.image,
    )


def caption_turns(captions: pa.Table, images: Sequence[str], tokenizer, chat: ChatFormat) -> Turns:
    """Captions as turns without a question, grouped by the images' numbers; others' captions are left out."""
    number = {image: index for index, image in enumerate(images)}
    return Turns.of(
        tokenizer,
        (
            (
                [(chat.caption_prompt(), chat.answer(text)) for text in batch["text"].to_pylist()],
                _numbers(batch["image_id"].to_pylist(), number),
            )
            for batch in captions.to_batches()
        ),
        len(images),
        chat.image,
    )


def _numbers(image_ids: list[str], number: Mapping[str, int]) -> np.ndarray:
    return np.fromiter((number.get(image, -1) for image in image_ids), np.int64, len(image_ids))


LIST = "List everything with its box."
LISTINGS = 2
"""Times that a scene is listed again."""


def listings(data: Path, split: str, boxes: BoxFormat, seed: int) -> Iterator[list[dict]]:
    """Turns that list a scene again, in another order: rows like those of `conversations`.

    Ordinary text says things more than once, and from that language models learn to look a thing up in what
    they read. The conversations alone ask for so little of it that a small model takes thousands of steps to
    learn to.
    """
    folders = (data / "objects", data / "images")
    generator = np.random.default_rng([seed, 6])
    for table, images in zip(*map(dataset.iter_parts, folders), strict=True):
        sizes = sizes_of(images.filter(pc.equal(images["split"], split)))
        scenes = objects_in_words(table, sizes, boxes)
        yield [
            {"image_id": image, "texts": [LIST, in_order(entries, generator)]}
            for image, entries in scenes.items()
            for _ in range(LISTINGS)
        ]


def scenes_in_words(
    objects: Path, images: Sequence[str], sizes: Mapping[str, tuple[int, int]], boxes: BoxFormat, seed: int
) -> Iterator[str]:
    """Each image's objects as text, in random order: ``red cup <b01> <b02> <b05> <b07>; ...``.

    This is what the language model learns the tasks from before it ever sees an image, and the ceiling of
    evaluation: what a perfect reading of the image would tell it.
    """
    wanted = {image: sizes[image] for image in images}
    found: dict[str, list[str]] = {}
    for table in dataset.iter_parts(objects):
        found |= objects_in_words(table, wanted, boxes)
    for index, image in enumerate(images):
        yield in_order(found.get(image, []), np.random.default_rng([seed, 4, index]))


def objects_in_words(
    objects: pa.Table, sizes: Mapping[str, tuple[int, int]], boxes: BoxFormat
) -> dict[str, list[str]]:
    """Each object as text, by image, of the images in ``sizes``: ``red cup <b01> <b02> <b05> <b07>``."""
    found: dict[str, list[str]] = {}
    for row in objects.select(["image_id", "label", "attributes", "box"]).to_pylist():
        if size := sizes.get(row["image_id"]):
            name = " ".join([*row["attributes"], row["label"]])
            found.setdefault(row["image_id"], []).append(f"{name} {boxes.render(row['box'], *size)}")
    return found


def in_order(entries: Sequence[str], generator: np.random.Generator) -> str:
    """Entries as one text, in an order drawn at random."""
    return "; ".join(entries[k] for k in generator.permutation(len(entries)))
