"""What the projector does to the encoder's tokens: alignment, compression, decomposition, what a probe reads.

Measured on held-out images, for any projector, before and after each stage of training.

Shapes: B images, N vision tokens, D width of the language model, R regions.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from transformers import LlavaForConditionalGeneration

from pipeline.evaluation import alignment, compression, decomposition, dictionary, probes, recall, two_words
from pipeline.evaluation.dictionary import Dictionary
from pipeline.evaluation.regions import BATCH, Measures, Regions, region_vectors
from pipeline.evaluation.statistics import estimate
from pipeline.models import llava
from pipeline.models.chat import encode_words
from pipeline.models.language_model import word_embeddings
from pipeline.params import EvaluateParams
from pipeline.tables import schemas
from pipeline.tables.metrics import Estimates
from pipeline.training.features import ImageFeatures
from pipeline.training.losses import pool_words
from pipeline.training.supervision import pad_ids, target_text

LABELLED = 60
"""Images whose patches are labelled with their nearest words."""


@dataclass(frozen=True)
class Analysis:
    """What is found about one projector."""

    estimates: Estimates
    measures: pa.Table
    """Table ``measures``: what the estimates are means of, so that two projectors can be paired."""
    maps: pa.Table
    """Table ``similarity_maps`` of the regions."""
    labels: pa.Table
    """Table ``patch_labels``: the nearest word of each patch, of some images."""
    curves: dict = field(default_factory=dict)
    """``spectrum``: ``before`` and ``after`` the projector, the images' mean eigenvalue at each rank.
    ``recall``: those of `recall.Recalled`."""


@dataclass(frozen=True)
class Fitting:
    """Images that no projector was trained on, and their regions: what probes are fitted on."""

    features: ImageFeatures
    regions: Regions


@torch.inference_mode()
def analyse(
    model: LlavaForConditionalGeneration,
    tokenizer,
    features: ImageFeatures,
    regions: Regions,
    settings: EvaluateParams,
    seed: int,
    fitting: Fitting | None = None,
) -> Analysis:
    """Measure alignment, compression and decomposition, and with ``fitting`` what linear probes read."""
    tokens_BND = torch.cat(
        [
            llava.project(model, features.take(np.arange(start, min(start + BATCH, len(features)))))
            for start in range(0, len(features), BATCH)
        ]
    )
    table = word_embeddings(model)
    w_RD = word_vectors(table, tokenizer, [target_text(words, "phrase") for words in regions.words])
    maps_RN = alignment.similarity_maps(tokens_BND, torch.from_numpy(regions.image), w_RD).float().numpy()
    values = align(tokens_BND, table, tokenizer, regions, w_RD, maps_RN)
    spectra = {
        "before": compression.eigenvalues(features.take(np.arange(len(features)))),
        "after": compression.eigenvalues(tokens_BND),
    }
    for side, eigenvalues_BM in spectra.items():
        values[f"compression.{side}"] = features.image_ids, compression.entropy(eigenvalues_BM)
    words = dictionary.of(tokenizer, table)
    found = recall.decompose(tokens_BND, words, tokenizer, regions, settings.words)
    values |= found.measures(settings.words)
    values |= two_words.measures(tokens_BND, words, regions, settings.words, features.image_ids)
    if fitting is not None:
        values |= probes.measures(
            lambda images: llava.project(model, fitting.features.take(images)),
            fitting.regions,
            len(fitting.features),
            lambda images: tokens_BND[torch.as_tensor(images)],
            regions,
            features.image_ids,
        )
    curves = {
        "spectrum": {
            side: [round(float(value), 8) for value in compression.spectrum(eigenvalues_BM)]
            for side, eigenvalues_BM in spectra.items()
        },
        "recall": found.curves(settings, seed),
    }
    return Analysis(
        estimates_of(values, settings, seed),
        measures_table(values),
        similarity_table(regions, maps_RN),
        label_table(tokens_BND, words, regions, features.image_ids),
        curves,
    )


def probe_features(
    features: ImageFeatures, regions: Regions, fitting: Fitting, settings: EvaluateParams, seed: int
) -> Estimates:
    """What the same probes read from the encoder's features: what any projector can pass on."""
    values = probes.measures(
        fitting.features.take, fitting.regions, len(fitting.features),
        features.take, regions, features.image_ids,
    )  # fmt: skip
    return estimates_of(values, settings, seed)


def estimates_of(values: Measures, settings: EvaluateParams, seed: int) -> Estimates:
    """The mean of each metric with its interval; metrics without an example are left out."""
    return {
        key: estimate(found, settings.bootstrap, seed) for key, (_, found) in values.items() if len(found)
    }


def write_curves(path: Path, curves: dict[str, dict]) -> None:
    """Write `Analysis.curves` of one or several stages of training as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(curves, indent=1) + "\n", encoding="utf-8")


def measures_table(values: Measures) -> pa.Table:
    """Measures as the table of that name."""
    return pa.table(
        {
            "metric": [key for key, (examples, _) in values.items() for _ in examples],
            "example": [example for examples, _ in values.values() for example in examples],
            "value": np.concatenate(
                [np.empty(0), *(found.astype(np.float64) for _, found in values.values())]
            ),
        },
        schema=schemas.SCHEMAS["measures"],
    )


def align(
    tokens_BND: torch.Tensor,
    table: torch.Tensor,
    tokenizer,
    regions: Regions,
    w_RD: torch.Tensor,
    maps_RN: np.ndarray,
) -> Measures:
    """Each alignment metric, one value a region; ``w_RD`` are the regions' words, ``maps_RN`` their maps."""
    v_RD = region_vectors(tokens_BND, regions)
    ids = regions.phrase_ids
    values = {
        "alignment.cosine": (ids, alignment.region_cosines(v_RD, w_RD)),
        "alignment.pointing": (ids, alignment.pointing(maps_RN, regions.coverage)),
        "alignment.miou": (ids, alignment.map_iou(maps_RN, regions.coverage)),
    }
    heads = regions.of_role("head")
    nouns = sorted({lemma for head in heads for lemma in head[:1]})
    named = [row for row, head in enumerate(heads) if head]
    if named:
        right = torch.tensor([nouns.index(heads[row][0]) for row in named])
        ranks = alignment.word_ranks(v_RD[named], word_vectors(table, tokenizer, nouns), right)
        examples = [ids[row] for row in named]
        values |= {
            f"alignment.{name}": (examples, found) for name, found in alignment.retrieval(ranks).items()
        }
    attributes = regions.of_role("attribute")
    kinds = sorted({lemma for found in attributes for lemma in found})
    described = [row for row, found in enumerate(attributes) if found]
    if described:
        right_RV = torch.tensor([[kind in attributes[row] for kind in kinds] for row in described])
        candidates = word_vectors(table, tokenizer, kinds)
        right_R = alignment.nearest_is_right(v_RD[described], candidates, right_RV)
        values["alignment.attribute_top1"] = [ids[row] for row in described], right_R
    return values


def word_vectors(table: torch.Tensor, tokenizer, texts: list[str]) -> torch.Tensor:
    """w: the mean input embedding of each text's tokens."""
    pad = tokenizer.pad_token_id
    ids = torch.from_numpy(pad_ids(encode_words(tokenizer, texts), pad)).unsqueeze(0)
    return pool_words(table, ids, pad).squeeze(0)


def similarity_table(regions: Regions, maps_RN: np.ndarray) -> pa.Table:
    """The regions' ``similarity_maps``."""
    chosen = regions.table.select(["image_id", "phrase_id", "phrase", "grid"])
    similarity, coverage = (
        pa.array(list(rows), pa.list_(pa.float32())) for rows in (maps_RN, regions.coverage)
    )
    return (
        chosen.append_column("similarity", similarity)
        .append_column("coverage", coverage)
        .select(schemas.SCHEMAS["similarity_maps"].names)
    )


def label_table(
    tokens_BND: torch.Tensor, words: Dictionary, regions: Regions, image_ids: list[str]
) -> pa.Table:
    """The ``patch_labels`` of up to `LABELLED` images with regions, spread evenly."""
    images = np.unique(regions.image)
    if len(images):
        images = images[
            np.unique(np.linspace(0, len(images) - 1, min(LABELLED, len(images))).round().astype(int))
        ]
    rows = []
    for image in images:
        nearest, cosine = decomposition.nearest_with_cosine(tokens_BND[image], words.vectors_VD, 1)
        rows.append(
            {
                "image_id": image_ids[image], "grid": list(regions.grid),
                "words": [words.words[row] for row in nearest[:, 0]], "similarity": cosine[:, 0].tolist(),
            }
        )  # fmt: skip
    return schemas.from_rows("patch_labels", rows)
