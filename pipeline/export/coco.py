"""COCO's JSON (https://cocodataset.org/#format-data), a set for each split; `pipeline.sources.coco` reads it.

``objects`` and ``regions`` become ``annotations/instances_SPLIT.json``: boxes as (x, y, width, height), masks
as compressed run lengths. A region's category is the lemma of its phrase's head; its phrase, score and
annotator stand beside it. ``captions`` become ``annotations/captions_SPLIT.json``. Ids are the tables' own
where those are whole numbers, as COCO's tools want them; if not, images and annotations are counted from 1
and an image keeps its id as ``name``.
"""

from __future__ import annotations

import re
from contextlib import ExitStack
from typing import Any

from pipeline.export import pictures
from pipeline.export.files import JsonObject
from pipeline.export.job import Item, Job, Row
from pipeline.tables import dataset, masks

_KINDS = {"captions": "captions", "objects": "instances", "regions": "instances", "images": "instances"}
_TAIL = re.compile(r"[a-z](0|[1-9][0-9]*)$")
_NUMBER = re.compile(r"0|[1-9][0-9]*")
_IDS = {"captions": "caption_id", "objects": "object_id"}


def write(job: Job) -> None:
    """Write the annotations and, if pictures are copied, a folder of them for each split."""
    table = job.table.name
    kind = _KINDS[table]
    has_numbers = all(_NUMBER.fullmatch(each) for each in _ids(job, "images", "image_id"))
    keeps_ids = table in _IDS and has_numbers and _are_unique_numbers(job, table)
    numbers: dict[str, int] = {}
    images = annotations = 0
    with ExitStack() as stack:
        files: dict[str, JsonObject] = {}
        for item in job.items(*_needed(table)):
            split = item.image["split"]
            if split not in files:
                path = job.out / "annotations" / f"{kind}_{split}.json"
                files[split] = stack.enter_context(JsonObject(path, ("images", "annotations"), info={}))
            images += 1
            image_id = int(item.image["image_id"]) if has_numbers else images
            files[split].add("images", _image(item, image_id, has_numbers))
            pictures.put(job.out / split, item.file, item.content)
            for row in item.rows.get(table, ()):
                annotations += 1
                number = int(row[_IDS[table]].rpartition("/")[2][1:]) if keeps_ids else annotations
                head = {"id": number, "image_id": image_id}
                files[split].add("annotations", head | _annotation(table, row, item, numbers))
                job.report.written[table] += 1
            job.report.written["images"] += 1
        for file in files.values():
            if kind == "instances":
                file.set("categories", [{"id": number, "name": name} for name, number in numbers.items()])


def _needed(table: str) -> tuple[str, ...]:
    return {"images": (), "regions": ("regions", "phrases")}.get(table, (table,))


def _ids(job: Job, table: str, column: str) -> Any:
    folder = job.table.folder if table == job.table.name else job.table.sibling(table)
    parts = dataset.iter_parts(folder, [column]) if folder else ()
    return (value for part in parts for value in part[column].to_pylist())


def _are_unique_numbers(job: Job, table: str) -> bool:
    """Whether the ids end in whole numbers of which none occurs twice, as those of COCO's own do."""
    seen: set[int] = set()
    for value in _ids(job, table, _IDS[table]):
        found = _TAIL.fullmatch(value.rpartition("/")[2])
        if not found or int(found[1]) in seen:
            return False
        seen.add(int(found[1]))
    return True


def _image(item: Item, number: int, has_numbers: bool) -> Row:
    size = {"width": item.image["width"], "height": item.image["height"]}
    name = {} if has_numbers else {"name": item.image["image_id"]}
    return {"id": number, "file_name": item.file, **size, **name}


def _annotation(table: str, row: Row, item: Item, numbers: dict[str, int]) -> Row:
    if table == "captions":
        return {"caption": row["text"]}
    if table == "objects":
        label, extra = row["label"], {"attributes": row["attributes"]}
    else:
        phrase = next(each for each in item.rows["phrases"] if each["phrase_id"] == row["phrase_id"])
        label = head_of(phrase)
        extra = {name: row[name] for name in ("score", "annotator", "phrase_id")} | {"phrase": phrase["text"]}
    x0, y0, x1, y1 = row["box"]
    mask = row["mask"]
    return {
        "category_id": numbers.setdefault(label, len(numbers) + 1),
        "bbox": [x0, y0, x1 - x0, y1 - y0],
        "area": masks.area(mask) if mask else (x1 - x0) * (y1 - y0),
        "segmentation": {"size": mask["size"], "counts": mask["counts"].decode("ascii")} if mask else [],
        "iscrowd": int(row.get("is_crowd", False)),
        **extra,
    }


def head_of(phrase: Row) -> str:
    """The lemma of a phrase's head, or its text where it has none."""
    heads = [word["lemma"] for word in phrase["words"] if word["role"] == "head"]
    return heads[0] if heads else phrase["text"]
