"""LLaVA's JSON: a list of ``{"id", "image", "conversations": [{"from", "value"}]}`` for each split.

As `pipeline.sources.llava` reads it. Boxes in texts, ``[0.120, 0.300, 0.450, 0.800]``, are shares of the
picture padded to a square (LLaVA-1.5). ``captions`` become LLaVA-Pretrain's rows, ``conversations``
LLaVA-Instruct's, ``regions`` a question for each phrase, answered with its boxes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack

from pipeline.export import pictures
from pipeline.export.files import JsonList
from pipeline.export.job import Item, Job, Row
from pipeline.sources.llava import BOX

IMAGE = "<image>"
DESCRIBE = "Provide a one-sentence caption for the provided image."
POINT = "Please provide the bounding box coordinate of the region this sentence describes: "
_ROLES = {"user": "human", "assistant": "gpt"}


def write(job: Job) -> None:
    """Write a list for each split and, if pictures are copied, ``images/``."""
    table = job.table.name
    names = ("regions", "phrases") if table == "regions" else (table,)
    with ExitStack() as stack:
        files: dict[str, JsonList] = {}
        for item in job.items(*names):
            pictures.put(job.out / "images", item.file, item.content)
            job.report.written["images"] += 1
            for split, row in _rows(table, item, job.box_digits):
                if split not in files:
                    files[split] = stack.enter_context(JsonList(job.out / f"{split}.json"))
                files[split].add(row)
                job.report.written["conversations"] += 1


def _rows(table: str, item: Item, digits: int) -> Iterator[tuple[str, Row]]:
    """(split, row of the file) for each example of the image."""
    split = item.image["split"]
    if table == "captions":
        for caption in item.rows["captions"]:
            yield (
                split,
                _row(caption["caption_id"], item, [("user", DESCRIBE), ("assistant", caption["text"])]),
            )
    elif table == "conversations":
        for row in item.rows["conversations"]:
            text = share_text(row["box"], item.image, digits) if row["box"] else BOX
            turns = [(turn["role"], turn["text"].replace(BOX, text)) for turn in row["turns"]]
            yield row["split"], _row(row["conversation_id"], item, turns)
    else:
        for phrase in item.rows["phrases"]:
            boxes = [row["box"] for row in item.rows["regions"] if row["phrase_id"] == phrase["phrase_id"]]
            if boxes:
                answer = ", ".join(share_text(box, item.image, digits) for box in boxes)
                turns = [("user", f"{POINT}{phrase['text']}."), ("assistant", answer)]
                yield split, _row(phrase["phrase_id"], item, turns)


def _row(name: str, item: Item, turns: Sequence[tuple[str, str]]) -> Row:
    (role, text), *rest = turns
    values = [(role, f"{IMAGE}\n{text}"), *rest]
    return {
        "id": name,
        "image": item.file,
        "conversations": [{"from": _ROLES[role], "value": text} for role, text in values],
    }


def share_text(box: Sequence[float], image: Row, digits: int) -> str:
    """A box in pixels as shares of the image padded to a square: the inverse of `sources.boxes.unpadded`."""
    width, height = image["width"], image["height"]
    side = max(width, height)
    left, top = (side - width) // 2, (side - height) // 2
    x0, y0, x1, y1 = box
    shares = ((x0 + left) / side, (y0 + top) / side, (x1 + left) / side, (y1 + top) / side)
    return f"[{', '.join(f'{share:.{digits}f}' for share in shares)}]"
