"""What a COCO folder's JSON files list, dealt to shards: no picture is opened here."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from pipeline.errors import UserError

Row = dict[str, Any]


@dataclass
class Shard:
    """The rows of COCO's files that are dealt to one shard."""

    set_name: str
    images: list[Row]
    """By id, each once."""
    categories: dict[str, str]
    """Names by id."""
    has_captions: bool
    """Whether the set has a captions file: if not, no image is to blame for having no caption."""
    captions: list[tuple[str, Row]] = field(default_factory=list)
    """(image id, annotation) of these images, in order of image and annotation id."""
    objects: list[tuple[str, Row]] = field(default_factory=list)
    """As captions."""
    rejects: list[tuple[str, str, str]] = field(default_factory=list)
    """(key, reason, message) of rows that are wrong whatever the pictures hold."""

    def rows(self) -> int:
        """Rows of COCO's files in this shard."""
        return len(self.images) + len(self.captions) + len(self.objects) + len(self.rejects)


@dataclass(frozen=True)
class SetFiles:
    """The annotation files of one of COCO's sets; either may be absent."""

    name: str
    captions: Path | None
    instances: Path | None

    def paths(self) -> list[Path]:
        """Those that are there."""
        return [path for path in (self.captions, self.instances) if path]


def find_sets(root: Path, names: Iterable[str]) -> list[SetFiles]:
    """The annotation files of the named sets.

    Raises:
        UserError: the folder or a set's files are missing; the message shows the tree that is expected.
    """
    folder = root / "annotations"
    sets = []
    for name in names:
        captions, instances = (folder / f"{kind}_{name}.json" for kind in ("captions", "instances"))
        if not captions.is_file() and not instances.is_file():
            there = ", ".join(sorted(path.name for path in folder.glob("*.json"))) or "no .json file"
            raise UserError(
                f"source.path is {root}, source.coco.splits names the set {name}, and neither {captions} nor "
                f"{instances} is there. Expected: {root}/annotations/captions_{name}.json and (or) "
                f"instances_{name}.json, pictures in {root}/{name}/ or {root}/images/{name}/. "
                f"Found in {folder}: {there if folder.is_dir() else 'no such folder'}."
            )
        sets.append(
            SetFiles(
                name,
                captions if captions.is_file() else None,
                instances if instances.is_file() else None,
            )
        )
    return sets


_reading = threading.Lock()


def shards_of(root: Path, names: Iterable[str], shard_size: int) -> list[Shard]:
    """All shards of the folder: the sets in order, each set's images by id, ``shard_size`` images a shard.

    A shard never mixes sets. Rows of images that are not listed go with the first shard of their set.
    The files are read once a process, and again when they change.
    """
    sets = find_sets(root, names)
    stamps = tuple((path.stat().st_mtime_ns, path.stat().st_size) for files in sets for path in files.paths())
    with _reading:  # threads that ask at the same time wait for one reading instead of doing their own
        return _shards(tuple(sets), shard_size, stamps)


@lru_cache(maxsize=1)
def _shards(sets: tuple[SetFiles, ...], shard_size: int, stamps: tuple) -> list[Shard]:
    shards: list[Shard] = []
    listed_before: set[str] = set()
    for files in sets:
        shards += _shards_of_set(files, shard_size, listed_before)
    return shards


def _shards_of_set(files: SetFiles, shard_size: int, listed_before: set[str]) -> list[Shard]:
    captions = read_json(files.captions) if files.captions else {}
    instances = read_json(files.instances) if files.instances else {}
    images, wrong = _unique_images(files, captions, instances)
    elsewhere = listed_before & images.keys()
    for image_id in sorted(elsewhere, key=_id_order):
        del images[image_id]
        wrong.append((image_id, f"image {image_id} is in an earlier set too; that one is kept"))
    order = sorted(images, key=_id_order)
    listed_before.update(order)
    categories = {
        str(_id_of(row, files.instances, "categories")): str(row.get("name"))
        for row in instances.get("categories", [])
    }
    shards = [
        Shard(
            files.name,
            [images[image_id] for image_id in order[start : start + shard_size]],
            categories,
            has_captions=files.captions is not None,
        )
        for start in range(0, max(1, len(order)), shard_size)
    ]
    shard_of = {image_id: shards[place // shard_size] for place, image_id in enumerate(order)}
    for image_id, message in wrong:
        shard_of.get(image_id, shards[0]).rejects.append((f"image:{image_id}", "duplicate_image_id", message))
    for kind, letter, path, rows in (
        ("caption", "c", files.captions, captions.get("annotations", [])),
        ("object", "o", files.instances, instances.get("annotations", [])),
    ):
        seen: set[str] = set()
        for row in rows:
            image_id, row_id = str(row.get("image_id")), str(_id_of(row, path, "annotations"))
            shard = shard_of.get(image_id, shards[0])
            key = f"{kind}:{image_id}/{letter}{row_id}"
            if row_id in seen:
                message = f"{kind} id {row_id} is listed twice; the first is kept"
                shard.rejects.append((key, "duplicate_annotation_id", message))
            elif image_id in shard_of:
                (shard.captions if kind == "caption" else shard.objects).append((image_id, row))
            elif image_id in elsewhere:
                shard.rejects.append((key, "image_rejected", f"image {image_id} is in an earlier set too"))
            else:
                message = f"image {image_id} is not listed in the set {files.name}"
                shard.rejects.append((key, "annotation_without_image", message))
            seen.add(row_id)
    for shard in shards:
        shard.captions.sort(key=_annotation_order)
        shard.objects.sort(key=_annotation_order)
    return shards


def _unique_images(
    files: SetFiles, captions: Row, instances: Row
) -> tuple[dict[str, Row], list[tuple[str, str]]]:
    """The set's images by id, and listings that contradict an earlier one as (id, message).

    COCO lists every image in both files: the same listing in the other file is the same image. Within one
    file, or with another file name or size, it is a duplicate.
    """
    images: dict[str, Row] = {}
    wrong: list[tuple[str, str]] = []
    for path, content in ((files.captions, captions), (files.instances, instances)):
        seen: set[str] = set()
        for row in content.get("images", []):
            image_id = str(_id_of(row, path, "images"))
            if image_id in seen or (image_id in images and _differ(images[image_id], row)):
                message = f"image {image_id} is listed again, as {row.get('file_name')!r}; the first is kept"
                wrong.append((image_id, message))
            else:
                images.setdefault(image_id, row)
            seen.add(image_id)
    return images, wrong


def _differ(one: Row, other: Row) -> bool:
    return any(one.get(name) != other.get(name) for name in ("file_name", "width", "height"))


def _id_of(row: Any, path: Path | None, list_name: str) -> Any:
    if not isinstance(row, dict) or not isinstance(row.get("id"), (int, str)):
        raise UserError(f"{path}: an entry of `{list_name}` has no id: {str(row)[:200]}. Each needs one.")
    return row["id"]


def _id_order(identifier: str) -> tuple[int, int, str]:
    """Numbers in order of size, then everything else by its letters."""
    is_number = identifier.isascii() and identifier.isdigit()
    return (0, int(identifier), identifier) if is_number else (1, 0, identifier)


def _annotation_order(pair: tuple[str, Row]) -> tuple:
    image_id, row = pair
    return _id_order(image_id), _id_order(str(row["id"]))


def read_json(path: Path) -> Row:
    """An annotation file.

    Raises:
        UserError: it is cut short, is no JSON, or is not laid out as COCO's files are.
    """
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        raise UserError(
            f"{path} is not whole JSON ({error}). It was cut short or damaged: fetch or copy it again."
        ) from error
    if not isinstance(content, dict):
        raise UserError(
            f"{path} holds a {type(content).__name__}; COCO's files hold one object with `images`."
        )
    for name in ("images", "annotations", "categories"):
        if not isinstance(content.get(name, []), list) or (name == "images" and name not in content):
            raise UserError(f"{path} has no list `{name}`: it is no COCO captions or instances file.")
    return content
