"""What the projector does to the encoder's tokens: alignment with words, compression, decomposition.

Measured on held-out images, for any projector, before and after each stage of training.

Shapes: B images, N vision tokens, D width of the language model, R regions.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from transformers import LlavaForConditionalGeneration

from pipeline.evaluation import alignment, compression, decomposition
from pipeline.evaluation.statistics import estimate
from pipeline.models import llava
from pipeline.models.chat import encode
from pipeline.params import EvaluateParams
from pipeline.tables import dataset, schemas
from pipeline.tables.dense import dense_coverage
from pipeline.tables.metrics import Estimates
from pipeline.training.features import Features
from pipeline.training.losses import pool_regions, pool_words
from pipeline.training.supervision import check_grid, pad_ids, target_text

BATCH = 500
CONTENT_ROLES = ("head", "attribute", "compound")


@dataclass(frozen=True)
class Regions:
    """Held-out regions: their image's number, dense coverage (R, N), phrases and words."""

    table: pa.Table
    image: np.ndarray
    coverage: np.ndarray
    words: list[list[dict]]

    def of_role(self, role: str) -> list[list[str]]:
        """The lemmas of each region's words with a role."""
        return [[word["lemma"] for word in words if word["role"] == role] for words in self.words]


def load_regions(folder: Path, features: Features, most: int) -> Regions:
    """The first ``most`` patch words of the features' images, every image in its turn."""
    number = {image: index for index, image in enumerate(features.image_ids)}
    table = dataset.read(folder)
    check_grid(table, features.patch_count, folder)
    keep = [row for row, image in enumerate(table["image_id"].to_pylist()) if image in number][:most]
    table = table.take(keep)
    image = np.asarray([number[image] for image in table["image_id"].to_pylist()], np.int64)
    coverage = dense_coverage(table).reshape(-1, features.patch_count)
    return Regions(table, image, coverage, table["words"].to_pylist())


Measures = dict[str, tuple[list[str], np.ndarray]]
"""Of each metric the examples that it was measured on and its value for each."""


@dataclass(frozen=True)
class Analysis:
    """What is found about one projector."""

    estimates: Estimates
    measures: pa.Table
    """Table ``measures``: what the estimates are means of, so that two projectors can be paired."""
    maps: pa.Table
    """Table ``similarity_maps`` of the regions."""


@torch.inference_mode()
def analyse(
    model: LlavaForConditionalGeneration,
    tokenizer,
    features: Features,
    regions: Regions,
    settings: EvaluateParams,
    seed: int,
) -> Analysis:
    """Measure alignment, compression and decomposition."""
    tokens_BND = torch.cat(
        [
            llava.project(model, features.take(np.arange(start, min(start + BATCH, len(features)))))
            for start in range(0, len(features), BATCH)
        ]
    )
    table = torch.as_tensor(model.get_input_embeddings().weight)
    w_RD = word_vectors(table, tokenizer, [target_text(words, "phrase") for words in regions.words])
    maps_RN = alignment.similarity_maps(tokens_BND, torch.from_numpy(regions.image), w_RD).float().numpy()
    values = align(tokens_BND, table, tokenizer, regions, w_RD, maps_RN)
    before = compression.token_entropy(features.take(np.arange(len(features))))
    values["compression.before"] = features.image_ids, before
    values["compression.after"] = features.image_ids, compression.token_entropy(tokens_BND)
    values |= decompose(tokens_BND, table, tokenizer, regions, settings.words)
    estimates = {
        key: estimate(found, settings.bootstrap, seed) for key, (_, found) in values.items() if len(found)
    }
    return Analysis(estimates, measures_table(values), similarity_table(regions, maps_RN))


def measures_table(values: Measures) -> pa.Table:
    """Measures as the table of that name."""
    return pa.table(
        {
            "metric": [key for key, (examples, _) in values.items() for _ in examples],
            "example": [example for examples, _ in values.values() for example in examples],
            "value": np.concatenate([found.astype(np.float64) for _, found in values.values()]),
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
    ids = regions.table["phrase_id"].to_pylist()
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


def decompose(tokens_BND: torch.Tensor, table: torch.Tensor, tokenizer, regions: Regions, k: int) -> Measures:
    """Recall of each region's words among the k that matching pursuit finds in its best patch, and chance.

    The dictionary is the language model's input embeddings of every token but the special ones.
    """
    special = set(tokenizer.all_special_ids)
    usable = [token for token in range(len(table)) if token not in special]
    place = {token: row for row, token in enumerate(usable)}
    texts = [
        " ".join(word["text"] for word in words if word["role"] in CONTENT_ROLES) for words in regions.words
    ]
    truth = [
        [place[token] for token in dict.fromkeys(ids) if token in place] for ids in encode(tokenizer, texts)
    ]
    rows = [row for row, found in enumerate(truth) if found]
    best = torch.from_numpy(regions.coverage.argmax(1))
    tokens_TD = tokens_BND[torch.from_numpy(regions.image), best][rows]
    found = decomposition.matching_pursuit(tokens_TD, table[usable], k)
    recall = decomposition.recall_by_k(found.words_TK, pad_ids([truth[row] for row in rows], -1))
    ids = regions.table["phrase_id"].to_pylist()
    examples = [ids[row] for row in rows]
    chance = np.full(len(rows), decomposition.chance_recall(k, len(usable)))
    return {"decomposition.recall": (examples, recall[:, -1]), "decomposition.chance": (examples, chance)}


def region_vectors(tokens_BND: torch.Tensor, regions: Regions) -> torch.Tensor:
    """v (R, D): each region's coverage-weighted mean token."""
    weights = torch.from_numpy(regions.coverage).unsqueeze(1)
    return torch.cat(
        [
            pool_regions(
                tokens_BND[regions.image[start : start + BATCH]], weights[start : start + BATCH]
            ).squeeze(1)
            for start in range(0, len(regions.image), BATCH)
        ]
    )


def word_vectors(table: torch.Tensor, tokenizer, texts: list[str]) -> torch.Tensor:
    """w: the mean input embedding of each text's tokens."""
    pad = tokenizer.pad_token_id
    ids = torch.from_numpy(pad_ids(encode(tokenizer, texts), pad)).unsqueeze(0)
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
