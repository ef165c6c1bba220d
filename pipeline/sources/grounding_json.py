"""Captions whose phrases have boxes: MDETR's JSON (GoldG) and ODVG's JSONL (GRIT-20M).

MDETR (github.com/ashkamath/mdetr, ``final_mixed_train.json`` and the like): COCO's layout, where an entry of
``images`` carries a ``caption`` and an annotation ``tokens_positive``, the [start, end) characters of the
caption that name it. A picture has an entry for each caption: it is one image here.

ODVG (Open-GroundingDino, MM-Grounding-DINO): a line is ``{"filename", "height", "width", "grounding":
{"caption", "regions": [{"bbox", "phrase", "tokens_positive"}]}}``, boxes (x0, y0, x1, y1); or ``"detection":
{"instances": [{"bbox", "category"}]}``, objects without a caption.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.errors import UserError
from pipeline.params import SourceParams
from pipeline.sources.boxes import corners_of
from pipeline.sources.index import Place, RowIndex
from pipeline.sources.listing import ListedSource, Listing, existing, in_folders
from pipeline.sources.rows import Caption, Listed, Reject, Thing, split_of, text_of
from pipeline.sources.stream import CutShortError, json_elements, json_lines, read_json

_TREE = "MDETR's .json or ODVG's .jsonl files, and pictures at the names that they give"


def source(params: SourceParams) -> ListedSource:
    """Grounding files as a source."""
    return ListedSource(params, inputs, listing)


def inputs(params: SourceParams) -> list[Path]:
    """The files."""
    names = params.grounding_json.files
    for name in names:
        if Path(name).suffix not in (".json", ".jsonl"):
            raise UserError(f"source.grounding_json.files: found {name!r}; each must be a .json or a .jsonl.")
    return existing(params.path, names, "source.grounding_json.files", _TREE)


def listing(params: SourceParams) -> Listing:
    """The pictures that the files name, in the order in which they first do."""
    settings = params.grounding_json
    paths = inputs(params)
    images, annotations = RowIndex(), RowIndex()
    loose: list[Reject] = []
    for file, path in enumerate(paths):
        try:
            if path.suffix == ".json":
                _index_mdetr(file, path, images, annotations, loose)
            else:
                _index_odvg(file, path, images, loose)
        except CutShortError as error:
            loose.append((f"file:{path.name}", "file_cut_short", str(error)))

    def read(first: int, last: int) -> list[Listed]:
        listed = []
        for key, places in images.between(first, last):
            split = split_of(key, settings.test_share, settings.validation_share)
            item = Listed(key, split, in_folders(settings.images, key))
            for place in places:
                path, row = paths[place[0]], _read(paths, place)
                if item.size is None and "width" in row and "height" in row:
                    item.size = (row["width"], row["height"])
                if path.suffix == ".json":
                    rows = (_read(paths, found) for found in annotations.rows(f"{place[0]}/{row['id']}"))
                    _add_mdetr(item, row, f"{place[0]}." if len(paths) > 1 else "", rows)
                else:
                    _add_odvg(item, row)
            listed.append(item)
        return listed

    def pictures() -> list[tuple[str, ...]]:
        return [in_folders(settings.images, key) for key in images.keys]

    return Listing(len(images), read, loose, pictures=pictures)


def _read(paths: list[Path], place: Place) -> dict[str, Any]:
    with paths[place[0]].open("rb") as file:
        return read_json(file, *place[1:])


def _index_mdetr(file: int, path: Path, images: RowIndex, annotations: RowIndex, loose: list[Reject]) -> None:
    """Note a file's images and annotations, which may come in any order."""
    entries: set[str] = set()
    found = RowIndex()
    try:
        for number, (name, start, end, value) in enumerate(json_elements(path)):
            row = value if isinstance(value, dict) else {}
            if name == "images":
                entry, picture = row.get("id"), row.get("file_name")
                if not isinstance(entry, (int, str)) or not isinstance(picture, str) or not picture:
                    message = f"{path.name}: an image has no id or no file_name: {str(value)[:200]}"
                    loose.append((f"image:{path.stem}/{number}", "row_unreadable", message))
                elif str(entry) in entries:
                    message = f"the id {entry} is taken twice in {path.name}; the first is kept"
                    loose.append((f"image:{picture}", "duplicate_image_id", message))
                else:
                    entries.add(str(entry))
                    images.add(picture, (file, start, end))
            elif name == "annotations":
                if isinstance(row.get("image_id"), (int, str)) and "id" in row:
                    found.add(str(row["image_id"]), (file, start, end))
                else:
                    message = f"{path.name}: an annotation has no id or no image_id: {str(value)[:200]}"
                    loose.append((f"object:{path.stem}/{number}", "row_unreadable", message))
    finally:  # what stands before a cut counts
        for entry in found.keys:
            for place in found.rows(entry):
                if entry in entries:
                    annotations.add(f"{file}/{entry}", place)
                else:
                    message = f"{path.name} lists no image {entry}"
                    loose.append((f"object:{path.stem}/{entry}", "annotation_without_image", message))


def _index_odvg(file: int, path: Path, images: RowIndex, loose: list[Reject]) -> None:
    for number, (_, start, end, value) in enumerate(json_lines(path)):
        picture = value.get("filename") if isinstance(value, dict) else None
        if isinstance(picture, str) and picture and _groups(value):
            images.add(picture, (file, start, end))
        else:
            message = (
                f"{path.name}, line {number}: no filename with grounding or detection: {str(value)[:200]}"
            )
            loose.append((f"image:{path.stem}/{number}", "row_unreadable", message))


def _groups(row: dict[str, Any]) -> dict[str, list[Any]]:
    """The lists of regions and of instances that a line of ODVG has."""
    lists = {}
    for name, of in (("grounding", "regions"), ("detection", "instances")):
        group = row.get(name)
        if isinstance(group, dict) and isinstance(group.get(of), list):
            lists[name] = group[of]
    return lists


def _add_mdetr(item: Listed, entry: dict[str, Any], prefix: str, rows: Iterator[dict[str, Any]]) -> None:
    name, caption = f"{prefix}{entry['id']}", entry.get("caption")
    item.captions.append(Caption(name, caption))
    for row in rows:
        spans = _spans(row.get("tokens_positive"), caption)
        thing = Thing(
            f"{prefix}{row['id']}",
            caption[slice(*spans[0])] if spans and isinstance(caption, str) else "",
            corners_of(row.get("bbox")),
            is_crowd=bool(row.get("iscrowd", 0)),
            spans=tuple((name, *span) for span in spans or ()),
            fault=None if spans else _no_span(row.get("tokens_positive")),
        )
        item.things.append(thing)


def _add_odvg(item: Listed, row: dict[str, Any]) -> None:
    groups = _groups(row)
    number = f"{len(item.captions)}"
    caption = None
    if "grounding" in groups:
        caption = row["grounding"].get("caption")
        item.captions.append(Caption(number, caption))
    else:
        item.is_captioned = bool(item.captions) and item.is_captioned
    for region in groups.get("grounding", []):
        told = region if isinstance(region, dict) else {}
        given = told.get("tokens_positive")
        phrases = told.get("phrase")
        phrase = phrases[0] if isinstance(phrases, list) and phrases else phrases
        spans = _spans(given, caption) if given else _found(phrase, caption)
        fault = _no_span(given) if spans is None else None
        if not text_of(phrase) and spans and isinstance(caption, str):
            phrase = caption[slice(*spans[0])]
        for box in _boxes(told.get("bbox")):
            links = tuple((number, *span) for span in spans or ())
            item.things.append(Thing(f"{len(item.things)}", phrase, box, spans=links, fault=fault))
    for instance in groups.get("detection", []):
        told = instance if isinstance(instance, dict) else {}
        for box in _boxes(told.get("bbox")):
            item.things.append(Thing(f"{len(item.things)}", told.get("category"), box))


def _boxes(bbox: Any) -> list[Any]:
    """The boxes of a region: it has one, or a list of them."""
    return bbox if isinstance(bbox, list) and bbox and isinstance(bbox[0], list) else [bbox]


def _spans(given: Any, caption: Any) -> list[tuple[int, int]] | None:
    """``tokens_positive`` as spans of the caption, in order; None if they are not."""
    if not isinstance(given, list) or not given or not isinstance(caption, str):
        return None
    pairs = [given] if all(type(number) is int for number in given) else given
    spans = []
    for pair in pairs:
        if not isinstance(pair, list) or len(pair) != 2 or not all(type(number) is int for number in pair):
            return None
        if not 0 <= pair[0] < pair[1] <= len(caption):
            return None
        spans.append((pair[0], pair[1]))
    return sorted(set(spans))


def _found(phrase: Any, caption: Any) -> list[tuple[int, int]]:
    """Where a phrase stands in the caption first, if it does."""
    if not text_of(phrase) or not isinstance(caption, str):
        return []
    start = caption.find(phrase)
    if start < 0 and len(caption.lower()) == len(caption):  # lower case can be longer
        start = caption.lower().find(phrase.lower())
    return [(start, start + len(phrase))] if start >= 0 else []


def _no_span(given: Any) -> Reject:
    return "", "span_invalid", f"tokens_positive is {str(given)[:200]}: no [start, end) of the caption"
