"""Small datasets in the true layout of each format, made on the spot from the same few samples."""

from __future__ import annotations

import csv
import io
import json
import pickle
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from coco_folders import COMMITTED, HEIGHT, WIDTH, picture

from pipeline.params import SourceParams
from pipeline.sources import open_source
from pipeline.sources.base import Source

BOX = (2, 3, 8, 7)  # x0, y0, x1, y1
CAPTION = "A dog near a cat."
PICTURE = picture()


@dataclass
class Sample:
    """An image, one box around what the first words of its first caption name, and its captions."""

    name: str
    content: bytes | None = PICTURE
    captions: Sequence[Any] = (CAPTION,)
    box: Sequence[Any] = field(default=BOX)

    @property
    def file(self) -> str:
        return f"{self.name}.jpg"


def settings(name: str, root: Path, shard_size: int = 100, **changes: Any) -> SourceParams:
    """The committed settings of a format, with all images in train and other changes."""
    section = getattr(COMMITTED, name)
    shares = {key: 0.0 for key in ("validation_share", "test_share") if hasattr(section, key)}
    section = section.model_copy(update=shares | changes)
    return COMMITTED.model_copy(update={"name": name, "path": root, "shard_size": shard_size, name: section})


def opened(name: str, root: Path, shard_size: int = 100, **changes: Any) -> Source:
    """A dataset as a source."""
    return open_source(settings(name, root, shard_size, **changes), 0)


def read(source: Source) -> dict[str, list[dict]]:
    """The rows of all shards, by table."""
    shards = [source.read(shard) for shard in range(source.shard_count())]
    return {name: [row for tables in shards for row in tables[name].to_pylist()] for name in shards[0]}


def reasons(source: Source) -> dict[str, str]:
    """Reasons of the rejects by key."""
    return {row["key"]: row["reason"] for row in read(source)["rejects"]}


def put(path: Path, content: bytes | str | None) -> None:
    """Write a file, unless there is nothing to write."""
    if content is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))


def put_json(path: Path, content: Any) -> None:
    """Write a JSON file."""
    put(path, json.dumps(content))


def _pictures(folder: Path, samples: Sequence[Sample]) -> None:
    for sample in samples:
        put(folder / sample.file, sample.content)


def _xywh(box: Sequence[Any]) -> list[Any]:
    x0, y0, x1, y1 = box
    return [x0, y0, x1 - x0, y1 - y0]


# Each writes a dataset and returns how many rows it lists: images, captions, objects, conversations.


def llava(root: Path, samples: Sequence[Sample]) -> int:
    _pictures(root / "images", samples)
    talk = [{"from": "human", "value": "<image>\nWhat is there?"}, {"from": "gpt", "value": "A dog."}]
    captions = [
        {
            "id": sample.name,
            "image": sample.file,
            "conversations": [
                {"from": "human", "value": "Describe it.\n<image>"},
                {"from": "gpt", "value": text},
            ],
        }
        for sample in samples
        for text in sample.captions
    ]
    talks = [{"id": sample.name, "image": sample.file, "conversations": talk * 2} for sample in samples]
    put_json(root / "blip_laion_cc_sbu_558k.json", captions)
    put_json(root / "llava_v1_5_mix665k.json", talks)
    return len(samples) + len(captions) + 2 * len(talks)


def flickr30k(root: Path, samples: Sequence[Sample]) -> int:
    _pictures(root / "flickr30k-images", samples)
    put(root / "train.txt", "".join(f"{sample.name}\n" for sample in samples))
    (root / "val.txt").touch()
    (root / "test.txt").touch()
    (root / "Sentences").mkdir(exist_ok=True)
    (root / "Annotations").mkdir(exist_ok=True)
    for sample in samples:
        lines = "[/EN#17/animals A dog] near [/EN#0/notvisual it] .\n" * len(sample.captions)
        put(root / f"Sentences/{sample.name}.txt", lines)
        x0, y0, x1, y1 = sample.box
        edges = f"<xmin>{x0 + 1}</xmin><ymin>{y0 + 1}</ymin><xmax>{x1}</xmax><ymax>{y1}</ymax>"
        put(
            root / f"Annotations/{sample.name}.xml",
            f"<annotation><size><width>{WIDTH}</width><height>{HEIGHT}</height><depth>3</depth></size>"
            f"<object><name>17</name><bndbox>{edges}</bndbox></object>"
            "<object><name>18</name><scene>1</scene><nobndbox>0</nobndbox></object></annotation>",
        )
    return sum(2 + len(sample.captions) for sample in samples)


def refcoco(root: Path, samples: Sequence[Sample]) -> int:
    _pictures(root / "train2014", samples)
    refs, images, annotations = [], [], []
    for number, sample in enumerate(samples):
        sentences = [{"sent_id": 10 * number + k, "sent": text} for k, text in enumerate(sample.captions)]
        refs.append(
            {
                "ref_id": number,
                "ann_id": number,
                "image_id": number,
                "split": "train",
                "sentences": sentences,
            }
        )
        images.append({"id": number, "file_name": sample.file, "width": WIDTH, "height": HEIGHT})
        annotations.append({"id": number, "image_id": number, "category_id": 18, "bbox": _xywh(sample.box)})
    (root / "refcoco").mkdir(parents=True)
    (root / "refcoco/refs(unc).p").write_bytes(pickle.dumps(refs, protocol=2))
    categories = [{"id": 18, "name": "dog"}]
    put_json(
        root / "refcoco/instances.json",
        {"info": {}, "images": images, "annotations": annotations, "categories": categories},
    )
    return sum(2 + 2 * len(sample.captions) for sample in samples)


def visual_genome(root: Path, samples: Sequence[Sample]) -> int:
    _pictures(root / "VG_100K", samples)
    regions, sizes = [], []
    for sample in samples:
        x, y, width, height = _xywh(sample.box)
        regions.append(
            {
                "id": sample.name,
                "regions": [
                    {"region_id": k, "x": x, "y": y, "width": width, "height": height, "phrase": text}
                    for k, text in enumerate(sample.captions)
                ],
            }
        )
        sizes.append({"image_id": sample.name, "width": WIDTH, "height": HEIGHT})
    put_json(root / "region_descriptions.json", regions)
    put_json(root / "image_data.json", sizes)
    return sum(1 + 2 * len(sample.captions) for sample in samples)


def mdetr(root: Path, samples: Sequence[Sample]) -> int:
    _pictures(root / "images", samples)
    images, annotations = [], []
    for sample in samples:
        for text in sample.captions:
            number = len(images)
            images.append(
                {
                    "id": number,
                    "file_name": sample.file,
                    "width": WIDTH,
                    "height": HEIGHT,
                    "caption": text,
                }
            )
            annotations.append(
                {"id": number, "image_id": number, "bbox": _xywh(sample.box), "tokens_positive": [[0, 5]]}
            )
    put_json(root / "final_mixed_train.json", {"images": images, "annotations": annotations})
    return sum(1 + 2 * len(sample.captions) for sample in samples if sample.captions)


def odvg(root: Path, samples: Sequence[Sample]) -> int:
    _pictures(root / "images", samples)
    lines = [
        json.dumps(
            {
                "filename": sample.file,
                "width": WIDTH,
                "height": HEIGHT,
                "grounding": {"caption": text, "regions": [{"bbox": [*sample.box], "phrase": "a dog"}]},
            }
        )
        for sample in samples
        for text in sample.captions
    ]
    put(root / "grit.jsonl", "".join(f"{line}\n" for line in lines))
    return sum(1 + 2 * len(sample.captions) for sample in samples if sample.captions)


def webdataset(root: Path, samples: Sequence[Sample]) -> int:
    root.mkdir(exist_ok=True)
    half = (len(samples) + 1) // 2
    count = 0
    for number, part in enumerate((samples[:half], samples[half:])):
        with tarfile.open(root / f"{number:05d}.tar", "w") as tar:
            for sample in part:
                members = [] if sample.content is None else [(sample.file, sample.content)]
                texts = list(sample.captions)
                if len(texts) == 1 and isinstance(texts[0], str):
                    members.append((f"{sample.name}.txt", texts[0].encode("utf-8", "surrogatepass")))
                elif texts:
                    members.append((f"{sample.name}.json", json.dumps({"caption": texts}).encode()))
                for name, content in members:
                    info = tarfile.TarInfo(name)
                    info.size = len(content)
                    tar.addfile(info, io.BytesIO(content))
                count += sample.content is not None
                # A caption without a picture is listed as one reject, however many texts it holds.
                count += len(texts) if sample.content is not None else bool(texts)
    return count


def parquet(root: Path, samples: Sequence[Sample]) -> int:
    rows = [
        {"image": {"bytes": sample.content, "path": None}, "text": [text for text in sample.captions]}
        for sample in samples
    ]
    kind = pa.schema(
        [
            ("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
            ("text", pa.list_(pa.string())),
        ]
    )
    (root / "data").mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows, kind), root / "data/train-0.parquet", row_group_size=2)
    return sum(1 + len(sample.captions) for sample in samples)


def folder(root: Path, samples: Sequence[Sample]) -> int:
    root.mkdir(exist_ok=True)
    _pictures(root, samples)
    for sample in samples:
        put(root / f"{sample.name}.txt", "\n".join(sample.captions))
    has_picture = [sample for sample in samples if sample.content is not None]
    # Without its picture, a .txt is one reject; an empty one is one empty caption.
    texts = sum(max(1, sum(bool(text.strip()) for text in sample.captions)) for sample in has_picture)
    return 2 * len(has_picture) - len(has_picture) + texts + len(samples) - len(has_picture)


def table(root: Path, samples: Sequence[Sample]) -> int:
    root.mkdir(exist_ok=True)
    _pictures(root, samples)
    with (root / "captions.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "caption"])
        writer.writerows((sample.file, text) for sample in samples for text in sample.captions)
    return sum(1 + len(sample.captions) for sample in samples if sample.captions)


LAYOUTS: dict[str, tuple[Callable[[Path, Sequence[Sample]], int], str, dict[str, Any]]] = {
    "llava": (llava, "llava", {}),
    "flickr30k": (flickr30k, "flickr30k", {}),
    "refcoco": (refcoco, "refcoco", {}),
    "visual_genome": (visual_genome, "visual_genome", {}),
    "mdetr": (mdetr, "grounding_json", {}),
    "odvg": (odvg, "grounding_json", {"files": ["grit.jsonl"]}),
    "webdataset": (webdataset, "webdataset", {}),
    "parquet": (parquet, "parquet", {}),
    "folder": (folder, "folder", {}),
    "table": (table, "folder", {"table": "captions.csv"}),
}
"""How each layout is written, its format, and settings that differ from the committed ones."""


def made(layout: str, root: Path, samples: Sequence[Sample], shard_size: int = 100) -> tuple[Source, int]:
    """A dataset in a layout, as a source, and how many rows its files list."""
    write, name, changes = LAYOUTS[layout]
    listed = write(root, samples)
    return opened(name, root, shard_size, **changes), listed
