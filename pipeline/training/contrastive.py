"""Contrastive training of the embedded profile's encoder: images against their captions, with open_clip.

Two kinds of batch: whole images with a caption, and views of a few objects with a short text. A view keeps
the patches around its objects and drops the rest (as FLIP drops patches, arXiv 2212.00794); its text names
them: "a red cup and a blue star". No patch is ever given a label: the text is compared with the mean of all
patches of the view.

Shapes: B images, N patches, W width of the tower, E width of the shared space, K patches of a view.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torchvision.transforms.functional import rgb_to_grayscale

from pipeline.models.encoder import PIXEL_MEAN, PIXEL_STD, TEXT_CONTEXT
from pipeline.params import TrainedEncoderParams
from pipeline.training.images import normalise
from pipeline.training.optimiser import MuonAdamW, one_cycle

if TYPE_CHECKING:
    from open_clip.model import CLIP
    from open_clip.transformer import VisionTransformer

WINDOW = 4  # patches a side of the window around an object
GREY = 0.35  # share of views in grey, whose texts leave attributes out: shape has to tell them apart
OBJECTS = (1, 1, 1, 2, 3)  # objects of a view: one of these for every batch
MAX_SCALE = math.log(100)  # CLIP's bound on the logit scale


@dataclass(frozen=True)
class ContrastiveData:
    """Training images and the texts about them.

    ``pixels`` is (images, 3, H, W) uint8. ``caption_image`` numbers the image of each caption. Objects are
    sorted by image: ``firsts[i]:firsts[i + 1]`` are those of image i, with their centres (objects, 2) as x, y
    in patches. Texts are token ids without an end; ``joint`` is the token between two objects.
    """

    pixels: np.ndarray
    caption_ids: list[list[int]]
    caption_image: np.ndarray
    object_ids: list[list[int]]
    label_ids: list[list[int]]
    object_centre: np.ndarray
    firsts: np.ndarray
    joint: int
    eos: int

    def views(
        self, count: int, batch: int, labels: bool, generator: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, list[list[int]]]:
        """Images (B,), ``count`` objects of each (B, count), and the text that names them.

        With ``labels`` the text leaves attributes out.
        """
        found = np.diff(self.firsts)
        images = generator.choice(np.flatnonzero(found >= count), batch)
        ranks = generator.random((batch, found.max()))
        ranks[np.arange(found.max()) >= found[images, None]] = 2
        objects = self.firsts[images][:, None] + ranks.argsort(1)[:, :count]
        texts, names = [], self.label_ids if labels else self.object_ids
        for row in objects:
            joined = [token for place in row for token in (*names[place], self.joint)]
            texts.append(joined[:-1])
        return images, objects, texts

    def pad(self, texts: list[list[int]]) -> torch.Tensor:
        """Texts as (B, L), each closed with the end-of-text token, padded with 0."""
        closed = [[*text[: TEXT_CONTEXT - 1], self.eos] for text in texts]
        padded = np.zeros((len(closed), max(map(len, closed))), np.int64)
        for row, ids in enumerate(closed):
            padded[row, : len(ids)] = ids
        return torch.from_numpy(padded)


def train(
    model: CLIP,
    data: ContrastiveData,
    params: TrainedEncoderParams,
    seed: int,
    on_step: Callable[[int, float, float], None],
) -> None:
    """Train an open_clip model in place; ``on_step`` is told step, loss and learning rate."""
    generator = np.random.default_rng([seed, 3])
    grid = model.visual.grid_size[0]
    most = int(np.diff(data.firsts).max(initial=0))
    optimiser = MuonAdamW(model, params.learning_rate, weight_decay=0.01)
    schedule = one_cycle(optimiser, params.learning_rate, params.steps, warmup=0.1)
    model.train()
    for step in range(params.steps):
        if len(data.object_ids) and generator.random() < params.views:
            count = int(generator.choice([k for k in OBJECTS if k <= most]))
            grey = generator.random() < GREY
            images, objects, texts = data.views(count, params.batch_size // count, grey, generator)
            keep = windows(data.object_centre[objects], grid, generator)
        else:
            rows = generator.choice(len(data.caption_image), max(params.batch_size // 4, 2), replace=False)
            grey = False
            images, texts, keep = data.caption_image[rows], [data.caption_ids[row] for row in rows], None
        pixels = torch.from_numpy(data.pixels[images])
        if grey:
            pixels = rgb_to_grayscale(pixels, 3)
        pixels = normalise(pixels, PIXEL_MEAN, PIXEL_STD)
        ids = data.pad(texts)
        loss = contrastive_loss(
            embed_view(model.visual, pixels, keep), embed_text(model, ids), model.logit_scale.exp(), ids
        )
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        with torch.no_grad():
            model.logit_scale.clamp_(0, MAX_SCALE)
        on_step(step, loss.item(), float(schedule.get_last_lr()[0]))
    model.eval()


def windows(centres: np.ndarray, grid: int, generator: np.random.Generator) -> torch.Tensor:
    """Patches (B, K) of a `WINDOW` x `WINDOW` window about each of a row's centres (B, objects, 2).

    Windows are moved by up to a patch at random, and may overlap.
    """
    side = min(WINDOW, grid)
    corner = np.round(centres - side / 2 + generator.uniform(-0.7, 0.7, centres.shape)).astype(np.int64)
    corner = corner.clip(0, grid - side)
    offset = np.arange(side)
    rows = corner[..., 1, None] + offset
    columns = corner[..., 0, None] + offset
    return torch.from_numpy((rows[..., :, None] * grid + columns[..., None, :]).reshape(len(centres), -1))


def embed_view(visual: VisionTransformer, pixels: torch.Tensor, keep: torch.Tensor | None) -> torch.Tensor:
    """Unit embeddings (B, E) of images, or of their patches ``keep`` (B, K) alone; mean-pooled towers."""
    tokens = visual.conv1(pixels).flatten(2).transpose(1, 2)  # (B, N, W)
    position = visual.positional_embedding
    tokens = tokens + position[1:]
    if keep is not None:
        tokens = tokens.gather(1, keep.unsqueeze(-1).expand(-1, -1, tokens.shape[-1]))
    first = (visual.class_embedding + position[0]).expand(len(tokens), 1, -1)
    hidden = visual.transformer(visual.ln_pre(torch.cat([first, tokens], dim=1)))
    return F.normalize(visual.ln_post(hidden)[:, 1:].mean(1) @ visual.proj, dim=-1)


def embed_text(model: CLIP, ids: torch.Tensor) -> torch.Tensor:
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
