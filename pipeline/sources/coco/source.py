"""A COCO folder as a source: pictures checked, places converted, everything unusable rejected with a code.

Conventions taken:

- ``width``, ``height``, boxes and segmentations of the JSON files are those of the picture as displayed,
  that is after its EXIF orientation. A picture whose displayed size is another is rejected
  (``size_mismatch``): its annotations would land beside the things they mean.
- ``validation_share`` of the images of sets that go to ``train`` goes to ``validation``, chosen by a hash
  of the image id: an image keeps its split when others are added.
- A set without a captions file gives images and objects; in a set with one, an image without a usable
  caption is of no use to any later stage and is rejected with its objects.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.params import SourceParams
from pipeline.sources.boxes import clipped_box
from pipeline.sources.coco import listing, picture_files
from pipeline.sources.coco.annotation_file import Row
from pipeline.sources.files import content_of, displayed_size
from pipeline.sources.reasons import REASONS, UnusableRowError
from pipeline.sources.rows import lot, text_of
from pipeline.sources.segmentations import mask_of
from pipeline.tables import digests, schemas
from pipeline.tables.rejects import Rejects
from pipeline.tables.shards import Tables

Pairs = list[tuple[str, Row]]
"""(image id, annotation)."""


@dataclass(frozen=True)
class CocoSource:
    """A folder in COCO's layout; implements `pipeline.sources.base.Source`.

    Expected below ``params.path``: ``annotations/captions_<set>.json`` and (or)
    ``annotations/instances_<set>.json`` for each set in ``params.coco.splits``, pictures in ``<set>/``,
    ``images/<set>/`` or the root itself.
    """

    params: SourceParams

    def shard_count(self) -> int:
        """How many shards there are; every set has at least one."""
        return len(self._shards())

    def digest(self) -> str:
        """Digest of the settings, the annotation files' content, the pictures' names and sizes in bytes."""
        root, coco = self.params.path, self.params.coco
        sets = listing.find_sets(root, coco.splits)
        annotations = [[path.name, digests.of_file(path)] for files in sets for path in files.paths()]
        pictures = [
            [
                str(row.get("file_name")),
                picture_files.size_in_bytes(root, shard.set_name, row.get("file_name")),
            ]
            for shard in self._shards()
            for row in shard.read_images()
        ]
        settings = [list(coco.splits.items()), coco.validation_share, self.params.shard_size]
        return digests.of_value(["coco", settings, annotations, pictures])

    def rows_in(self, shard: int) -> int:
        """Images and annotations that the JSON files list for the shard, duplicates included."""
        return self._shards()[shard].rows()

    def read(self, shard: int) -> Tables:
        """The shard's images, captions and objects in order of their ids; no conversations.

        ``images.image`` holds the path below the dataset's root, no bytes.
        """
        listed = self._shards()[shard]
        rejects = Rejects("ingest", REASONS)
        for key, reason, message in listed.rejects:
            rejects.add(key, reason, message)
        captions, objects = listed.read_captions(), listed.read_objects()
        images, lost = self._images(listed, captions, rejects)
        return {
            "images": schemas.from_rows("images", list(images.values())),
            "captions": schemas.from_rows("captions", _captions(captions, lost, rejects)),
            "objects": schemas.from_rows(
                "objects", _objects(objects, listed.categories, images, lost, rejects)
            ),
            "conversations": schemas.empty("conversations"),
            "rejects": rejects.table(),
        }

    def _images(
        self, listed: listing.Shard, captions: Pairs, rejects: Rejects
    ) -> tuple[dict[str, Row], dict[str, str]]:
        """Rows of usable images by id, and for the others the code that their annotations get."""
        described = {image_id for image_id, row in captions if text_of(row.get("caption"))}
        images: dict[str, Row] = {}
        lost: dict[str, str] = {}
        for row in listed.read_images():
            image_id = str(row["id"])
            try:
                if listed.has_captions and image_id not in described:
                    raise UnusableRowError("image_without_captions")
                images[image_id] = self._image(image_id, listed.set_name, row)
            except UnusableRowError as error:
                rejects.add(f"image:{image_id}", error.reason, str(error))
                is_undescribed = error.reason == "image_without_captions"
                lost[image_id] = error.reason if is_undescribed else "image_rejected"
        return images, lost

    def _shards(self) -> list[listing.Shard]:
        return listing.shards_of(self.params.path, self.params.coco.splits, self.params.shard_size)

    def _image(self, image_id: str, set_name: str, row: Row) -> Row:
        path = picture_files.find(self.params.path, set_name, row.get("file_name"))
        content = content_of(self.params.path, path)
        width, height = displayed_size(content, path)
        if (width, height) != (row.get("width"), row.get("height")):
            raise UnusableRowError(
                "size_mismatch",
                f"{path} is {width} x {height} as displayed, the JSON file says "
                f"{row.get('width')} x {row.get('height')}",
            )
        return {
            "image_id": image_id,
            "image": {"bytes": None, "path": path},
            "sha256": hashlib.sha256(content).hexdigest(),
            "width": width,
            "height": height,
            "split": self._split(image_id, set_name),
        }

    def _split(self, image_id: str, set_name: str) -> str:
        split = self.params.coco.splits[set_name]
        is_held_back = split == "train" and lot(image_id) < self.params.coco.validation_share
        return "validation" if is_held_back else split


def _captions(listed: Pairs, lost: Mapping[str, str], rejects: Rejects) -> list[Row]:
    captions = []
    for image_id, row in listed:
        caption_id = f"{image_id}/c{row['id']}"
        if not text_of(row.get("caption")):
            rejects.add(f"caption:{caption_id}", "caption_empty")
        elif image_id in lost:
            rejects.add(f"caption:{caption_id}", lost[image_id])
        else:
            captions.append({"caption_id": caption_id, "image_id": image_id, "text": row["caption"]})
    return captions


def _objects(
    listed: Pairs,
    categories: Mapping[str, str],
    images: Mapping[str, Row],
    lost: Mapping[str, str],
    rejects: Rejects,
) -> list[Row]:
    objects = []
    for image_id, row in listed:
        object_id = f"{image_id}/o{row['id']}"
        try:
            if image_id in lost:
                raise UnusableRowError(lost[image_id])
            objects.append(_object(object_id, images[image_id], row, categories))
        except UnusableRowError as error:
            rejects.add(f"object:{object_id}", error.reason, str(error))
    return objects


def _object(object_id: str, image: Row, row: Row, categories: Mapping[str, str]) -> Row:
    label = categories.get(str(row.get("category_id")))
    if label is None:
        message = f"category_id is {row.get('category_id')!r}; the file's `categories` has no such id"
        raise UnusableRowError("unknown_category", message)
    width, height = image["width"], image["height"]
    return {
        "object_id": object_id,
        "image_id": image["image_id"],
        "label": label,
        "attributes": [],
        "box": clipped_box(row.get("bbox"), width, height),
        "mask": mask_of(row.get("segmentation"), width, height),
        "is_crowd": bool(row.get("iscrowd", 0)),
        "phrase": [],
    }
