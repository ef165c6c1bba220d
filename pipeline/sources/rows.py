"""From what a format's files list to rows of the tables: one place where rows are checked and rejected.

A format says what its files hold as `Listed` images; this turns them into tables. Everything that is listed
comes out as a row or as a reject, once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.sources import files
from pipeline.sources.boxes import Box, clipped_corners
from pipeline.sources.reasons import REASONS, UnusableRowError
from pipeline.sources.segmentations import mask_of
from pipeline.tables import schemas
from pipeline.tables.rejects import Rejects
from pipeline.tables.shards import Tables

Reject = tuple[str, str, str]
"""Key (kind and id), reason, message."""
Row = dict[str, Any]
_ROLES = ("user", "assistant")


@dataclass(frozen=True)
class Caption:
    """A caption as listed; its id is unique within its image."""

    name: str
    text: Any


@dataclass(frozen=True)
class Thing:
    """An annotated object as listed; its id is unique within its image."""

    name: str
    label: Any
    box: Any
    """x0, y0, x1, y1 in pixels, unchecked."""
    segmentation: Any = None
    """As in COCO's files."""
    attributes: tuple[Any, ...] = ()
    is_crowd: bool = False
    spans: tuple[tuple[str, int, int], ...] = ()
    """(name of a caption of the image, start, end) of the characters that name it."""
    fault: Reject | None = None
    """Why it cannot be used, if the format knows already; the key does not count."""


@dataclass(frozen=True)
class Conversation:
    """A conversation as listed; its id is unique within its image."""

    name: str
    task: str
    turns: tuple[tuple[str, Any], ...]
    """(role, text); roles are user and assistant."""
    box: Any = None
    """What `to_pixels` takes; None if it is about no box."""
    to_pixels: Callable[[Any, int, int], Any] = lambda box, width, height: box
    """The box, width, height to x0, y0, x1, y1 in pixels, unchecked."""
    kind: str | None = None
    fault: Reject | None = None
    """As a thing's."""


@dataclass
class Listed:
    """An image with all that is listed about it."""

    image_id: str
    split: str
    tried: tuple[str, ...] = ()
    """Paths below the root where the picture may lie, in order."""
    content: Callable[[], bytes] | None = None
    """Gives the encoded picture where it lies in no file of its own; may raise UnusableRowError."""
    size: tuple[Any, Any] | None = None
    """Width and height, as displayed, that the files give it."""
    captions: list[Caption] = field(default_factory=list)
    things: list[Thing] = field(default_factory=list)
    conversations: list[Conversation] = field(default_factory=list)
    fault: Reject | None = None
    """Why the image cannot be used, if the format knows already; the key does not count."""
    rejects: list[Reject] = field(default_factory=list)
    """Rows about the image that hold nothing that could be listed."""
    is_captioned: bool = True
    """Whether an image without text and objects is of no use."""

    def rows(self) -> int:
        """Rows that are listed: the image and all about it."""
        return 1 + len(self.captions) + len(self.things) + len(self.conversations) + len(self.rejects)


def lot(image_id: str) -> float:
    """A number in [0, 1) that depends on the id alone, spread evenly over ids."""
    return int.from_bytes(hashlib.sha256(image_id.encode("utf-8", "surrogatepass")).digest()[:6]) / 2**48


def split_of(image_id: str, test_share: float, validation_share: float) -> str:
    """The split of an image that the dataset itself gives none: by its id, so that it stays when others come.

    Lots below ``validation_share`` go to validation, the highest, a share of ``test_share``, to test.
    """
    number = lot(image_id)
    if number < validation_share:
        return "validation"
    return "test" if number >= 1 - test_share else "train"


def text_of(value: Any) -> str:
    """A text read from a file, stripped; empty if it is no text that an Arrow column can hold."""
    if not isinstance(value, str):
        return ""
    # JSON can spell halves of characters, which are no text and fit no Arrow column.
    is_text = not any("\ud800" <= letter <= "\udfff" for letter in value)
    return value.strip() if is_text else ""


def printable(text: str) -> str:
    """A text with halves of characters spelled out, so that it fits an Arrow column."""
    return text.encode("utf-8", "backslashreplace").decode()


def tables_of(listed: Sequence[Listed], loose: Iterable[Reject], root: Path) -> Tables:
    """The tables ``images``, ``captions``, ``objects``, ``conversations`` and ``rejects``.

    Args:
        listed: a shard's images.
        loose: rejects that belong to no image of the shard.
        root: the dataset's root; nothing outside it is read.
    """
    rejects = Rejects("ingest", REASONS)
    rows: dict[str, list[Row]] = {name: [] for name in ("images", "captions", "objects", "conversations")}

    def reject(key: str, reason: str, message: str) -> None:
        rejects.add(printable(key), reason, printable(message))

    for each in loose:
        reject(*each)
    for item in listed:
        for each in item.rejects:
            reject(*each)
        lost = ""
        image: Row = {}
        try:
            image = _image(item, root)
            rows["images"].append(image)
        except UnusableRowError as error:
            reject(f"image:{item.image_id}", error.reason, str(error))
            # What belongs to an image without captions is lost for that, not for a defect of the picture.
            lost = "image_without_captions" if error.reason == "image_without_captions" else "image_rejected"
        kept: dict[str, str] = {}
        for kind, letter, entries, make in (
            ("caption", "c", item.captions, _caption),
            ("object", "o", item.things, _object),
            ("conversation", "q", item.conversations, _conversation),
        ):
            for name, entry in _named(entries):
                row_id = f"{item.image_id}/{letter}{entry.name}"
                try:
                    if name is None:
                        message = f"{kind} {row_id} is listed twice; the first is kept"
                        raise UnusableRowError("duplicate_annotation_id", message)
                    rows[f"{kind}s"].append(make(row_id, entry, image, lost, kept))
                except UnusableRowError as error:
                    reject(f"{kind}:{row_id}", error.reason, str(error))
    made: Tables = {name: schemas.from_rows(name, rows[name]) for name in rows}
    return {**made, "rejects": rejects.table()}


def _named(entries: Sequence[Any]) -> Iterator[tuple[str | None, Any]]:
    """Entries with their names, None where an earlier one has it."""
    seen: set[str] = set()
    for entry in entries:
        yield (None if entry.name in seen else entry.name), entry
        seen.add(entry.name)


def _raise(fault: Reject | None) -> None:
    if fault:
        raise UnusableRowError(fault[1], fault[2])


def _image(item: Listed, root: Path) -> Row:
    _raise(item.fault)
    if text_of(item.image_id) == "":
        raise UnusableRowError("row_unreadable", f"the image's id is {item.image_id!r}, no usable text")
    has_text = any(text_of(caption.text) for caption in item.captions) or item.conversations or item.things
    if item.is_captioned and not has_text:
        raise UnusableRowError("image_without_captions")
    path = None
    if item.content:
        content, name = item.content(), f"image {item.image_id}"
    else:
        path = name = files.find(root, item.tried)
        content = files.content_of(root, path)
    width, height = files.displayed_size(content, name)
    if item.size and item.size != (width, height):
        raise UnusableRowError(
            "size_mismatch",
            f"{name} is {width} x {height} as displayed, the annotation file says "
            f"{item.size[0]} x {item.size[1]}",
        )
    return {
        "image_id": item.image_id,
        "image": {"bytes": None if path else content, "path": path},
        "sha256": hashlib.sha256(content).hexdigest(),
        "width": width,
        "height": height,
        "split": item.split,
    }


def _caption(row_id: str, caption: Caption, image: Row, lost: str, kept: dict[str, str]) -> Row:
    if not text_of(caption.text):
        raise UnusableRowError("caption_empty")
    if lost:
        raise UnusableRowError(lost)
    kept[caption.name] = caption.text
    return {"caption_id": row_id, "image_id": image["image_id"], "text": caption.text}


def _object(row_id: str, thing: Thing, image: Row, lost: str, kept: dict[str, str]) -> Row:
    _raise(thing.fault)
    if lost:
        raise UnusableRowError(lost)
    if not text_of(thing.label):
        raise UnusableRowError("label_empty", f"the label is {thing.label!r}")
    width, height = image["width"], image["height"]
    return {
        "object_id": row_id,
        "image_id": image["image_id"],
        "label": text_of(thing.label),
        "attributes": [text_of(word) for word in thing.attributes if text_of(word)],
        "box": clipped_corners(thing.box, width, height),
        "mask": mask_of(thing.segmentation, width, height),
        "is_crowd": thing.is_crowd,
        "phrase": [
            {"caption_id": f"{image['image_id']}/c{name}", "start": start, "end": end}
            for name, start, end in thing.spans
            if 0 <= start < end <= len(kept.get(name, ""))
        ],
    }


def _conversation(row_id: str, talk: Conversation, image: Row, lost: str, kept: dict[str, str]) -> Row:
    _raise(talk.fault)
    if lost:
        raise UnusableRowError(lost)
    roles = [role for role, _ in talk.turns]
    if not roles or len(roles) % 2 or roles != [*_ROLES] * (len(roles) // 2):
        raise UnusableRowError(
            "conversation_invalid", f"the turns are by {roles}, not user and assistant in turn"
        )
    if not all(text_of(text) for _, text in talk.turns):
        raise UnusableRowError("conversation_invalid", "a turn has no text")
    width, height = image["width"], image["height"]
    box: Box | None = None
    if talk.box is not None:
        box = clipped_corners(talk.to_pixels(talk.box, width, height), width, height)
    return {
        "conversation_id": row_id,
        "image_id": image["image_id"],
        "task": talk.task,
        "kind": talk.kind,
        "turns": [{"role": role, "text": text} for role, text in talk.turns],
        "answer": talk.turns[-1][1],
        "box": box,
        "split": image["split"],
    }
