"""The patch loss and the caption loss, by hand and by their properties."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from pipeline.training.losses import cosine_patch_loss, pool_regions, pool_words, token_loss

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


@pytest.mark.parametrize(
    ("weights", "ids", "loss"),
    [
        ([[1.0, 0.0, 0.0]], [[1]], 0.0),  # the same direction
        ([[1.0, 0.0, 0.0]], [[2]], 1.0),  # at right angles
        ([[1.0, 0.0, 0.0]], [[3]], 2.0),  # opposite
        ([[0.0, 0.0, 0.2]], [[1]], 1 - 0.5**0.5),  # 45 degrees
        ([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], [[1], [1]], 0.5),  # the mean over regions
        ([[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]], [[3], [PAD]], 2.0),  # a region of padding does not count
        ([[0.0, 0.0, 0.0]], [[PAD]], 0.0),  # no region at all
    ],
)
def test_the_patch_loss_by_hand(weights, ids, loss):
    found = cosine_patch_loss(TOKENS, torch.tensor([weights]), TABLE, torch.tensor([ids]), PAD)
    assert found.item() == pytest.approx(loss, abs=1e-6)


def test_every_region_counts_alike_however_many_its_image_has():
    """Two images with three regions and one: the mean is over four regions, not over two images."""
    tokens = TOKENS.expand(2, -1, -1)
    first = [[1.0, 0.0, 0.0]] * 3
    second = [[1.0, 0.0, 0.0], [0.0] * 3, [0.0] * 3]
    ids = torch.tensor([[[1], [1], [1]], [[3], [PAD], [PAD]]])
    found = cosine_patch_loss(tokens, torch.tensor([first, second]), TABLE, ids, PAD)
    assert found.item() == pytest.approx(2 / 4)


def random_case(seed):
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randn(3, 5, 4, generator=generator)
    weights = torch.rand(3, 6, 5, generator=generator)
    table = torch.randn(8, 4, generator=generator)
    ids = torch.randint(0, 8, (3, 6, 2), generator=generator)
    weights[(ids == PAD).all(-1)] = 0
    return tokens, weights, table, ids


def slow_patch_loss(tokens, weights, table, ids):
    """A loop over regions, a patch and a word at a time."""
    losses = []
    for image in range(len(tokens)):
        for region in range(weights.shape[1]):
            words = [table[i] for i in ids[image, region] if i != PAD]
            if words:
                v = sum(w * token for w, token in zip(weights[image, region], tokens[image], strict=True))
                losses.append(1 - F.cosine_similarity(v, sum(words), dim=0))
    return sum(losses) / len(losses)


@given(st.integers(0, 10_000))
def test_the_patch_loss_is_that_of_a_plain_loop(seed):
    tokens, weights, table, ids = random_case(seed)
    found = cosine_patch_loss(tokens, weights, table, ids, PAD)
    torch.testing.assert_close(found, slow_patch_loss(tokens, weights, table, ids), atol=1e-5, rtol=1e-4)


@given(st.integers(0, 10_000), st.floats(0.01, 100), st.floats(0.05, 20))
def test_the_scale_of_tokens_words_and_coverage_does_not_matter(seed, scale, share):
    tokens, weights, table, ids = random_case(seed)
    plain = cosine_patch_loss(tokens, weights, table, ids, PAD)
    scaled = cosine_patch_loss(tokens * scale, weights * share, table * scale, ids, PAD)
    torch.testing.assert_close(scaled, plain, atol=1e-5, rtol=1e-4)


def test_padding_more_regions_or_words_changes_nothing():
    tokens, weights, table, ids = random_case(1)
    plain = cosine_patch_loss(tokens, weights, table, ids, PAD)
    wider = cosine_patch_loss(tokens, F.pad(weights, (0, 0, 0, 3)), table, F.pad(ids, (0, 2, 0, 3)), PAD)
    torch.testing.assert_close(wider, plain)


def test_the_gradient_reaches_the_tokens_and_not_the_embeddings():
    tokens, weights, table, ids = random_case(2)
    tokens.requires_grad_()
    table.requires_grad_()
    cosine_patch_loss(tokens, weights, table, ids, PAD).backward()
    assert tokens.grad.abs().max() > 0
    assert table.grad is None


def test_a_batch_without_regions_has_a_gradient_of_zero():
    """Not NaN: a cosine with a zero vector must not poison the step."""
    tokens = torch.randn(1, 3, 2, requires_grad=True)
    loss = cosine_patch_loss(tokens, torch.zeros(1, 2, 3), TABLE, torch.full((1, 2, 1), PAD), PAD)
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(tokens.grad, torch.zeros_like(tokens))


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
