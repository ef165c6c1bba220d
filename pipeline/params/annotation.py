"""``parse``, ``ground`` and ``patch_words``: captions to phrases, regions, patches."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, WrapValidator, field_validator
from typing_extensions import TypedDict  # pydantic needs this one before Python 3.12

from pipeline.params.section import Positive, Section, Share


class ParseParams(Section):
    """Captions to noun phrases."""

    model: str = Field(description="spaCy's English pipeline, by package name or folder.")
    batch_size: Positive = Field(description="Captions that spaCy takes at a time.")
    processes: Positive = Field(description="Processes that parse; 2 pay past some 10,000 captions.")


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


class Sources(TypedDict, total=False):
    """Annotation sources by name, each with its settings: what depends on them names them all in one place.

    In ``params.yaml`` an alias (``*open_clip``) gives a source the settings that it has on its own.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]

    dataset: DatasetSourceParams
    open_clip: OpenClipSourceParams
    groundingdino: GroundingdinoParams
    grounding_dino: GroundingDinoParams
    owlv2: Owlv2Params


def _in_the_order_given(value: Any, validate: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
    checked = validate(value)  # in the order of the class
    return {name: checked[name] for name in value}


class ConsensusParams(Section):
    """Ground phrases where other sources agree."""

    sources: Annotated[Sources, WrapValidator(_in_the_order_given)] = Field(
        description="Two sources or more, with their settings; the first one's regions are kept."
    )
    agree: Annotated[int, Field(ge=2)] = Field(description="Sources that must agree on a region.")
    iou: Annotated[float, Field(gt=0, le=1)] = Field(
        description="Boxes agree from this overlap on (intersection over union)."
    )

    @field_validator("sources")
    @classmethod
    def _several(cls, value: Sources) -> Sources:
        if len(value) < 2:
            raise ValueError("it needs two sources or more")
        return value


class TagSources(Sources, total=False):
    """The sources that can ground tags."""

    consensus: ConsensusParams


class TagsParams(Section):
    """Words of a vocabulary that an image shows, as phrases for another source: needs no caption."""

    source: TagSources = Field(description="The one source that grounds the tags, with its settings.")
    model: str = Field(description="open_clip architecture, or local-dir:FOLDER for one on disk.")
    pretrained: str | None = Field(description="open_clip's tag or file of the weights; none for local-dir.")
    prompt: str = Field(description="Template of the text, with {} for the word.")
    vocabulary: Path = Field(
        description="Text file, a word a line: vocabulary_scenes.txt has the default scenes' nouns,"
        " vocabulary.txt COCO's."
    )
    best: Positive = Field(description="Most tags of an image.")
    min_similarity: Annotated[float, Field(ge=-1, le=1)] = Field(
        description="Words below this cosine with the image are no tags."
    )
    batch_size: Positive = Field(description="Images a batch.")

    @field_validator("source")
    @classmethod
    def _one(cls, value: TagSources) -> TagSources:
        if len(value) != 1:
            raise ValueError("it needs exactly one source")
        return value


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


class AuditParams(Section):
    """Annotation sources against the boxes that people drew."""

    sources: tuple[
        Literal["dataset", "open_clip", "groundingdino", "grounding_dino", "owlv2", "tags", "consensus"], ...
    ] = Field(
        min_length=1, description="The annotation sources that are audited, each with its own settings."
    )
    splits: tuple[Literal["train", "validation", "test"], ...] = Field(
        min_length=1, description="Splits whose images are looked at."
    )
    images: Positive = Field(description="Most images, chosen by their ids.")
    bootstrap: Positive = Field(description="Resamples behind an interval.")
