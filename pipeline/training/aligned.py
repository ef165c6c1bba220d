"""The patch loss for any multimodal model of transformers that has an adapter, in anybody's training loop.

    supervision = aligned.patch_words(model, processor, Path("data"), image_ids)
    batch |= supervision.tensors(image_ids_of_the_batch)          # in the collator
    loss, outputs = aligned.patch_aligned_loss(model, batch)      # in Trainer.compute_loss

Shapes: B images, N vision tokens of an image (padded), R regions an image (padded), K tokens of a region's
words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import nn
from torch.nn import functional as F
from transformers import PreTrainedModel

from pipeline.models import adapters
from pipeline.models.language_model import word_embeddings
from pipeline.params import ArmParams, PatchWordsParams
from pipeline.patches import block
from pipeline.tables import dataset
from pipeline.training import supervision
from pipeline.training.patch_losses import READ_IN_THE_LAST_LAYER, mean
from pipeline.training.patch_losses.words import Words
from pipeline.training.supervision import PatchSupervision

EVERY = PatchWordsParams(min_coverage=0.1, min_score=0.0, use="masks")


@dataclass(frozen=True)
class Supervision:
    """Patch words of images on a model's own grids."""

    number: dict[str, int]
    """Each image's number."""
    patches: PatchSupervision

    def tensors(self, images: Sequence[str]) -> dict[str, torch.Tensor]:
        """``region_weights`` (B, R, N), ``region_words`` (B, R, K) and ``region_pad`` of images by id."""
        weights, words = self.patches.batch(np.array([self.number[image] for image in images]))
        return {
            "region_weights": torch.from_numpy(weights),
            "region_words": torch.from_numpy(words),
            "region_pad": torch.tensor(self.patches.pad),
        }


def patch_words(
    model: nn.Module,
    processor: Any,
    data: Path,
    images: Sequence[str],
    words: str = "phrase",
    params: PatchWordsParams = EVERY,
) -> Supervision:
    """The regions of some images on the grid that a model sees each of them on.

    Args:
        model: of a family that has an adapter.
        processor: the model's.
        data: folder of the datasets; ``images``, ``phrases`` and ``regions`` are read.
        images: image ids.
        words: ``phrase`` takes all words of a phrase, ``head`` its head noun alone.
        params: as in the stage ``patch_words``.
    """
    chosen = pa.array(sorted(images))

    def read(name: str, columns: list[str] | None = None) -> pa.Table:
        table = dataset.read(data / name, columns)
        return table.filter(pc.is_in(table["image_id"], value_set=chosen))

    table = on_own_grids(
        model,
        processor,
        read("images", ["image_id", "width", "height", "split"]),
        read("phrases", ["phrase_id", "image_id", "text", "words"]),
        read("regions"),
        params,
    )
    grids = np.asarray(table["grid"].to_pylist(), np.int64).reshape(-1, 2)
    most = int(grids.prod(1).max(initial=1))
    found = supervision.of_table(table, images, processor.tokenizer, words, most)
    return Supervision({image: index for index, image in enumerate(images)}, found)


def on_own_grids(
    model: nn.Module,
    processor: Any,
    images: pa.Table,
    phrases: pa.Table,
    regions: pa.Table,
    params: PatchWordsParams = EVERY,
) -> pa.Table:
    """The ``patch_words`` table of some images, each on the grid that the model sees it on."""
    adapter = adapters.of(model)
    sizes = list(zip(images["width"].to_pylist(), images["height"].to_pylist(), strict=True))
    geometries = [adapter.geometry(model.config, processor, *size) for size in sizes]
    parts = []
    for geometry in dict.fromkeys(geometries):
        here = images.filter(pa.array([found == geometry for found in geometries]))
        phrases_here, regions_here = (
            table.filter(pc.is_in(table["image_id"], value_set=here["image_id"].combine_chunks()))
            for table in (phrases, regions)
        )
        parts.append(block.patch_words(here, phrases_here, regions_here, geometry, params)["patch_words"])
    return pa.concat_tables(parts)


def patch_aligned_loss(
    model: nn.Module, batch: dict[str, Any], beta: float = 2.0, form: str = "cosine"
) -> tuple[torch.Tensor, Any]:
    """The model's own loss + beta * the patch loss (Jiang et al., arXiv 2505.17316), and the model's outputs.

    The vision tokens are those of the model's own forward pass, which runs once. Without ``labels`` the patch
    loss stands alone.

    Args:
        model: of a family that has an adapter; wrapped for several devices, or not.
        batch: the model's inputs, an image each row, and what `Supervision.tensors` gives.
        beta: weight of the patch loss.
        form: which of `pipeline.training.patch_losses.FORMS`, but for those that read the language model.

    Raises:
        ValueError: there is no such loss, or it reads the language model's last layer.
    """
    arm = ArmParams.model_validate({"loss": form, "beta": beta})
    if form in READ_IN_THE_LAST_LAYER:
        raise ValueError(f"form={form!r} reads the language model's last layer, which is not looked at here")
    inner = unwrapped(model)
    inputs = {name: value for name, value in batch.items() if not name.startswith("region_")}
    adapter = adapters.of(inner)
    with adapter.watch(inner) as seen:
        outputs = model(**inputs)
    tokens_BND = adapters.stack(adapter.tokens(seen[-1], inputs))
    weights_BRN = fit(batch["region_weights"], tokens_BND.shape[1]).to(tokens_BND.device)
    words_VD = word_embeddings(cast(PreTrainedModel, inner)).detach()
    patch = mean.patch_loss(
        arm,
        tokens_BND,
        weights_BRN,
        batch["region_words"].to(tokens_BND.device),
        Words(words_VD, words_VD, int(batch["region_pad"])),
    )
    own = getattr(outputs, "loss", None)
    return (beta * patch if own is None else own + beta * patch), outputs


def unwrapped(model: nn.Module) -> nn.Module:
    """The model inside what `torch.compile` and `DistributedDataParallel` put around it."""
    for name in ("_orig_mod", "module"):
        while isinstance(getattr(model, name, None), nn.Module):
            model = getattr(model, name)
    return model


def fit(weights_BRN: torch.Tensor, count: int) -> torch.Tensor:
    """Weights for ``count`` tokens: padded with zeros, or without the padding of longer images.

    Raises:
        ValueError: a region lies on tokens that the model did not make: the grids differ.
    """
    surplus = weights_BRN.shape[-1] - count
    if surplus > 0 and bool(weights_BRN[..., count:].any()):
        raise ValueError(
            f"regions lie on more than the {count} vision tokens that the model made: patch words and batch "
            "are of different images, or of another processor"
        )
    return F.pad(weights_BRN, (0, -surplus))
