"""``source``: where images, captions and annotations come from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator

from pipeline.params.section import Positive, Section, Share


class ScenesParams(Section):
    """The built-in world of drawn scenes: how much of it there is and how rich it is."""

    train: Positive = Field(description="Scenes to train on.")
    validation: Positive = Field(description="Scenes to tune on.")
    test: Positive = Field(description="Scenes to report on, once.")
    image_size: Annotated[int, Field(ge=32, le=512)] = Field(description="Width and height, pixels.")
    nouns: Annotated[int, Field(ge=2, le=20)] = Field(description="Kinds of object, of twenty.")
    colours: Annotated[int, Field(ge=2, le=10)] = Field(description="Colours of objects, of ten.")
    patterns: Annotated[int, Field(ge=1, le=4)] = Field(
        description="Surface patterns, of four: plain, striped, dotted, checked."
    )
    objects: tuple[Positive, Positive] = Field(description="Fewest and most objects in a scene.")
    object_size: tuple[Share, Share] = Field(
        description="Smallest and largest longer side of an object, as a share of the image's side."
    )
    overlap: Share = Field(description="Largest share of an object that a nearer one may hide.")
    captions: Positive = Field(description="Captions a scene.")

    @field_validator("objects", "object_size")
    @classmethod
    def _ordered(cls, value: tuple[float, float]) -> tuple[float, float]:
        if value[0] > value[1]:
            raise ValueError(f"the first number ({value[0]}) must not be above the second ({value[1]})")
        return value


class CocoParams(Section):
    """A COCO folder: ``annotations/captions_*.json``, ``annotations/instances_*.json`` and images."""

    splits: dict[str, Literal["train", "validation", "test"]] = Field(
        description="Which split each of COCO's own sets (the * in the files' names) goes to."
    )
    validation_share: Share = Field(
        description="Share of the training images, chosen by their id, that goes to validation."
    )


class HeldBackParams(Section):
    """What is held back of a dataset that has no splits of its own."""

    validation_share: Share = Field(description="Share of the images, chosen by id, for validation.")
    test_share: Share = Field(description="Share of the images, chosen by id, for test.")


class CaptionedParams(HeldBackParams):
    """Images of which each comes with its captions."""

    require_captions: bool = Field(
        description="Whether images without a caption are rejected; the source `tags` grounds them too."
    )


class LlavaParams(HeldBackParams):
    """LLaVA's JSON files: captions (LLaVA-Pretrain) and conversations (LLaVA-Instruct)."""

    files: dict[str, Literal["captions", "conversations"]] = Field(description="What each file holds.")
    images: list[str] = Field(description="Folders that the images' paths start from, tried in order.")
    turns: Literal["pairs", "whole"] = Field(
        description="pairs: each question and answer is a conversation of its own; whole: all turns are one."
    )
    boxes: Literal["padded", "image"] = Field(
        description="What boxes in text are shares of: the image padded to a square (LLaVA-1.5), or as it is."
    )


class Flickr30kParams(Section):
    """Flickr30k Entities: ``Sentences/*.txt``, ``Annotations/*.xml``, lists of ids, and images."""

    images: list[str] = Field(description="Folders of the images, tried in order.")
    splits: dict[str, Literal["train", "validation", "test"]] = Field(
        description="Which split each list of image ids (the name of a .txt file) goes to."
    )


class RefcocoParams(Section):
    """RefCOCO, RefCOCO+ or RefCOCOg: ``refs(*).p`` or a JSON file of the same, and ``instances.json``."""

    refs: str = Field(description="The file of referring expressions.")
    instances: str = Field(description="COCO's instances of the same images.")
    images: list[str] = Field(description="Folders of the images, tried in order.")
    splits: dict[str, Literal["train", "validation", "test"]] = Field(
        description="Which split each of the dataset's own goes to; others are left out."
    )


class VisualGenomeParams(HeldBackParams):
    """Visual Genome: ``region_descriptions.json``, ``image_data.json``, ``objects.json`` and images."""

    regions: str = Field(description="The file of region descriptions.")
    image_data: str = Field(description="The file of the images' sizes and addresses.")
    objects: str | None = Field(description="The file of objects, if they are wanted.")
    images: list[str] = Field(description="Folders of the images, tried in order.")


class GroundingJsonParams(HeldBackParams):
    """Captions whose phrases have boxes: MDETR's JSON (``tokens_positive``) and ODVG's JSONL."""

    files: list[str] = Field(description="The files: .json is MDETR's layout, .jsonl ODVG's.")
    images: list[str] = Field(description="Folders that the file names start from, tried in order.")


class WebdatasetParams(CaptionedParams):
    """WebDataset shards: .tar files of pictures with .txt or .json beside them."""

    shards: str = Field(description="Pattern of the shards' names below the root.")
    caption: str = Field(description="Key of the caption in .json members; .txt members are captions.")


class ParquetParams(CaptionedParams):
    """Parquet or Arrow files with an image column, as the `datasets` library writes them."""

    files: str = Field(description="Pattern of the files' names below the root.")
    image: str = Field(description="Column of the images: struct of bytes and path, bytes, or path.")
    caption: str | None = Field(description="Column of the captions, texts or lists of texts; null for none.")
    id: str | None = Field(description="Column of the images' ids; null counts the rows.")


class FolderParams(CaptionedParams):
    """A folder of images, with a .txt of the same name beside each or one table of captions."""

    table: str | None = Field(description="A .csv or .jsonl of columns file, caption; null: .txt beside.")
    images: list[str] = Field(description="Folders of the images; a table's file names are tried in each.")


class SourceParams(Section):
    """Where images, captions and annotations come from."""

    name: Literal[
        "scenes",
        "coco",
        "llava",
        "flickr30k",
        "refcoco",
        "visual_genome",
        "grounding_json",
        "webdataset",
        "parquet",
        "folder",
    ] = Field(description="The dataset's format.")
    path: Path = Field(description="The dataset's root; scenes need none.")
    shard_size: Positive = Field(description="Images a shard: the unit of parallel work and of resuming.")
    scenes: ScenesParams
    coco: CocoParams
    llava: LlavaParams
    flickr30k: Flickr30kParams
    refcoco: RefcocoParams
    visual_genome: VisualGenomeParams
    grounding_json: GroundingJsonParams
    webdataset: WebdatasetParams
    parquet: ParquetParams
    folder: FolderParams
