"""``params.yaml`` as typed, validated models. The same models make the forms of the Prefect UI.

Only this module reads ``params.yaml``; everything else is handed the section that it needs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from pipeline.errors import UserError
from pipeline.tables import digests

PARAMS_FILE = Path("params.yaml")


class Section(BaseModel):
    """A section of ``params.yaml``: unknown keys are refused, values are fixed once read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def digest(self) -> str:
        """Digest of the section's values."""
        return digests.of_value(self.model_dump(mode="json"))


Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(ge=1)]


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


class ParseParams(Section):
    """Captions to noun phrases."""

    model: str = Field(description="spaCy's English pipeline, by package name or folder.")
    batch_size: Positive = Field(description="Captions that spaCy takes at a time.")
    processes: Positive = Field(description="spaCy processes a shard; 2 pay past some 10,000 captions.")


class DatasetSourceParams(Section):
    """Ground phrases by the dataset's own human annotations."""

    several: Literal["all", "largest", "skip"] = Field(
        description="What a singular noun takes when several objects match it."
    )
    crowds: bool = Field(description="Whether crowd regions may ground plural and crowd nouns.")


class OpenClipSourceParams(Section):
    """Ground phrases by the dense similarity of an open_clip model's patches and text."""

    model: str = Field(
        description="open_clip architecture, or local-dir:FOLDER for one on disk, such as the encoder that"
        " this pipeline trains (local-dir:data/models/encoder/open_clip)."
    )
    pretrained: str | None = Field(description="open_clip's tag or file of the weights; none for local-dir.")
    dense: Literal["tokens", "values"] = Field(
        description="Patch features: the last layer's tokens, or its value projections (as in MaskCLIP)."
    )
    prompt: str = Field(description="Template of the text, with {} for the phrase.")
    threshold: Share = Field(
        description="A patch is in the region when its similarity, scaled to 0-1 over the image, is above."
    )
    min_similarity: Annotated[float, Field(ge=-1, le=1)] = Field(
        description="Phrases whose best patch is below this cosine are rejected."
    )
    batch_size: Positive = Field(description="Images a batch.")


class GroundingdinoParams(Section):
    """Ground phrases by Grounding DINO, run by groundingdino-py."""

    config: str = Field(description="Configuration file, by path or by its name among groundingdino-py's.")
    weights: str = Field(description="Checkpoint file.")
    text_encoder: str | None = Field(
        description="Hub name or folder of the text encoder, in place of the configuration's."
    )
    image_size: tuple[Positive, Positive] = Field(
        description="Pixels of the image's shorter side as the model sees it, and the most of its longer."
    )
    box_threshold: Share = Field(description="A box counts when a token of the phrase is more probable.")
    text_threshold: Share = Field(
        description="A box counts when the phrase's tokens are more probable on average."
    )
    nms_iou: Share = Field(description="Of a phrase's boxes that overlap by more, the best one stays.")
    batch_size: Positive = Field(description="Images a batch.")


class GroundingDinoParams(Section):
    """Ground phrases by Grounding DINO or MM-Grounding-DINO, run by transformers."""

    model: str = Field(description="Hub name or folder.")
    box_threshold: Share = Field(description="A box counts when a token of the phrase is more probable.")
    text_threshold: Share = Field(
        description="A box counts when the phrase's tokens are more probable on average."
    )
    nms_iou: Share = Field(description="Of a phrase's boxes that overlap by more, the best one stays.")
    batch_size: Positive = Field(description="Images a batch.")


class Owlv2Params(Section):
    """Ground phrases by OWLv2, run by transformers."""

    model: str = Field(description="Hub name or folder.")
    prompt: str = Field(description="Template of the text, with {} for the phrase.")
    threshold: Share = Field(description="A box counts when the phrase is more probable.")
    nms_iou: Share = Field(description="Of a phrase's boxes that overlap by more, the best one stays.")
    batch_size: Positive = Field(description="Images a batch.")


class TagsParams(Section):
    """Words of a vocabulary that an image shows, as phrases for another source: needs no caption."""

    source: Literal["dataset", "open_clip", "groundingdino", "grounding_dino", "owlv2", "consensus"] = Field(
        description="The source that grounds the tags, with its own settings."
    )
    model: str = Field(description="open_clip architecture, or local-dir:FOLDER for one on disk.")
    pretrained: str | None = Field(description="open_clip's tag or file of the weights; none for local-dir.")
    prompt: str = Field(description="Template of the text, with {} for the word.")
    vocabulary: Path | None = Field(description="Text file, a word a line; none: COCO's 80 categories.")
    best: Positive = Field(description="Most tags of an image.")
    min_similarity: Annotated[float, Field(ge=-1, le=1)] = Field(
        description="Words below this cosine with the image are no tags."
    )
    batch_size: Positive = Field(description="Images a batch.")


class ConsensusParams(Section):
    """Ground phrases where other sources agree."""

    sources: tuple[Literal["dataset", "open_clip", "groundingdino", "grounding_dino", "owlv2"], ...] = Field(
        min_length=2, description="The sources, each with its own settings; the first one's regions are kept."
    )
    agree: Annotated[int, Field(ge=2)] = Field(description="Sources that must agree on a region.")
    iou: Annotated[float, Field(gt=0, le=1)] = Field(
        description="Boxes agree from this overlap on (intersection over union)."
    )


class MaskModelParams(Section):
    """A model that makes boxes into masks."""

    model: str = Field(description="Hub name or folder.")
    batch_size: Positive = Field(description="Images a batch.")


class MaskModelsParams(Section):
    """The models that make boxes into masks, by the names that ``ground.masks`` takes."""

    none: dict[str, str] = Field(max_length=0, description="Boxes stay boxes: nothing to set.")
    sam: MaskModelParams
    sam2: MaskModelParams


class GroundParams(Section):
    """Noun phrases to regions."""

    source: Literal[
        "dataset", "open_clip", "groundingdino", "grounding_dino", "owlv2", "tags", "consensus"
    ] = Field(description="The annotation source.")
    masks: Literal["none", "sam", "sam2"] = Field(description="What makes boxes into masks.")
    dataset: DatasetSourceParams
    open_clip: OpenClipSourceParams
    groundingdino: GroundingdinoParams
    grounding_dino: GroundingDinoParams
    owlv2: Owlv2Params
    tags: TagsParams
    consensus: ConsensusParams
    mask_models: MaskModelsParams


class PatchWordsParams(Section):
    """Regions to the patch grid."""

    min_coverage: Share = Field(description="A patch counts when at least this share of it is covered.")
    min_score: Share = Field(description="Regions with a lower score are left out.")
    use: Literal["masks", "boxes"] = Field(description="Masks where there are any, or boxes throughout.")


class TrainedEncoderParams(Section):
    """A small CLIP, trained with open_clip on the source's own images and captions."""

    width: Positive = Field(description="Width of the vision tower.")
    layers: Positive = Field(description="Layers of the vision tower.")
    patch_size: Positive = Field(description="Side of a patch, pixels.")
    image_size: Positive = Field(description="Side of the input, pixels; scenes come in their own size.")
    embed_dim: Positive = Field(description="Width of the shared image-text space.")
    steps: Positive = Field(description="Optimiser steps.")
    batch_size: Positive = Field(description="Image-caption pairs a step.")
    learning_rate: float = Field(gt=0, description="Peak learning rate.")
    views: Share = Field(description="Share of the batches made of views of a few objects, with short texts.")


class PretrainedEncoderParams(Section):
    """A pretrained CLIP vision tower."""

    path: str = Field(description="Hub name or folder of a transformers CLIP or SigLIP model.")


class EncoderParams(Section):
    """The vision encoder, frozen from then on."""

    name: Literal["trained", "pretrained"]
    trained: TrainedEncoderParams
    pretrained: PretrainedEncoderParams


class TrainedLanguageModelParams(Section):
    """A small causal language model, trained on the training split's text alone."""

    width: Positive = Field(description="Hidden size.")
    layers: list[Literal["conv", "full_attention"]] = Field(description="The layers' kinds, first to last.")
    heads: Positive = Field(description="Attention heads.")
    hidden: Positive = Field(description="Width inside the feed-forward layers.")
    steps: Positive = Field(description="Optimiser steps.")
    batch_scenes: Positive = Field(description="Scenes in words a step.")
    turns: Positive = Field(description="Turns a scene and step.")
    learning_rate: float = Field(gt=0, description="Peak learning rate.")
    box_bins: Positive = Field(description="Bins of a box coordinate: each is a word.")


class PretrainedLanguageModelParams(Section):
    """A pretrained causal language model."""

    path: str = Field(description="Hub name, folder or GGUF file of a transformers causal LM.")


class LanguageModelParams(Section):
    """The language model, frozen in pre-training, trained in fine-tuning."""

    name: Literal["trained", "pretrained"]
    trained: TrainedLanguageModelParams
    pretrained: PretrainedLanguageModelParams


class ProjectorParams(Section):
    """The projector between encoder and language model."""

    kind: Literal["linear", "mlp"] = Field(description="mlp: two layers, a GELU between, as in LLaVA-1.5.")
    feature_layers: list[int] = Field(
        min_length=1,
        description="Encoder layers that are projected, side by side; LLaVA-1.5 takes [-2].",
    )


class PatchLossParams(Section):
    """The patch loss of the arms that have one."""

    form: Literal["cosine"] = Field(description="cosine: the paper's, mean over regions of 1 - cos(v, w).")
    beta: float = Field(ge=0, description="Weight beside the caption loss.")
    words: Literal["phrase", "head"] = Field(description="Words that make the region's target.")


class OptimisationParams(Section):
    """A stage of training."""

    steps: Positive = Field(description="Optimiser steps.")
    batch_images: Positive = Field(description="Images a step.")
    turns: Positive = Field(description="Captions or conversations an image and step.")
    learning_rate: float = Field(gt=0, description="Peak learning rate; cosine decay.")
    warmup: Share = Field(description="Share of the steps that the learning rate rises in.")
    weight_decay: float = Field(ge=0)
    save_every: Positive = Field(description="Steps between checkpoints that a rerun resumes from.")


class TrainParams(Section):
    """Projector pre-training and fine-tuning of the arms."""

    projector: ProjectorParams
    patch_loss: PatchLossParams
    pretrain: OptimisationParams
    finetune: OptimisationParams


class EvaluateParams(Section):
    """Evaluation on the test split."""

    examples: Positive = Field(description="Most examples of a task.")
    regions: Positive = Field(description="Most regions for alignment and decomposition.")
    words: Positive = Field(description="K of the decomposition: words a token is decomposed into.")
    batch_size: Positive = Field(description="Examples a batch of generation.")
    bootstrap: Positive = Field(description="Resamples behind an interval.")


class ReportParams(Section):
    """The report."""

    examples: Positive = Field(description="Examples drawn.")


class ComputeParams(Section):
    """Where the shards run. Changes no result, so no stage depends on it."""

    runner: Literal["threads", "processes"] = Field(description="What the shards are given to.")
    workers: Positive = Field(description="Shards at a time.")
    threads: int = Field(ge=0, description="Threads of a training stage on a CPU; 0: one a core.")


class Params(Section):
    """All of ``params.yaml``."""

    profile: str = Field(description="The profile that these settings came from: a label.")
    seed: int = Field(ge=0, description="Seed of everything random.")
    source: SourceParams
    parse: ParseParams
    ground: GroundParams
    patch_words: PatchWordsParams
    encoder: EncoderParams
    language_model: LanguageModelParams
    train: TrainParams
    evaluate: EvaluateParams
    report: ReportParams
    compute: ComputeParams


def load(path: Path = PARAMS_FILE) -> Params:
    """Read and check the parameters.

    Raises:
        UserError: the file is missing or is no YAML, or a value is wrong; the message lists every wrong key
            with its value and what is allowed.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"There is no {path}: run the command in the project's root folder.") from error
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not valid YAML: {error}") from error
    return parse(raw, str(path))


def parse(raw: Any, name: str = "params") -> Params:
    """Check parameters that were read already; ``name`` is what the message calls them."""
    try:
        return Params.model_validate(raw)
    except ValidationError as error:
        raise UserError(f"{name} has {error.error_count()} wrong value(s):\n{_explain(error)}") from error


def _explain(error: ValidationError) -> str:
    lines = []
    for fault in error.errors():
        key = ".".join(str(step) for step in fault["loc"]) or "(top level)"
        if fault["type"] == "missing":
            lines.append(f"  {key}: missing")
        elif fault["type"] == "extra_forbidden":
            lines.append(f"  {key}: there is no such setting")
        else:
            lines.append(f"  {key}: found {fault['input']!r}; {fault['msg'].removeprefix('Value error, ')}")
    return "\n".join(lines)
