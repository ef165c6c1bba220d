"""The caption loss, and the means of patches and words, by hand and by their properties."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from pipeline.training.losses import pool_regions, pool_words, token_loss

PAD = 0
TABLE = torch.tensor([[9.0, 9.0], [1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
"""Embeddings of the padding token and of three words."""
TOKENS = torch.tensor([[[2.0, 0.0], [0.0, 2.0], [4.0, 4.0]]])
"""One image of three patches."""


def test_a_region_is_the_mean_of_its_patches_weighted_by_coverage():
    weights = torch.tensor([[[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.1, 0.0, 0.3], [0.0, 0.0, 0.0]]])
    expected = torch.tensor([[[2.0, 0.0], [1.0, 1.0], [3.5, 3.0], [0.0, 0.0]]])
    torch.testing.assert_close(pool_regions(TOKENS, weights), expected)


def test_words_are_the_mean_of_their_tokens_and_padding_is_none():
    ids = torch.tensor([[[1, PAD, PAD], [1, 2, PAD], [1, 2, 3], [PAD, PAD, PAD]]])
    expected = torch.tensor([[[1.0, 0.0], [0.5, 0.5], [0.0, 1 / 3], [0.0, 0.0]]])
    torch.testing.assert_close(pool_words(TABLE, ids, PAD), expected)


def test_the_caption_loss_is_the_cross_entropy_of_all_logits():
    torch.manual_seed(0)
    head = torch.nn.Linear(4, 7)
    hidden = torch.randn(2, 3, 5, 4)
    labels = torch.randint(0, 7, (2, 3, 5))
    labels[torch.rand(labels.shape) < 0.5] = -100
    labels[0, 0] = -100  # a turn of padding alone
    summed, count = token_loss(hidden, head, labels)
    logits = head(hidden)[:, :, :-1].reshape(-1, 7)
    expected = F.cross_entropy(logits, labels[:, :, 1:].reshape(-1), ignore_index=-100, reduction="sum")
    torch.testing.assert_close(summed, expected)
    assert count.item() == (labels[..., 1:] != -100).sum().item()


def test_the_first_token_is_never_predicted():
    labels = torch.full((1, 1, 3), -100)
    labels[..., 0] = 1
    summed, count = token_loss(torch.randn(1, 1, 3, 4), torch.nn.Linear(4, 7), labels)
    assert (summed.item(), count.item()) == (0, 0)


def test_over_turns_a_short_answer_counts_as_much_as_a_long_one():
    torch.manual_seed(0)
    hidden, head = torch.randn(2, 3, 6, 4), torch.nn.Linear(4, 7)
    labels = torch.randint(0, 7, (2, 3, 6))
    labels[0, 0] = -100  # a turn of padding alone
    labels[0, 1, 2:] = -100  # a turn of one token
    labels[1, 2, :4] = -100  # a turn of two
    summed, count = token_loss(hidden, head, labels, "turns")
    turns = [
        F.cross_entropy(head(hidden[b, t, :-1]), labels[b, t, 1:], ignore_index=-100)
        for b in range(2)
        for t in range(3)
        if (b, t) != (0, 0)
    ]
    assert count.item() == 5
    torch.testing.assert_close(summed / count, torch.stack(turns).mean())
