"""The tables in other tools' formats: what was ingested, grounded and drawn onto patches, for use elsewhere.

A new format is one file with a function ``write(job)``, and a line in `FORMATS`.
"""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.tables.schemas import SCHEMAS


@dataclass(frozen=True)
class Format:
    """A format that tables can be exported to."""

    module: str
    """Where its ``write(job)`` is."""
    tables: tuple[str, ...]
    """Tables that it can hold."""
    doc: str


FORMATS = {
    "coco": Format(
        "pipeline.export.coco",
        ("images", "captions", "objects", "regions"),
        "annotations/instances_SPLIT.json or captions_SPLIT.json, pictures in SPLIT/",
    ),
    "llava": Format(
        "pipeline.export.llava",
        ("captions", "conversations", "regions"),
        "SPLIT.json of LLaVA's conversations, boxes as shares of the picture padded to a square",
    ),
    "odvg": Format(
        "pipeline.export.odvg",
        ("objects", "regions", "patch_words"),
        "SPLIT.jsonl that trains Grounding DINO (GRIT, GoldG): captions or labels with boxes",
    ),
    "kosmos": Format(
        "pipeline.export.kosmos",
        ("regions", "patch_words"),
        "SPLIT.jsonl of Kosmos-2's grounded captions, boxes as places on a 32 x 32 grid",
    ),
    "fiftyone": Format(
        "pipeline.export.fiftyone",
        ("images", "objects", "regions"),
        "SPLIT/labels.json and SPLIT/data/, FiftyOneImageDetectionDataset",
    ),
    "webdataset": Format(
        "pipeline.export.webdataset",
        ("images", "captions", "objects", "conversations", "phrases", "regions", "patch_words"),
        "SPLIT-00000.tar: a picture and a .json of its captions and rows for each image",
    ),
    "parquet": Format(
        "pipeline.export.parquet", tuple(SCHEMAS), "part-00000.parquet with every column as it is"
    ),
}
