"""Small COCO folders made on the spot, for the tests of the COCO source."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pipeline import params as all_params
from pipeline.params import CocoParams, SourceParams
from pipeline.sources.coco import CocoSource

WIDTH, HEIGHT = 20, 14
COMMITTED = all_params.load(Path(__file__).parents[2] / "params.yaml").source
CATEGORIES = [{"id": 1, "name": "person"}, {"id": 18, "name": "dog"}]


def picture(width: int = WIDTH, height: int = HEIGHT, orientation: int = 1, kind: str = "JPEG") -> bytes:
    """An encoded picture of noise; width and height are those of the stored pixels."""
    noise = np.random.default_rng(width * height).integers(0, 255, (height, width, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    Image.fromarray(noise).save(file, kind, exif=exif)
    return file.getvalue()


def image(image_id: Any, **changes: Any) -> dict[str, Any]:
    """A good entry of ``images``."""
    return {"id": image_id, "file_name": f"{image_id}.jpg", "width": WIDTH, "height": HEIGHT, **changes}


def caption(number: Any, image_id: Any, **changes: Any) -> dict[str, Any]:
    """A good annotation of a captions file."""
    return {"id": number, "image_id": image_id, "caption": "A dog.", **changes}


def instance(number: Any, image_id: Any, **changes: Any) -> dict[str, Any]:
    """A good annotation of an instances file: a dog in pixels 2 to 8 by 3 to 7."""
    return {
        "id": number,
        "image_id": image_id,
        "category_id": 18,
        "bbox": [2, 3, 6, 4],
        "segmentation": [[2, 3, 8, 3, 8, 7, 2, 7]],
        "iscrowd": 0,
        **changes,
    }


def write_set(
    root: Path,
    name: str,
    images: Iterable[dict],
    captions: Iterable[dict] | None = (),
    instances: Iterable[dict] | None = (),
    pictures: Path | None = None,
) -> None:
    """Write a set's annotation files, and a good picture for every image that has none yet."""
    images = list(images)
    (root / "annotations").mkdir(parents=True, exist_ok=True)
    pictures = pictures or root / name
    pictures.mkdir(parents=True, exist_ok=True)
    if captions is not None:
        content: dict[str, Any] = {"images": images, "annotations": list(captions)}
        (root / f"annotations/captions_{name}.json").write_text(json.dumps(content))
    if instances is not None:
        content = {"images": images, "annotations": list(instances), "categories": CATEGORIES}
        (root / f"annotations/instances_{name}.json").write_text(json.dumps(content))
    for row in images:
        if not (pictures / row["file_name"]).exists():
            (pictures / row["file_name"]).write_bytes(picture())


def params(root: Path, shard_size: int = 100, share: float = 0.0, **splits: str) -> SourceParams:
    """Settings of the source; without ``splits``, the set ``train`` goes to train."""
    coco = CocoParams(splits=splits or {"train": "train"}, validation_share=share)
    changes = {"name": "coco", "path": root, "shard_size": shard_size, "coco": coco}
    return COMMITTED.model_copy(update=changes)


def read_all(source: CocoSource) -> dict[str, list[dict]]:
    """The rows of all shards, by table."""
    shards = [source.read(shard) for shard in range(source.shard_count())]
    return {name: [row for tables in shards for row in tables[name].to_pylist()] for name in shards[0]}
