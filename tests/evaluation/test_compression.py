"""Von Neumann entropy of vision tokens: closed forms, scipy's entropy, and invariances."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pipeline.evaluation import compression


def _tokens(seed, images=3, n=7, d=5):
    return torch.randn(images, n, d, generator=torch.Generator().manual_seed(seed))


def test_equal_tokens_have_no_entropy():
    tokens = torch.tensor([1.0, -2.0, 3.0]).expand(2, 5, 3)
    np.testing.assert_allclose(compression.token_entropy(tokens), 0.0, atol=1e-12)


@pytest.mark.parametrize("shape", [(4, 4), (4, 9), (3, 3)])
def test_orthogonal_tokens_have_full_entropy(shape):
    tokens = torch.eye(*shape) * torch.arange(1, shape[0] + 1)[:, None]
    np.testing.assert_allclose(compression.token_entropy(tokens[None]), 1.0, atol=1e-12)


def test_two_directions_by_hand():
    # Three tokens one way and one across: eigenvalues 3/4 and 1/4 (and two zeros), over log 4.
    tokens = torch.tensor([[[2.0, 0, 0, 0], [1, 0, 0, 0], [5, 0, 0, 0], [0, 3, 0, 0]]])
    expected = -(0.75 * np.log(0.75) + 0.25 * np.log(0.25)) / np.log(4)
    np.testing.assert_allclose(compression.eigenvalues(tokens), [[0.75, 0.25, 0, 0]], atol=1e-12)
    np.testing.assert_allclose(compression.token_entropy(tokens), expected)


@pytest.mark.parametrize(("n", "d"), [(7, 5), (5, 7), (6, 6)])
def test_the_entropy_is_scipy_s_of_the_full_density_matrix(n, d):
    tokens = _tokens(0, 4, n, d)
    for image, ours in zip(tokens.double().numpy(), compression.token_entropy(tokens), strict=True):
        unit = image / np.linalg.norm(image, axis=1, keepdims=True)
        density = unit.T @ unit / n
        values = np.clip(np.linalg.eigvalsh(density), 0, None)
        assert ours == pytest.approx(stats.entropy(values) / np.log(min(n, d)), abs=1e-10)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 9), st.integers(2, 9))
def test_lengths_order_and_rotations_of_tokens_change_nothing(seed, n, d):
    tokens = _tokens(seed, 2, n, d).double()
    entropy = compression.token_entropy(tokens)
    assert ((entropy >= 0) & (entropy <= 1)).all()
    lengths = torch.linspace(0.1, 30, n)[:, None]
    turn, _ = torch.linalg.qr(torch.randn(d, d, generator=torch.Generator().manual_seed(seed)).double())
    for same in (tokens * lengths, tokens.flip(1), tokens @ turn, -tokens):
        np.testing.assert_allclose(compression.token_entropy(same), entropy, atol=1e-9)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 9), st.integers(2, 9))
def test_eigenvalues_fall_and_sum_to_one(seed, n, d):
    values = compression.eigenvalues(_tokens(seed, 2, n, d))
    assert values.shape == (2, min(n, d))
    np.testing.assert_allclose(values.sum(1), 1.0)
    assert (np.diff(values, axis=1) <= 1e-12).all()


def test_projecting_onto_fewer_directions_compresses():
    tokens = _tokens(0, 8, 16, 12)
    flat = tokens.clone()
    flat[..., 3:] = 0
    assert (compression.token_entropy(flat) < compression.token_entropy(tokens)).all()


def test_chunks_and_half_precision_change_nothing_that_matters(monkeypatch):
    tokens = _tokens(0, 9, 6, 8)
    whole = compression.token_entropy(tokens)
    np.testing.assert_allclose(compression.token_entropy(tokens.half()), whole, atol=2e-3)
    monkeypatch.setattr(compression, "_CELLS", 100)
    np.testing.assert_allclose(compression.token_entropy(tokens), whole, atol=1e-12)


def test_the_spectrum_is_the_mean_over_images():
    values = np.array([[0.8, 0.2], [0.6, 0.4]])
    np.testing.assert_allclose(compression.spectrum(values), [0.7, 0.3])


@pytest.mark.parametrize("bad", [0.0, float("nan"), float("inf")])
def test_a_token_without_direction_is_refused(bad):
    tokens = _tokens(0)
    tokens[1, 2] = bad
    with pytest.raises(ValueError, match="zero or not finite"):
        compression.token_entropy(tokens)


def test_a_single_direction_has_no_entropy_to_measure():
    with pytest.raises(ValueError, match="at least two"):
        compression.token_entropy(torch.ones(2, 1, 4))
