"""What is evaluated on: the test split's images, regions and examples, loaded once for any checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.compute as pc
import torch
from transformers import LlavaForConditionalGeneration

from pipeline.evaluation.analysis import Analysis, Fitting, analyse
from pipeline.evaluation.answers import Reader, choose
from pipeline.evaluation.regions import Regions, load_regions
from pipeline.evaluation.world import World
from pipeline.models import llava
from pipeline.models.boxes import BoxFormat
from pipeline.models.chat import ChatFormat, encode
from pipeline.models.vocabulary import IMAGE
from pipeline.params import EvaluateParams, Params
from pipeline.tables import dataset
from pipeline.training import features as feature_tables
from pipeline.training import text
from pipeline.training.features import ImageFeatures
from pipeline.training.stages import box_format


@dataclass(frozen=True)
class Subjects:
    """One split, ready to be evaluated on."""

    features: ImageFeatures
    regions: Regions
    rows: list[dict]
    """Examples, their prompts and references in the language model's box format."""
    world: World
    boxes: BoxFormat
    fitting: Fitting | None = None
    """What probes are fitted on; none where the dataset has no validation split."""

    def number(self) -> dict[str, int]:
        """Each image's number among the features."""
        return {image: index for index, image in enumerate(self.features.image_ids)}


def load(params: Params, data: Path, split: str = "test", examples: int | None = None) -> Subjects:
    """Load a split's subjects; ``examples`` overrides the setting of that name."""
    boxes = box_format(params)
    features = feature_tables.load(data / "features", split, params.source.path)
    rows = choose(
        [row for part in text.conversations(data, split, boxes) for row in part],
        examples or params.evaluate.examples,
    )
    wanted = set(features.image_ids)
    images = dataset.scan(data / "images").to_table(
        ["image_id", "width", "height"], filter=pc.field("split") == split
    )
    sizes = text.sizes_of(images)
    world = World(
        sizes,
        {
            image: [row["text"] for row in found]
            for image, found in _by_image(data / "captions", wanted).items()
        },
        _by_image(data / "objects", wanted),
        frozenset(dataset.read(data / "objects", ["label"])["label"].unique().to_pylist()),
    )
    regions = load_regions(data / "true_words", features, params.evaluate.regions)
    return Subjects(features, regions, rows, world, boxes, fitting(params, data, split))


def fitting(params: Params, data: Path, split: str) -> Fitting | None:
    """The validation split, which no projector is trained on, for probes that are scored on another."""
    if split == "validation":
        return None
    features = feature_tables.load(data / "features", "validation", params.source.path)
    if not features:
        return None
    return Fitting(features, load_regions(data / "true_words", features, params.evaluate.regions))


def analysed(model, tokenizer, subjects: Subjects, settings: EvaluateParams, seed: int) -> Analysis:
    """The analysis of a model's projector on the subjects."""
    return analyse(model, tokenizer, subjects.features, subjects.regions, settings, seed, subjects.fitting)


def image_reader(
    model: LlavaForConditionalGeneration, tokenizer, subjects: Subjects, blank: torch.Tensor | None = None
) -> Reader:
    """Answers behind images, wherever the model is; with ``blank`` (N, W), behind one featureless image."""
    chat = ChatFormat.of(tokenizer, IMAGE)
    before = torch.tensor(encode(tokenizer, [chat.before_image])[0], dtype=torch.long, device=model.device)
    number = subjects.number()
    length = len(before) + subjects.features.patch_count

    def prefixes(images: Sequence[str]) -> torch.Tensor:
        if blank is not None:
            features = blank.expand(len(images), -1, -1)
        else:
            features = subjects.features.take([number[image] for image in images])
        return llava.prefix_embeddings(model, before, llava.project(model, features.to(model.device)))

    decoder = llava.decoder_of(model)
    return Reader(decoder, model.lm_head, tokenizer, chat.asked, prefixes, lambda image: length)


def mean_image(features: ImageFeatures, most: int = 500) -> torch.Tensor:
    """The mean features (N, W) of up to ``most`` images: an image that tells nothing."""
    return features.take(range(min(most, len(features)))).mean(0)


def text_reader(decoder, tokenizer, subjects: Subjects, data: Path, seed: int) -> Reader:
    """The language model before it saw an image, behind scenes in words: what perfect sight would give it."""
    chat = ChatFormat.of(tokenizer, IMAGE)
    images = subjects.features.image_ids
    scenes = text.scenes_in_words(data / "objects", images, subjects.world.sizes, subjects.boxes, seed)
    ids = dict(zip(images, encode(tokenizer, [chat.before_image + scene for scene in scenes]), strict=True))
    embed = decoder.get_input_embeddings()

    def prefixes(wanted: Sequence[str]) -> torch.Tensor:
        return embed(torch.tensor([ids[image] for image in wanted], device=decoder.device))

    inner, head = decoder.get_decoder(), decoder.lm_head
    return Reader(inner, head, tokenizer, chat.asked, prefixes, lambda image: len(ids[image]))


def _by_image(folder: Path, wanted: set[str]) -> dict[str, list[dict]]:
    found: dict[str, list[dict]] = {image: [] for image in wanted}
    for table in dataset.iter_parts(folder):
        columns = [name for name in table.column_names if name != "mask"]
        for row in table.select(columns).to_pylist():
            if row["image_id"] in found:
                found[row["image_id"]].append(row)
    return found
