"""The head's loss in slices of rows is the plain one, and so are its gradients."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from pipeline.training import cross_entropy


@pytest.fixture
def few(monkeypatch):
    """Five rows a slice, of a vocabulary of 7: 23 rows make five slices, the last one shorter."""
    monkeypatch.setattr(cross_entropy, "LOGITS", 35)
    torch.manual_seed(0)
    return (
        torch.nn.Linear(6, 7, bias=False),
        torch.randn(23, 6, requires_grad=True),
        torch.randint(0, 7, (23,)),
    )


def gradients(loss, *inputs):
    weights = torch.linspace(0.5, 2, len(loss))  # each row's own slope
    return torch.autograd.grad((loss * weights).sum(), inputs)


def test_loss_and_gradients_are_the_plain_ones(few):
    head, hidden, targets = few
    found = cross_entropy.head_loss(head, hidden, targets)
    assert type(found.grad_fn).__name__ == "_InSlicesBackward"
    plain = F.cross_entropy(head(hidden), targets, reduction="none")
    torch.testing.assert_close(found, plain)
    ours, theirs = gradients(found, hidden, head.weight), gradients(plain, hidden, head.weight)
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other)


def test_under_autocast_it_rounds_as_a_linear_layer_does(few):
    head, hidden, targets = few
    with torch.autocast("cpu", torch.bfloat16):
        found = cross_entropy.head_loss(head, hidden, targets)
        plain = F.cross_entropy(head(hidden).float(), targets, reduction="none")
    torch.testing.assert_close(found, plain)
    ours, theirs = gradients(found, hidden, head.weight), gradients(plain, hidden, head.weight)
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.dtype == other.dtype == torch.float32
        torch.testing.assert_close(mine, other, rtol=0.02, atol=0.02)


def test_a_frozen_head_gets_no_gradient(few):
    head, hidden, targets = few
    head.requires_grad_(False)
    cross_entropy.head_loss(head, hidden, targets).sum().backward()
    assert head.weight.grad is None
    assert hidden.grad.abs().sum() > 0


def test_no_tensor_holds_all_logits(few):
    head, hidden, targets = few
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(
        lambda value: kept.append(value.shape) or value, lambda v: v
    ):
        cross_entropy.head_loss(head, hidden, targets)
    assert (23, 7) not in [tuple(shape) for shape in kept]
    assert kept
