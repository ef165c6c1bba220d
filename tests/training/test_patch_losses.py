"""Each patch loss beside a slow obvious one, by hand and by its properties."""

from __future__ import annotations

from typing import get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from pipeline.params import ArmParams
from pipeline.training.patch_losses import FORMS, mean, words
from pipeline.training.patch_losses.words import Words

PAD = 0
TABLE = torch.tensor([[9.0, 9.0], [1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
"""Embeddings of the padding token and of three words."""
TOKENS = torch.tensor([[[2.0, 0.0], [0.0, 2.0], [4.0, 4.0]]])
"""One image of three patches."""
LOSSES = sorted(FORMS)


def loss_of(arm, tokens, weights, table, ids, head=None):
    return mean.patch_loss(
        ArmParams(**arm), tokens, weights, ids, Words(table, table if head is None else head, PAD)
    )


def cosine(tokens, weights, table, ids):
    return loss_of({"loss": "cosine"}, tokens, weights, table.detach(), ids)


def test_every_loss_that_params_allow_is_there():
    allowed = get_args(ArmParams.model_fields["loss"].annotation)
    assert {"none", *FORMS} == set(allowed)


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
    found = cosine(TOKENS, torch.tensor([weights]), TABLE, torch.tensor([ids]))
    assert found.item() == pytest.approx(loss, abs=1e-6)


def test_every_region_counts_alike_however_many_its_image_has():
    """Two images with three regions and one: the mean is over four regions, not over two images."""
    tokens = TOKENS.expand(2, -1, -1)
    first = [[1.0, 0.0, 0.0]] * 3
    second = [[1.0, 0.0, 0.0], [0.0] * 3, [0.0] * 3]
    ids = torch.tensor([[[1], [1], [1]], [[3], [PAD], [PAD]]])
    found = cosine(tokens, torch.tensor([first, second]), TABLE, ids)
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


@settings(deadline=None)
@given(st.integers(0, 10_000))
def test_the_patch_loss_is_that_of_a_plain_loop(seed):
    tokens, weights, table, ids = random_case(seed)
    found = cosine(tokens, weights, table, ids)
    torch.testing.assert_close(found, slow_patch_loss(tokens, weights, table, ids), atol=1e-5, rtol=1e-4)


@settings(deadline=None)
@given(st.integers(0, 10_000), st.floats(0.01, 100), st.floats(0.05, 20))
def test_the_scale_of_tokens_words_and_coverage_does_not_matter(seed, scale, share):
    tokens, weights, table, ids = random_case(seed)
    plain = cosine(tokens, weights, table, ids)
    scaled = cosine(tokens * scale, weights * share, table * scale, ids)
    torch.testing.assert_close(scaled, plain, atol=1e-5, rtol=1e-4)


def test_padding_more_regions_or_words_changes_nothing():
    tokens, weights, table, ids = random_case(1)
    plain = cosine(tokens, weights, table, ids)
    wider = cosine(tokens, F.pad(weights, (0, 0, 0, 3)), table, F.pad(ids, (0, 2, 0, 3)))
    torch.testing.assert_close(wider, plain)


def test_the_gradient_reaches_the_tokens_and_not_the_embeddings():
    tokens, weights, table, ids = random_case(2)
    tokens.requires_grad_()
    table.requires_grad_()
    cosine(tokens, weights, table, ids).backward()
    assert tokens.grad.abs().max() > 0
    assert table.grad is None


def test_a_batch_without_regions_has_a_gradient_of_zero():
    """Not NaN: a cosine with a zero vector must not poison the step."""
    tokens = torch.randn(1, 3, 2, requires_grad=True)
    loss = cosine(tokens, torch.zeros(1, 2, 3), TABLE, torch.full((1, 2, 1), PAD))
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(tokens.grad, torch.zeros_like(tokens))


def slow(name, vector, own, targets, table, head):
    """The loss of one vector whose words have the tokens ``own``; ``targets`` are all rows' tokens."""
    if name == "cosine":
        return 1 - F.cosine_similarity(vector, table[own].mean(0), dim=0)
    if name == "contrastive":
        others = {tuple(sorted(target)) for target in targets}
        scores = {
            other: F.cosine_similarity(vector, table[list(other)].mean(0), dim=0) / 0.07 for other in others
        }
        return torch.stack(list(scores.values())).logsumexp(0) - scores[tuple(sorted(own))]
    if name == "vocabulary":
        scores = torch.stack([F.cosine_similarity(vector, word, dim=0) / 0.07 for word in table])
    else:
        scores = head @ vector
    return sum(-scores.softmax(0)[token].log() for token in own) / len(own)


def slow_loss(arm, tokens, weights, table, ids, head):
    """A loop over regions (and their tokens)."""
    places = [(b, r) for b in range(ids.shape[0]) for r in range(ids.shape[1]) if (ids[b, r] != PAD).any()]
    own = {place: [int(token) for token in ids[place] if token != PAD] for place in places}
    kept = mean.dimensions(tokens.shape[-1], arm.get("dimensions", 1.0))
    total = 0
    for b, r in places:
        share = weights[b, r] / weights[b, r].sum()
        if arm.get("apply_to") == "tokens":
            vectors = list(zip(share, tokens[b], strict=True))
        else:
            vectors = [(1.0, share @ tokens[b])]
        for part, vector in vectors:
            one = slow(arm["loss"], vector[kept], own[b, r], own.values(), table[:, kept], head)
            total = total + part * one
    return total / len(places)


@pytest.mark.parametrize("options", [{}, {"apply_to": "tokens"}, {"dimensions": 0.5}], ids=str)
@pytest.mark.parametrize("name", LOSSES)
def test_each_loss_is_that_of_a_plain_loop_with_its_gradient(name, options):
    if name == "logit_lens" and options.get("dimensions"):
        pytest.skip("logit_lens reads a whole hidden state")
    arm = {"loss": name, **options}
    for seed in range(3):
        tokens, weights, table, ids = random_case(seed)
        weights[0, 0, :3] = 0  # a region that does not touch every token
        head = torch.randn(8, 4)
        tokens.requires_grad_()
        found = loss_of(arm, tokens, weights, table, ids, head)
        expected = slow_loss(arm, tokens, weights, table, ids, head)
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
        mine, theirs = (torch.autograd.grad(loss, tokens)[0] for loss in (found, expected))
        torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", LOSSES)
def test_no_loss_is_changed_by_padding_or_poisoned_by_its_absence(name):
    tokens, weights, table, ids = random_case(1)
    plain = loss_of({"loss": name}, tokens, weights, table, ids)
    wider = loss_of({"loss": name}, tokens, F.pad(weights, (0, 0, 0, 3)), table, F.pad(ids, (0, 2, 0, 3)))
    torch.testing.assert_close(wider, plain)
    for where in ("regions", "tokens"):
        tokens = tokens.detach().requires_grad_()
        none = loss_of({"loss": name, "apply_to": where}, tokens, weights * 0, table, ids * 0)
        none.backward()
        assert none.item() == 0 and torch.equal(tokens.grad, torch.zeros_like(tokens))


def test_the_same_words_in_the_batch_are_no_negatives():
    """Two regions of the same words and one of another: each of the two has one negative, not two."""
    weights = torch.eye(3).unsqueeze(0)
    ids = torch.tensor([[[1, 2], [2, 1], [3, PAD]]])
    alike = loss_of({"loss": "contrastive"}, TOKENS, weights, TABLE, ids)
    scores = F.normalize(TOKENS[0], dim=-1) @ F.normalize(torch.tensor([[0.5, 0.5], [-1.0, 0.0]]), dim=-1).T
    expected = F.cross_entropy(scores / 0.07, torch.tensor([0, 0, 1]))
    torch.testing.assert_close(alike, expected)


@pytest.mark.parametrize("name", ["vocabulary", "logit_lens"])
def test_a_large_batch_is_scored_a_piece_at_a_time_with_the_same_result(name, monkeypatch):
    tokens, weights, table, ids = random_case(4)
    tokens.requires_grad_()

    def found():
        loss = loss_of({"loss": name}, tokens, weights, table, ids)
        return loss.detach(), *torch.autograd.grad(loss, tokens)

    whole = found()
    monkeypatch.setattr(words, "ROWS", 4)
    for one, other in zip(whole, found(), strict=True):
        torch.testing.assert_close(one, other)


def test_dimensions_that_the_loss_does_not_see_get_no_gradient():
    tokens, weights, table, ids = random_case(5)
    tokens.requires_grad_()
    loss_of({"loss": "cosine", "dimensions": 0.5}, tokens, weights, table, ids).backward()
    assert tokens.grad[..., [0, 2]].abs().min() > 0
    assert torch.equal(tokens.grad[..., [1, 3]], torch.zeros(3, 5, 2))
    assert mean.dimensions(6, 1.0).tolist() == [0, 1, 2, 3, 4, 5]
    assert mean.dimensions(128, 0.001).tolist() == [0]


def test_an_annealed_loss_falls_to_zero():
    arm = ArmParams(loss="cosine", beta=2.0, anneal=True)
    assert [mean.beta(arm, progress) for progress in (0, 0.25, 1)] == [2.0, 1.5, 0.0]
    assert mean.beta(ArmParams(loss="cosine", beta=2.0), 0.5) == 2.0


def test_fine_tuning_keeps_the_loss_only_where_it_is_asked_to():
    assert ArmParams(loss="cosine").in_finetuning() is None
    assert ArmParams(loss="none").in_finetuning() is None
    kept = ArmParams(loss="vocabulary", beta=2.0, anneal=True, finetune_beta=0.5).in_finetuning()
    assert (kept.loss, kept.beta, kept.anneal) == ("vocabulary", 0.5, False)
