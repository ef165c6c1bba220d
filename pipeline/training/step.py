"""One forward pass of training: features or pixels in, the loss and its parts out.

A module of its own, so that what wraps a model to train it in several processes wraps the whole step.
Shapes: B images, N vision tokens, D width of the language model, T turns an image, L tokens of a turn.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import cast

import torch
from torch import nn
from transformers import LlavaForConditionalGeneration
from transformers.cache_utils import Cache

from pipeline.models import llava
from pipeline.models.language_model import word_embeddings
from pipeline.models.shared_prefix import Unshared, read_behind, read_prefix_states, read_turns
from pipeline.params import ArmParams
from pipeline.training import on_demand
from pipeline.training.losses import token_loss
from pipeline.training.patch_losses import READ_IN_THE_LAST_LAYER, mean
from pipeline.training.patch_losses.words import Words
from pipeline.training.runtime import autocast


class Step(nn.Module):
    """L_caption + beta * L_patch (Jiang et al., arXiv 2505.17316) of a batch; beta is 0 without a patch loss.

    Batches are those of `pipeline.training.batches`: a share of a step's images. Its loss is that share of
    the whole step's, so that the shares' losses and gradients add up to those of the step.
    """

    def __init__(
        self,
        model: LlavaForConditionalGeneration,
        before_image: Sequence[int],
        patch_loss: ArmParams | None,
        mean_over: str,
        share_prefix: bool = True,
    ) -> None:
        """Wrap a model.

        Args:
            model: trained in place.
            before_image: token ids that stand before the image.
            patch_loss: the arm that has one; None for captions alone.
            mean_over: ``tokens`` or ``turns``, what the answers' loss is a mean of.
            share_prefix: read an image once for all its turns. What recomputes, shards or compiles layers
                needs them called once a pass, and so the image read again for every turn.
        """
        super().__init__()
        self.model = model
        self.patch_loss = patch_loss
        self.mean_over = mean_over
        self.share_prefix = share_prefix
        self.progress = 0.0
        """Share of the stage's steps that are over: what an annealed loss goes by."""
        self.before_image: torch.Tensor
        self.register_buffer(
            "before_image", torch.tensor(list(before_image), dtype=torch.long), persistent=False
        )

    def forward(self, batch: dict) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """The loss (scalar) and its parts by name, detached."""
        # Trainer's own bf16 leaves a CPU in float32.
        with autocast():
            arm, parts = self.patch_loss, {}
            tokens_BND = llava.project(self.model, self._features(batch))
            loss, seen_BND, read = tokens_BND.new_zeros((), dtype=torch.float32), tokens_BND, None
            if arm and arm.loss in READ_IN_THE_LAST_LAYER:
                prefix_BPD = llava.prefix_embeddings(self.model, self.before_image, tokens_BND)
                read, states_BPD = read_prefix_states(
                    llava.decoder_of(self.model), prefix_BPD, self.share_prefix
                )
                seen_BND = states_BPD[:, len(self.before_image) :]
            if arm is None or arm.captions:
                loss = caption_loss(
                    self.model, self.before_image, tokens_BND, batch, self.mean_over, self.share_prefix, read
                )
                parts["caption_loss"] = loss.detach()
            if arm:
                words = replace(words_of(self.model), others_UK=batch.get("step_words"))
                patch = mean.patch_loss(arm, seen_BND, batch["region_weights"], batch["region_words"], words)
                if "region_share" in batch:
                    patch = patch * batch["region_share"]
                parts["patch_loss"] = patch.detach()
                loss = loss + mean.beta(arm, self.progress) * patch
            return loss, parts

    def _features(self, batch: dict) -> torch.Tensor:
        """The encoder's features (B, N, W): the batch's own, or what the encoder makes of its pixels."""
        if "features" in batch:
            return batch["features"]
        tower = self.model.model.vision_tower.eval()
        layers = cast(list[int], self.model.config.vision_feature_layer)
        return on_demand.encode(tower, batch["pixels"], layers).float()


def words_of(model: LlavaForConditionalGeneration) -> Words:
    """What patch losses take of the language model, without gradients."""
    return Words(word_embeddings(model).detach(), model.lm_head.weight.detach(), model.config.pad_token_id)


def caption_loss(
    model: LlavaForConditionalGeneration,
    before_image: torch.Tensor,
    tokens_BND: torch.Tensor,
    batch: dict,
    mean_over: str = "tokens",
    share_prefix: bool = True,
    read: Cache | Unshared | None = None,
) -> torch.Tensor:
    """Mean cross-entropy of the answers, over tokens or turns, each turn behind its image alone.

    Where ``batch`` says how many there are in the whole step (``answers``), the batch's sum over that number.
    ``read`` is the image as it was read already, where it was.
    """
    decoder, embed = llava.decoder_of(model), model.get_input_embeddings()
    prefix = llava.prefix_embeddings(model, before_image, tokens_BND)
    embedded = [embed(ids) for ids in batch["ids"]]
    if read is not None and share_prefix:
        behind: Iterator[torch.Tensor] = (read_turns(decoder, read, turns) for turns in embedded)
    else:
        behind = read_behind(decoder, prefix, embedded, share_prefix)
    sums, counts = zip(
        *[
            token_loss(hidden, model.lm_head, labels, mean_over)
            for hidden, labels in zip(behind, batch["labels"], strict=True)
        ],
        strict=True,
    )
    total = batch["answers"] if "answers" in batch else torch.stack(counts).sum()
    return torch.stack(sums).sum() / total.clamp_min(1)
