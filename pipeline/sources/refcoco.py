"""RefCOCO, RefCOCO+ and RefCOCOg: expressions that refer to one object of an image.

Layout (github.com/lichengunc/refer): ``refs(*).p`` is a pickled list of
``{"ref_id", "ann_id", "image_id", "split", "sentences": [{"sent_id", "sent"}]}``, ``instances.json`` is in
COCO's layout. A pickle can run any program, so it is read by an unpickler that makes lists, dicts, texts and
numbers and nothing else; a ``.json`` file of the same list is read too.

A pickle cannot be read in pieces, as any part of it may refer back to any other: while it is listed it is in
memory as a whole, afterwards as packed text. A JSON file is read as a stream.

Each sentence is a caption, linked to its object, and a conversation of the task ``referring``, whose kind is
the split that RefCOCO gives it (testA: people, testB: other things). An image with expressions of several
splits goes with all of them to the one that is held back most, so that no test image is trained on.
"""

from __future__ import annotations

import io
import json
import pickle
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

from pipeline.errors import UserError
from pipeline.params import SourceParams
from pipeline.sources.boxes import corners_of
from pipeline.sources.index import Place, RowIndex
from pipeline.sources.listing import ListedSource, Listing, existing, in_folders
from pipeline.sources.referents import span_of
from pipeline.sources.rows import Caption, Conversation, Listed, Reject, Thing, text_of
from pipeline.sources.stream import CutShortError, json_elements, read_json

PROMPT = "Please provide the bounding box coordinate of the region this sentence describes: {}."
_HELD_BACK = ("train", "validation", "test")
_USED = ("ref_id", "ann_id", "image_id", "split", "sentences")  # of an expression
_TREE = "refcoco/refs(unc).p, refcoco/instances.json, train2014/COCO_train2014_*.jpg"

Entry = tuple[int, int, Any]
"""First byte of an expression, one past its last byte, and itself."""


def source(params: SourceParams) -> ListedSource:
    """The referring expressions as a source."""
    return ListedSource(params, inputs, listing)


def inputs(params: SourceParams) -> list[Path]:
    """The file of expressions and the file of instances."""
    names = [params.refcoco.refs, params.refcoco.instances]
    return existing(params.path, names, "source.refcoco", _TREE)


def listing(params: SourceParams) -> Listing:
    """The images that expressions of the wanted splits are about, in the order in which they come."""
    settings = params.refcoco
    refs_path, instances = inputs(params)
    refs = RowIndex()
    splits: dict[str, str] = {}
    loose: list[Reject] = []
    packed = None if refs_path.suffix == ".json" else io.BytesIO()
    try:
        entries = json_list(refs_path) if packed is None else pickled_list(refs_path, packed)
        for number, (start, end, ref) in enumerate(entries):
            if not _is_ref(ref):
                message = f"{refs_path.name}, entry {number} is no expression: {str(ref)[:200]}"
                loose.append((f"conversation:{refs_path.name}/{number}", "row_unreadable", message))
            elif ref["split"] in settings.splits:
                image_id, split = str(ref["image_id"]), settings.splits[ref["split"]]
                refs.add(image_id, (0, start, end))
                splits[image_id] = max(split, splits.get(image_id, split), key=_HELD_BACK.index)
    except CutShortError as error:
        loose.append((f"file:{refs_path.name}", "file_cut_short", str(error)))
    texts = None if packed is None else packed.getvalue()
    images, objects = RowIndex(), RowIndex()
    categories: dict[str, Any] = {}
    try:
        for name, start, end, value in json_elements(instances):
            row = value if isinstance(value, dict) else {}
            if name == "images":
                images.add(str(row.get("id")), (0, start, end))
            elif name == "annotations" and str(row.get("image_id")) in refs:
                objects.add(str(row.get("id")), (0, start, end))
            elif name == "categories":
                categories[str(row.get("id"))] = row.get("name")
    except CutShortError as error:
        loose.append((f"file:{instances.name}", "file_cut_short", str(error)))
    ids = refs.keys

    def read(first: int, last: int) -> list[Listed]:
        with refs_path.open("rb") if texts is None else io.BytesIO(texts) as file:
            return [
                _listed(
                    image_id,
                    splits[image_id],
                    _row(instances, images.rows(image_id)),
                    [read_json(file, start, end) for _, start, end in places],
                    objects,
                    instances,
                    categories,
                    settings.images,
                )
                for image_id, places in refs.between(first, last)
            ]

    def pictures() -> list[tuple[str, ...]]:
        rows = (_row(instances, images.rows(image_id)) for image_id in ids)
        return [in_folders(settings.images, (row or {}).get("file_name")) for row in rows]

    return Listing(len(ids), read, loose, pictures=pictures)


def json_list(path: Path) -> Iterator[Entry]:
    """The expressions of a JSON file, and where in it they lie.

    Raises:
        UserError: the file holds no list.
        CutShortError: the file is cut short or damaged; everything before was given.
    """
    kinds: dict[str, str] = {}
    for name, *entry in json_elements(path, kinds):
        if name:
            raise _no_list(path, "dict")
        yield entry[0], entry[1], entry[2]
    if kinds:
        raise _no_list(path, "dict")


def pickled_list(path: Path, packed: io.BytesIO) -> Iterator[Entry]:
    """The expressions of a pickle, and where they lie in ``packed``, which they are written to as JSON.

    Raises:
        UserError: the file is cut short, holds no list, or would make anything but plain data.
    """
    try:
        with path.open("rb") as file:
            content = _PlainUnpickler(file).load()
    except UserError:
        raise
    except Exception as error:  # a damaged pickle fails in many ways
        raise UserError(
            f"{path} cannot be read ({error}). It was cut short or damaged: fetch or copy it again."
        ) from error
    if not isinstance(content, list):
        raise _no_list(path, type(content).__name__)
    for ref in content:
        start = packed.tell()
        # What JSON has no form for is no part of an expression that is used.
        kept = {name: ref[name] for name in _USED if name in ref} if isinstance(ref, dict) else None
        packed.write(json.dumps(kept, default=lambda _: None, skipkeys=True).encode())
        yield start, packed.tell(), ref


def _no_list(path: Path, found: str) -> UserError:
    return UserError(f"{path} holds a {found}; RefCOCO's files hold a list.")


class _PlainUnpickler(pickle.Unpickler):
    """Makes plain data only. Files of Python 2, as RefCOCO's are, hold their texts as bytes."""

    def __init__(self, file: Any) -> None:
        super().__init__(file, encoding="utf-8", errors="replace")
        self._name = file.name

    def find_class(self, module: str, name: str) -> NoReturn:
        raise UserError(
            f"{self._name} asks for {module}.{name}: it is no list of plain data, and reading it could run "
            "any program. Fetch the file from RefCOCO's own pages, or turn it into JSON."
        )

    def persistent_load(self, pid: Any) -> NoReturn:
        raise UserError(f"{self._name} refers to data outside the file ({pid!r}): it is no RefCOCO file.")


def _is_ref(ref: Any) -> bool:
    return (
        isinstance(ref, dict)
        and all(isinstance(ref.get(name), (int, str)) for name in ("ref_id", "ann_id", "image_id"))
        and isinstance(ref.get("split"), str)
        and isinstance(ref.get("sentences"), list)
    )


def _row(path: Path, places: list[Place]) -> dict[str, Any] | None:
    """The first row at some places of a file, if there is one."""
    if not places:
        return None
    with path.open("rb") as file:
        row = read_json(file, *places[0][1:])
    return row if isinstance(row, dict) else None


def _listed(
    image_id: str,
    split: str,
    image: dict[str, Any] | None,
    refs: list[dict[str, Any]],
    objects: RowIndex,
    instances: Path,
    categories: Mapping[str, Any],
    folders: list[str],
) -> Listed:
    listed = Listed(image_id, split)
    if image is None:
        listed.fault = ("", "annotation_missing", f"{instances.name} lists no image {image_id}")
    else:
        listed.tried = in_folders(folders, image.get("file_name"))
        listed.size = (image.get("width"), image.get("height"))
    spans: dict[str, list[tuple[str, int, int]]] = {}
    ann_ids = dict.fromkeys(str(ref["ann_id"]) for ref in refs)
    rows = {ann_id: _row(instances, objects.rows(ann_id)) for ann_id in ann_ids}
    for ref in refs:
        ann_id = str(ref["ann_id"])
        row = rows[ann_id]
        fault = None
        if row is None:
            fault = ("", "annotation_missing", f"{instances.name} lists no annotation {ann_id}")
        for number, sentence in enumerate(ref["sentences"]):
            told = sentence if isinstance(sentence, dict) else {}
            text = told.get("sent")
            name = str(told.get("sent_id", f"{ref['ref_id']}.{number}"))
            listed.captions.append(Caption(name, text))
            if isinstance(text, str) and text_of(text):
                spans.setdefault(ann_id, []).append((name, *span_of(text)))
            prompt = PROMPT.format(text_of(text)) if text_of(text) else None
            turns = (("user", prompt), ("assistant", "<box>"))
            box = corners_of(row.get("bbox", ())) if row else ()
            talk = Conversation(name, "referring", turns, box, kind=ref["split"], fault=fault)
            listed.conversations.append(talk)
    for ann_id, row in rows.items():
        if row is None:
            missing = ("", "annotation_missing", f"{instances.name} lists no annotation {ann_id}")
            listed.things.append(Thing(ann_id, None, None, fault=missing))
            continue
        label = categories.get(str(row.get("category_id")))
        message = f"category_id is {row.get('category_id')!r}; the file's `categories` has no such id"
        listed.things.append(
            Thing(
                ann_id,
                label,
                corners_of(row.get("bbox")),
                row.get("segmentation"),
                is_crowd=bool(row.get("iscrowd", 0)),
                spans=tuple(spans.get(ann_id, ())),
                fault=None if text_of(label) else ("", "unknown_category", message),
            )
        )
    return listed
