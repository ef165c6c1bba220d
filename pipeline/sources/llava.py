"""LLaVA's JSON files: captions of pre-training, conversations of fine-tuning.

Layout (liuhaotian/LLaVA-Pretrain and LLaVA-Instruct-150K): a list of
``{"id", "image", "conversations": [{"from": "human" | "gpt", "value"}]}``, where ``<image>`` in a text stands
for the picture. An image has as many rows as talk about it; here it is one image with all their captions and
conversations.

A box in a text, ``[0.12, 0.30, 0.45, 0.80]``, is in shares of the image padded to a square. Where a
conversation has exactly one, it becomes the conversation's ``box`` and ``<box>`` in the text; elsewhere the
text stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.params import SourceParams
from pipeline.sources import boxes
from pipeline.sources.index import Place, RowIndex
from pipeline.sources.listing import ListedSource, Listing, existing, in_folders
from pipeline.sources.rows import Caption, Conversation, Listed, Reject, split_of
from pipeline.sources.stream import CutShortError, json_elements, read_json

BOX = "<box>"
_IMAGE = re.compile(r"\s*<image>\s*")
_NUMBER = r"\s*([01](?:\.\d+)?|0?\.\d+)\s*"
_BOX = re.compile(rf"\[{','.join([_NUMBER] * 4)}\]")
_ROLES = {"human": "user", "gpt": "assistant"}
_SHORT = ("answer the question using a single word or phrase", "answer with the option's letter")
_DESCRIBE = ("provide a one-sentence caption", "describe the image", "describe this image")


def source(params: SourceParams) -> ListedSource:
    """LLaVA's files as a source."""
    return ListedSource(params, inputs, listing)


def inputs(params: SourceParams) -> list[Path]:
    """The JSON files."""
    tree = "LLaVA's JSON files, and pictures at the paths that they name"
    return existing(params.path, params.llava.files, "source.llava.files", tree)


def listing(params: SourceParams) -> Listing:
    """The images that the files name, in the order in which they first do."""
    index, loose = RowIndex(), []
    paths, kinds = inputs(params), list(params.llava.files.values())
    for file, path in enumerate(paths):
        try:
            for number, element in enumerate(json_elements(path)):
                row = element.value if isinstance(element.value, dict) else {}
                image = row.get("image")
                if isinstance(image, str) and image:
                    index.add(image, (file, element.start, element.end))
                else:
                    loose.append(_without_image(path, number, element.value))
        except CutShortError as error:
            loose.append((f"file:{path.name}", "file_cut_short", str(error)))

    def read(first: int, last: int) -> list[Listed]:
        return [_listed(params, image, places, paths, kinds) for image, places in index.between(first, last)]

    def pictures() -> list[tuple[str, ...]]:
        return [in_folders(params.llava.images, image) for image in index.keys]

    return Listing(len(index), read, loose, pictures=pictures)


def _without_image(path: Path, number: int, row: Any) -> Reject:
    key = f"conversation:{path.stem}/{number}"
    if isinstance(row, dict) and isinstance(row.get("conversations"), list):
        message = f"{path.name}, row {number} (id {row.get('id')!r}) names no image"
        return key, "conversation_without_image", message
    return key, "row_unreadable", f"{path.name}, row {number} has no conversations: {str(row)[:200]}"


def _listed(
    params: SourceParams, image: str, places: list[Place], paths: list[Path], kinds: Sequence[str]
) -> Listed:
    settings = params.llava
    listed = Listed(
        image,
        split_of(image, settings.test_share, settings.validation_share),
        in_folders(settings.images, image),
    )
    for file, start, end in places:
        with paths[file].open("rb") as opened:
            row = read_json(opened, start, end)
        turns = _turns(row.get("conversations") if isinstance(row, dict) else None)
        number = f"{len(listed.captions) + len(listed.conversations) + len(listed.rejects)}"
        if not turns:
            message = f"{paths[file].name}: the conversations of a row are not turns of human and gpt"
            listed.rejects.append((f"conversation:{image}/q{number}", "conversation_invalid", message))
        elif kinds[file] == "captions":
            listed.captions.append(Caption(number, turns[-1][1]))
        else:
            wholes = [turns]
            if settings.turns == "pairs" and len(turns) % 2 == 0:
                wholes = [turns[place : place + 2] for place in range(0, len(turns), 2)]
            for each in wholes:
                name = f"{len(listed.captions) + len(listed.conversations) + len(listed.rejects)}"
                listed.conversations.append(conversation(name, each, settings.boxes))
    return listed


def _turns(conversations: Any) -> list[tuple[str, Any]]:
    """(role, text) of a row's turns; empty if they are not turns."""
    if not isinstance(conversations, list) or not all(isinstance(turn, dict) for turn in conversations):
        return []
    turns = []
    for turn in conversations:
        text = turn.get("value")
        if isinstance(text, str):
            text = _IMAGE.sub(" ", text).strip()
        turns.append((_ROLES.get(str(turn.get("from")), str(turn.get("from"))), text))
    return turns


def conversation(name: str, turns: list[tuple[str, Any]], unit: str) -> Conversation:
    """Turns as a conversation, with its box if there is exactly one in them.

    Args:
        name: its id within the image.
        turns: (role, text).
        unit: what boxes are shares of: ``padded`` or ``image``.
    """
    found = [
        (place, match)
        for place, (_, text) in enumerate(turns)
        if isinstance(text, str)
        for match in _BOX.finditer(text)
    ]
    box, to_pixels = None, boxes.unpadded if unit == "padded" else boxes.scaled
    if len(found) == 1:
        place, match = found[0]
        corners = [float(number) for number in match.groups()]
        if corners[0] < corners[2] <= 1 and corners[1] < corners[3] <= 1:
            box = corners
            role, text = turns[place]
            turns = [*turns]
            turns[place] = (role, text[: match.start()] + BOX + text[match.end() :])
    return Conversation(name, _task(turns, box is not None), tuple(turns), box, to_pixels)


def _task(turns: list[tuple[str, Any]], has_box: bool) -> str:
    """The task, by LLaVA-1.5's own response formats (its paper's table 7); chat if none tells."""
    asked = str(turns[0][1]).lower()
    if has_box:
        return "region" if BOX in asked else "referring"
    if any(hint in asked for hint in _SHORT):
        return "question"
    return "caption" if any(hint in asked for hint in _DESCRIBE) else "chat"
