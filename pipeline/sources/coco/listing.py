"""What a COCO folder's JSON files list, dealt to shards: no picture is opened here."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np

from pipeline.errors import UserError
from pipeline.sources.coco.annotation_file import AnnotationFile, Row, read, rows_at

_NONE = np.zeros((0, 2), np.int64)


@dataclass(frozen=True)
class SetFiles:
    """The annotation files of one of COCO's sets; either may be absent."""

    name: str
    captions: Path | None
    instances: Path | None

    def paths(self) -> list[Path]:
        """Those that are there."""
        return [path for path in (self.captions, self.instances) if path]


@dataclass
class Shard:
    """Where the rows of COCO's files lie that are dealt to one shard."""

    files: SetFiles
    images: list[tuple[Path, int, int]]
    """File and bytes of each image's first listing, by id."""
    categories: dict[str, str]
    """Names by id."""
    captions: np.ndarray = field(default_factory=_NONE.copy)
    """Bytes of these images' captions in their file, (rows, 2), in order of image and annotation id."""
    objects: np.ndarray = field(default_factory=_NONE.copy)
    """As captions."""
    rejects: list[tuple[str, str, str]] = field(default_factory=list)
    """(key, reason, message) of rows that are wrong whatever the pictures hold."""

    @property
    def set_name(self) -> str:
        """The set that the shard is of."""
        return self.files.name

    @property
    def has_captions(self) -> bool:
        """Whether the set has a captions file: if not, no image is to blame for having no caption."""
        return self.files.captions is not None

    def rows(self) -> int:
        """Rows of COCO's files in this shard."""
        return len(self.images) + len(self.captions) + len(self.objects) + len(self.rejects)

    def read_images(self) -> list[Row]:
        """The images' rows."""
        return [row for path, *place in self.images for row in rows_at(path, np.array([place]))]

    def read_captions(self) -> list[tuple[str, Row]]:
        """(image id, annotation) of the captions."""
        return _with_images(rows_at(self.files.captions, self.captions))

    def read_objects(self) -> list[tuple[str, Row]]:
        """(image id, annotation) of the objects."""
        return _with_images(rows_at(self.files.instances, self.objects))


def _with_images(rows: list[Row]) -> list[tuple[str, Row]]:
    return [(str(row.get("image_id")), row) for row in rows]


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
    captions, instances = (read(path) if path else None for path in (files.captions, files.instances))
    images, wrong = _unique_images(captions, instances)
    elsewhere = listed_before & images.keys()
    for image_id in sorted(elsewhere, key=_id_order):
        del images[image_id]
        wrong.append((image_id, f"image {image_id} is in an earlier set too; that one is kept"))
    order = sorted(images, key=_id_order)
    listed_before.update(order)
    shards = [
        Shard(
            files,
            [images[image_id] for image_id in order[start : start + shard_size]],
            instances.categories if instances else {},
        )
        for start in range(0, max(1, len(order)), shard_size)
    ]
    shard_of = {image_id: place // shard_size for place, image_id in enumerate(order)}
    for image_id, message in wrong:
        shard = shards[shard_of.get(image_id, 0)]
        shard.rejects.append((f"image:{image_id}", "duplicate_image_id", message))
    for file, kind in ((captions, "caption"), (instances, "object")):
        if file is None:
            continue
        if file.cut:
            shards[0].rejects.append((f"file:{file.path.name}", "file_cut_short", file.cut))
        for shard, places in zip(shards, _dealt(file, kind, shards, shard_of, elsewhere), strict=True):
            setattr(shard, f"{kind}s", places)
    return shards


def _dealt(
    file: AnnotationFile, kind: str, shards: list[Shard], shard_of: dict[str, int], elsewhere: set[str]
) -> Iterator[np.ndarray]:
    """The places of a file's annotations, shard by shard; those that cannot be used become rejects."""
    seen: set[str] = set()
    dealt: list[list[tuple[str, str, int, int]]] = [[] for _ in shards]
    for row in file.annotations():
        image_id, row_id = row[:2]
        number = shard_of.get(image_id, 0)
        if row_id not in seen and image_id in shard_of:
            dealt[number].append(row)
        else:
            key = f"{kind}:{image_id}/{kind[0]}{row_id}"
            if row_id in seen:
                reason = "duplicate_annotation_id"
                message = f"{kind} id {row_id} is listed twice; the first is kept"
            elif image_id in elsewhere:
                reason, message = "image_rejected", f"image {image_id} is in an earlier set too"
            else:
                reason = "annotation_without_image"
                message = f"image {image_id} is not listed in the set {shards[0].set_name}"
            shards[number].rejects.append((key, reason, message))
        seen.add(row_id)
    for rows in dealt:
        rows.sort(key=lambda row: (_id_order(row[0]), _id_order(row[1])))
        yield np.array([row[2:] for row in rows], np.int64).reshape(-1, 2)


def _unique_images(
    *files: AnnotationFile | None,
) -> tuple[dict[str, tuple[Path, int, int]], list[tuple[str, str]]]:
    """Where the set's images are listed, by id, and listings that contradict an earlier one as (id, message).

    COCO lists every image in both files: the same listing in the other file is the same image. Within one
    file, or with another file name or size, it is a duplicate.
    """
    images: dict[str, tuple[Path, int, int]] = {}
    says: dict[str, int] = {}
    wrong: list[tuple[str, str]] = []
    for file in files:
        if file is None:
            continue
        again = list(file.again)
        for image_id, listed in file.images.items():
            if image_id in images and says[image_id] != listed.says:
                (row,) = rows_at(file.path, np.array([[listed.start, listed.end]]))
                again.append((image_id, str(row.get("file_name"))))
            elif image_id not in images:
                images[image_id] = file.path, listed.start, listed.end
                says[image_id] = listed.says
        wrong += [
            (image_id, f"image {image_id} is listed again, as {name!r}; the first is kept")
            for image_id, name in again
        ]
    return images, wrong


def _id_order(identifier: str) -> tuple[int, int, str]:
    """Numbers in order of size, then everything else by its letters."""
    is_number = identifier.isascii() and identifier.isdigit()
    return (0, int(identifier), identifier) if is_number else (1, 0, identifier)
