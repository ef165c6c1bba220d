"""Matching pursuit over all tokens at once: against a slow one, hand-worked cases, and scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.evaluation import decomposition
from pipeline.evaluation.decomposition import chance_recall, matching_pursuit, nearest_words, recall_by_k


def _case(seed, tokens=12, words=20, width=8):
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(tokens, width, generator=rng), torch.randn(words, width, generator=rng)


def slow_pursuit(token, words, k, orthogonal=True, positive=False):
    """One token at a time, in float64, the residual from least squares on the picked words."""
    unit = words / np.linalg.norm(words, axis=1, keepdims=True)
    token = token / np.linalg.norm(token)
    residual, picked, lengths = token, [], []
    for _ in range(k):
        similarity = unit @ residual
        score = similarity if positive else np.abs(similarity)
        score[picked] = -np.inf
        best = int(score.argmax())
        picked.append(best)
        if orthogonal:
            weights, *_ = np.linalg.lstsq(unit[picked].T, token, rcond=None)
            residual = token - unit[picked].T @ weights
        else:
            residual = residual - similarity[best] * unit[best]
        lengths.append(np.linalg.norm(residual))
    return picked, lengths


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 5), st.booleans(), st.booleans())
def test_it_is_the_slow_pursuit_token_by_token(seed, k, orthogonal, positive):
    tokens, words = _case(seed)
    ours = matching_pursuit(tokens, words, k, orthogonal, positive)
    for t in range(len(tokens)):
        picked, lengths = slow_pursuit(
            tokens[t].double().numpy(), words.double().numpy(), k, orthogonal, positive
        )
        assert ours.words_TK[t].tolist() == picked
        np.testing.assert_allclose(ours.residual_TK[t], lengths, atol=1e-5)


def test_by_hand():
    words = torch.tensor([[1.0, 0, 0], [0, 2.0, 0], [0, 0, 5.0], [1.0, 1.0, 0]])
    # (3, 4, 0): nearest is (1, 1, 0) with 7/sqrt(2); what is left is (-0.5, 0.5, 0), then the first word.
    found = matching_pursuit(torch.tensor([[3.0, 4.0, 0.0]]), words, 2)
    assert found.words_TK.tolist() == [[3, 0]]
    np.testing.assert_allclose(found.residual_TK, [[np.sqrt(0.5) / 5, 0.0]], atol=1e-6)


def test_a_mix_of_orthogonal_words_is_taken_apart_in_order_of_weight():
    words = torch.eye(6)
    token = 3 * words[4] + 2 * words[1] + 1 * words[5]
    assert matching_pursuit(token[None], words, 3).words_TK.tolist() == [[4, 1, 5]]


def test_opposite_words_are_picked_only_by_magnitude():
    words, token = torch.eye(3), torch.tensor([[-3.0, 2.0, 1.0]])
    assert matching_pursuit(token, words, 2).words_TK.tolist() == [[0, 1]]
    assert matching_pursuit(token, words, 2, positive=True).words_TK.tolist() == [[1, 2]]


def test_orthogonal_pursuit_is_scikit_learn_s():
    linear_model = pytest.importorskip("sklearn.linear_model", reason="scikit-learn is not installed")
    tokens, words = _case(0, tokens=30, words=40, width=16)
    unit = torch.nn.functional.normalize(words).numpy()
    ours = matching_pursuit(tokens, words, 4)
    theirs = linear_model.orthogonal_mp(unit.T, tokens.numpy().T, n_nonzero_coefs=4)
    for t in range(30):
        assert set(ours.words_TK[t]) == set(np.flatnonzero(theirs[:, t]))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6))
def test_plain_pursuit_parts_from_the_orthogonal_one_at_the_third_word_at_the_earliest(seed):
    tokens, words = _case(seed)
    plain, orthogonal = (matching_pursuit(tokens, words, 2, orthogonal=how) for how in (False, True))
    np.testing.assert_array_equal(plain.words_TK, orthogonal.words_TK)
    # Of the same two words, least squares leaves the least.
    assert (orthogonal.residual_TK <= plain.residual_TK + 1e-6).all()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 8), st.booleans())
def test_words_are_distinct_and_the_residual_never_grows(seed, k, orthogonal):
    tokens, words = _case(seed, words=10)
    found = matching_pursuit(tokens, words, k, orthogonal)
    assert all(len(set(row)) == k for row in found.words_TK.tolist())
    assert (np.diff(found.residual_TK, axis=1, prepend=1.0) <= 1e-6).all()


def test_lengths_of_tokens_and_words_change_nothing():
    tokens, words = _case(3)
    scaled = matching_pursuit(tokens * 17, words * torch.linspace(0.1, 9, 20)[:, None], 3)
    np.testing.assert_array_equal(scaled.words_TK, matching_pursuit(tokens, words, 3).words_TK)


def test_nearly_equal_words_do_not_break_the_orthogonal_pursuit():
    words = torch.cat([torch.eye(4), torch.eye(4)])  # every word twice
    found = matching_pursuit(torch.tensor([[4.0, 3.0, 2.0, 1.0]]), words, 6)
    assert found.words_TK[0, :4].tolist() == [0, 1, 2, 3]
    assert len(set(found.words_TK[0].tolist())) == 6
    assert np.isfinite(found.residual_TK).all()


def test_chunks_change_nothing(monkeypatch):
    tokens, words = _case(5, tokens=40)
    whole, near = matching_pursuit(tokens, words, 3), nearest_words(tokens, words, 3)
    monkeypatch.setattr(decomposition, "_CELLS", 300)
    np.testing.assert_array_equal(matching_pursuit(tokens, words, 3).words_TK, whole.words_TK)
    np.testing.assert_array_equal(nearest_words(tokens, words, 3), near)


def test_the_inputs_are_left_as_they_were():
    tokens, words = _case(6)
    before = tokens.clone(), words.clone()
    matching_pursuit(tokens, words, 3)
    assert torch.equal(tokens, before[0])
    assert torch.equal(words, before[1])


def test_the_first_word_of_positive_pursuit_is_the_nearest():
    tokens, words = _case(7)
    near = nearest_words(tokens, words, 3)
    np.testing.assert_array_equal(matching_pursuit(tokens, words, 1, positive=True).words_TK, near[:, :1])
    cosine = torch.nn.functional.normalize(tokens) @ torch.nn.functional.normalize(words).T
    np.testing.assert_array_equal(near, cosine.argsort(dim=1, descending=True)[:, :3])


def test_pursuit_finds_both_words_where_neighbours_find_one_twice():
    """What decomposition is for: the second word of a token is not the first one's synonym."""
    words = torch.tensor([[1.0, 0.0, 0.0], [0.99, 0.1, 0.0], [0.0, 0.0, 1.0]])
    token = torch.tensor([[1.0, 0.0, 0.4]])
    assert matching_pursuit(token, words, 2).words_TK.tolist() == [[0, 2]]
    assert nearest_words(token, words, 2).tolist() == [[0, 1]]


def test_recall_by_hand():
    picked = np.array([[4, 1, 7], [2, 3, 0], [5, 6, 8]])
    true = np.array([[1, 4], [0, -1], [9, 5]])
    np.testing.assert_array_equal(recall_by_k(picked, true), [[0.5, 1, 1], [0, 0, 1], [0.5, 0.5, 0.5]])


def test_padding_is_never_found():
    with pytest.raises(ValueError, match="1 tokens have no true word"):
        recall_by_k(np.array([[0, 1]]), np.array([[-1, -1]]))


def test_chance_is_what_random_words_find():
    rng = np.random.default_rng(0)
    picked = np.argsort(rng.random((20000, 10)), axis=1)[:, :3]
    true = np.tile([2, 7, -1], (20000, 1))
    assert recall_by_k(picked, true)[:, -1].mean() == pytest.approx(chance_recall(3, 10), abs=0.01)


@pytest.mark.parametrize("k", [0, 21])
def test_more_words_than_there_are_cannot_be_picked(k):
    with pytest.raises(ValueError, match="cannot be picked from 20"):
        matching_pursuit(*_case(0), k)


def test_what_has_no_direction_is_refused():
    tokens, words = _case(0)
    with pytest.raises(ValueError, match="a token is zero"):
        matching_pursuit(tokens * 0, words, 1)
    with pytest.raises(ValueError, match="a word is zero"):
        nearest_words(tokens, words * torch.nan, 1)
    with pytest.raises(ValueError, match="width 8 cannot be made of words of width 3"):
        matching_pursuit(tokens, torch.eye(3), 1)
