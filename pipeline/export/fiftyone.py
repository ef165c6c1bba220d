"""FiftyOne's own layout, ``FiftyOneImageDetectionDataset``: for each split ``labels.json`` and ``data/``.

``labels.json`` holds ``{"classes": [names], "labels": {key: [{"label", "bounding_box", ...}]}}``: labels by
their place among the classes, boxes (x, y, width, height) as shares of the picture. A key is a picture's name
in ``data/`` without its ending, or, where pictures are not copied, its absolute path. To open it:

    fiftyone.Dataset.from_dir("OUT/train", fiftyone.types.FiftyOneImageDetectionDataset)
"""

from __future__ import annotations

from contextlib import ExitStack

from pipeline.export import pictures
from pipeline.export.coco import head_of
from pipeline.export.files import JsonObject
from pipeline.export.job import Item, Job, Row


def write(job: Job) -> None:
    """Write the labels and, if pictures are copied, ``data/`` of each split."""
    table = job.table.name
    names = {"images": (), "objects": ("objects",), "regions": ("regions", "phrases")}[table]
    classes: dict[str, int] = {}
    with ExitStack() as stack:
        files: dict[str, JsonObject] = {}
        for item in job.items(*names):
            split = item.image["split"]
            if split not in files:
                path = job.out / split / "labels.json"
                files[split] = stack.enter_context(JsonObject(path, ("labels",)))
            key = _key(item, job)
            if item.content is not None:
                pictures.put(job.out / split / "data", key + pictures.ending(item.content), item.content)
            labels = None if table == "images" else [_label(row, item, classes) for row in item.rows[table]]
            files[split].add("labels", labels, key=key)
            job.report.written["images"] += 1
            job.report.written["labels"] += len(labels or ())
        for file in files.values():
            if table != "images":
                file.set("classes", list(classes))


def _key(item: Item, job: Job) -> str:
    if item.content is None:
        return str((job.root / item.file).resolve())
    return pictures.safe_name(item.image["image_id"])


def _label(row: Row, item: Item, classes: dict[str, int]) -> Row:
    x0, y0, x1, y1 = row["box"]
    width, height = item.image["width"], item.image["height"]
    box = [x0 / width, y0 / height, (x1 - x0) / width, (y1 - y0) / height]
    if "label" in row:
        label, extra = row["label"], {"attributes": {"attributes": row["attributes"]}}
    else:
        phrase = next(each for each in item.rows["phrases"] if each["phrase_id"] == row["phrase_id"])
        attributes = {"phrase": phrase["text"], "phrase_id": row["phrase_id"], "annotator": row["annotator"]}
        label, extra = head_of(phrase), {"confidence": row["score"], "attributes": attributes}
    return {"label": classes.setdefault(label, len(classes)), "bounding_box": box, **extra}
