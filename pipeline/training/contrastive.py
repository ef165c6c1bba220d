"""Contrastive training of the embedded profile's encoder: images against their captions, with open_clip.

Two kinds of batch: whole scenes with a caption, and views of one object with a short text. A view keeps the
patches around an object and drops the rest (as FLIP drops patches, arXiv 2212.00794); its text names the
object. No patch is ever given a label: the text is compared with the mean of the view's patches.

Shapes: B images, N patches, W width of the tower, E width of the shared space, K patches of a view.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from pipeline.models.encoder import PIXEL_MEAN, PIXEL_STD
from pipeline.params import TrainedEncoderParams
from pipeline.training.images import normalise

VIEWS = (3, 4, 5)  # patches a side of an object's view, drawn anew for every batch
MAX_SCALE = math.log(100)  # CLIP's bound on the logit scale


@dataclass(frozen=True)
class ContrastiveData:
    """Training images and the texts about them.

    ``pixels`` is (images, 3, H, W) uint8. Texts are token ids, padded. ``caption_image`` and ``object_image``
    number the image of each caption and object; ``object_centre`` is (objects, 2), x and y in patches.
    """

    pixels: np.ndarray
    caption_ids: torch.Tensor
    caption_image: np.ndarray
    object_ids: torch.Tensor
    object_image: np.ndarray
    object_centre: np.ndarray


def train(
    model: nn.Module,
    data: ContrastiveData,
    params: TrainedEncoderParams,
    seed: int,
    on_step: Callable[[int, float, float], None],
) -> None:
    """Train an open_clip model in place; ``on_step`` is told step, loss and learning rate."""
    generator = np.random.default_rng([seed, 3])
    grid = model.visual.grid_size[0]
    decayed = [p for p in model.parameters() if p.ndim >= 2]
    others = [p for p in model.parameters() if p.ndim < 2]
    optimiser = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.05}, {"params": others, "weight_decay": 0.0}],
        lr=params.learning_rate,
        betas=(0.9, 0.98),
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, params.learning_rate, total_steps=params.steps, pct_start=0.1, cycle_momentum=False
    )
    model.train()
    for step in range(params.steps):
        if len(data.object_image) and generator.random() < params.crops:
            rows = generator.choice(len(data.object_image), params.batch_size, replace=False)
            texts, images = data.object_ids[rows], data.object_image[rows]
            side = min(int(generator.choice(VIEWS)), grid)
            keep = view_patches(data.object_centre[rows], side, grid, generator)
        else:
            batch = max(params.batch_size // 2, 2)  # whole scenes have more patches and longer texts
            rows = generator.choice(len(data.caption_image), batch, replace=False)
            texts, images, keep = data.caption_ids[rows], data.caption_image[rows], None
        pixels = normalise(torch.from_numpy(data.pixels[images]), PIXEL_MEAN, PIXEL_STD)
        texts = texts[:, : int((texts != 0).sum(1).max())]
        loss = contrastive_loss(
            embed_view(model.visual, pixels, keep), embed_text(model, texts), model.logit_scale.exp(), texts
        )
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        with torch.no_grad():
            model.logit_scale.clamp_(0, MAX_SCALE)
        on_step(step, loss.item(), schedule.get_last_lr()[0])
    model.eval()


def view_patches(centre: np.ndarray, side: int, grid: int, generator: np.random.Generator) -> torch.Tensor:
    """Patches (B, K) of a ``side`` x ``side`` window about each centre (B, 2), moved by up to one patch."""
    corner = np.round(centre - side / 2 + generator.uniform(-0.7, 0.7, centre.shape)).astype(np.int64)
    corner = corner.clip(0, grid - side)
    offset = np.arange(side)
    rows = corner[:, 1, None] + offset
    columns = corner[:, 0, None] + offset
    return torch.from_numpy((rows[:, :, None] * grid + columns[:, None, :]).reshape(len(centre), -1))


def embed_view(visual: nn.Module, pixels: torch.Tensor, keep: torch.Tensor | None) -> torch.Tensor:
    """Unit embeddings (B, E) of images, or of their patches ``keep`` (B, K) alone; mean-pooled towers."""
    tokens = visual.conv1(pixels).flatten(2).transpose(1, 2)  # (B, N, W)
    position = visual.positional_embedding
    tokens = tokens + position[1:]
    if keep is not None:
        tokens = tokens.gather(1, keep.unsqueeze(-1).expand(-1, -1, tokens.shape[-1]))
    first = (visual.class_embedding + position[0]).expand(len(tokens), 1, -1)
    hidden = visual.transformer(visual.ln_pre(torch.cat([first, tokens], dim=1)))
    return F.normalize(visual.ln_post(hidden)[:, 1:].mean(1) @ visual.proj, dim=-1)


def embed_text(model: nn.Module, ids: torch.Tensor) -> torch.Tensor:
    """Unit embeddings (B, E) of token ids, each ending with the end-of-text token (pads follow)."""
    length = ids.shape[1]
    hidden = model.token_embedding(ids) + model.positional_embedding[:length]
    hidden = model.ln_final(model.transformer(hidden, attn_mask=model.attn_mask[:length, :length]))
    last = (ids != 0).sum(1) - 1
    return F.normalize(hidden[torch.arange(len(ids)), last] @ model.text_projection, dim=-1)


def contrastive_loss(
    images_BE: torch.Tensor, texts_BE: torch.Tensor, scale: torch.Tensor, ids: torch.Tensor
) -> torch.Tensor:
    """CLIP's symmetric loss, with every pair of the same text a positive (UniCL, arXiv 2204.03610).

    In a small world many images of a batch have the same text; taking them for negatives would be wrong.
    """
    logits = scale * images_BE @ texts_BE.T
    same = (ids[:, None] == ids[None]).all(-1).float()
    target = same / same.sum(1, keepdim=True)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2
