"""Tables of images with phrases and boxes, made without pixels, shard by shard: for benchmarks of size."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.tables import dataset, schemas
from pipeline.tables.dataset import Provenance
from pipeline.tables.synonyms import CATEGORIES

SIZES = np.array([[640, 480], [640, 427], [480, 640], [500, 375], [612, 612]])
PHRASES, OBJECTS = 3, 4  # an image
NOUNS = tuple(CATEGORIES)
INPUT, PATCH, GRID = 336, 14, 24


def make(data: Path, images: int, shard_size: int) -> None:
    """Write ``images``, ``captions``, ``phrases`` and ``objects``, and the encoder's two settings files."""
    for shard, first in enumerate(range(0, images, shard_size)):
        numbers = np.arange(first, min(first + shard_size, images))
        for name, table in made_tables(numbers).items():
            dataset.write_part(data / name, shard, table, name, Provenance("made"))
    encoder = data / "models" / "encoder"
    encoder.mkdir(parents=True)
    shape = {"model_type": "clip_vision_model", "image_size": INPUT, "patch_size": PATCH}
    (encoder / "config.json").write_text(json.dumps(shape))
    crop = {"height": INPUT, "width": INPUT}
    seen = {"do_resize": True, "size": {"shortest_edge": INPUT}, "do_center_crop": True, "crop_size": crop}
    seen["image_processor_type"] = "CLIPImageProcessor"
    (encoder / "preprocessor_config.json").write_text(json.dumps(seen))


def made_tables(numbers: np.ndarray) -> dict[str, pa.Table]:
    """Tables of some images: a caption "a dog, a car, a cup" and four labelled boxes each."""
    rng = np.random.default_rng(int(numbers[0]))
    n = len(numbers)
    ids = pa.array([f"{number:09d}" for number in numbers])
    size = SIZES[rng.integers(0, len(SIZES), n)]
    said, there = rng.integers(0, len(NOUNS), (n, PHRASES)), rng.integers(0, len(NOUNS), (n, OBJECTS))
    shown = rng.random((n, PHRASES)) < 0.8  # most things that are said are there
    said = np.where(shown, there[:, :PHRASES], said)
    return {
        "images": _table(
            "images",
            image_id=ids,
            image=pa.StructArray.from_arrays([pa.nulls(n, pa.binary()), ids], ["bytes", "path"]),
            sha256=pa.repeat("0" * 64, n),
            width=pa.array(size[:, 0]),
            height=pa.array(size[:, 1]),
            split=pa.repeat("train", n),
        ),
        **_captions(ids, said),
        "objects": _objects(ids, there, size, rng),
    }


def _captions(ids: pa.Array, said: np.ndarray) -> dict[str, pa.Table]:
    """The tables ``captions`` and ``phrases``; ``said`` (images, phrases) numbers each one's noun."""
    n, each = said.shape
    nouns = [pa.array(NOUNS).take(pa.array(said[:, k])) for k in range(each)]
    texts = [pc.binary_join_element_wise("a", noun, " ") for noun in nouns]
    caption_id = pc.binary_join_element_wise(ids, "c0", "/")
    lengths = np.stack([pc.utf8_length(text).to_numpy() for text in texts], axis=1)
    start = np.cumsum(lengths + 2, axis=1) - lengths - 2  # ", " stands between
    captions = _table(
        "captions", caption_id=caption_id, image_id=ids, text=pc.binary_join_element_wise(*texts, ", ")
    )

    def interleaved(columns: list[pa.Array]) -> pa.Array:
        return pa.concat_arrays(columns).take(pa.array(np.arange(n * each).reshape(each, n).T.ravel()))

    of = np.repeat(np.arange(n), each)
    caption_of = caption_id.take(pa.array(of))
    number = pa.array(np.tile([f"p{k}" for k in range(each)], n))
    head = interleaved(nouns)
    first, end = pa.array(start.ravel(), pa.int32()), pa.array((start + lengths).ravel(), pa.int32())
    word = pa.StructArray.from_arrays(
        [head, head, pa.repeat("head", n * each), pc.add(first, 2).cast(pa.int32()), end],
        ["text", "lemma", "role", "start", "end"],
    )
    phrases = _table(
        "phrases",
        phrase_id=pc.binary_join_element_wise(caption_of, number, "/"),
        caption_id=caption_of,
        image_id=ids.take(pa.array(of)),
        text=interleaved(texts),
        start=first,
        end=end,
        is_plural=pa.repeat(False, n * each),
        words=pa.ListArray.from_arrays(pa.array(np.arange(n * each + 1), pa.int32()), word),
    )
    return {"captions": captions, "phrases": phrases}


def _objects(ids: pa.Array, labels: np.ndarray, size: np.ndarray, rng: np.random.Generator) -> pa.Table:
    n, each = labels.shape
    of = np.repeat(np.arange(n), each)
    share = np.sqrt(np.exp(rng.normal(np.log(0.03), 1.5, (n * each, 1)))) * rng.uniform(
        0.7, 1.4, (n * each, 2)
    )
    share = share.clip(0.02, 1.0)
    corner = rng.random((n * each, 2)) * (1 - share)
    boxes = np.concatenate([corner * size[of], (corner + share) * size[of]], axis=1).astype(np.float32)
    image_id = ids.take(pa.array(of))
    number = pa.array(np.tile([f"o{k}" for k in range(each)], n))
    schema = schemas.SCHEMAS["objects"]
    return _table(
        "objects",
        object_id=pc.binary_join_element_wise(image_id, number, "/"),
        image_id=image_id,
        label=pa.array(NOUNS).take(pa.array(labels.ravel())),
        attributes=_empty_lists(n * each, pa.string()),
        box=pa.FixedSizeListArray.from_arrays(pa.array(boxes.ravel()), 4),
        mask=pa.nulls(n * each, schemas.MASK),
        is_crowd=pa.repeat(False, n * each),
        phrase=_empty_lists(n * each, schema.field("phrase").type.value_type),
    )


def _empty_lists(count: int, kind: pa.DataType) -> pa.ListArray:
    return pa.ListArray.from_arrays(pa.array(np.zeros(count + 1), pa.int32()), pa.array([], kind))


def _table(name: str, **columns: pa.Array) -> pa.Table:
    return pa.table(columns).cast(schemas.SCHEMAS[name])
