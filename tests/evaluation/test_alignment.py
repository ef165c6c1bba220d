"""Alignment of tokens with words: hand-worked cases, slow references, and what has to stay the same."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.evaluation import alignment


def _rng(seed=0):
    return torch.Generator().manual_seed(seed)


def test_cosine_by_hand():
    v = torch.tensor([[3.0, 4.0], [1.0, 0.0], [0.0, 0.0], [2.0, 2.0]])
    w = torch.tensor([[4.0, 3.0], [-7.0, 0.0], [1.0, 0.0], [1.0, 1.0]])
    np.testing.assert_allclose(alignment.region_cosines(v, w), [0.96, -1.0, 0.0, 1.0], atol=1e-7)


def test_ranks_by_hand():
    words = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    regions = torch.tensor([[5.0, 1.0], [1.0, 5.0], [5.0, 1.0]])  # nearest first: 0 2 1; 1 2 0; 0 2 1
    ranks = alignment.word_ranks(regions, words, torch.tensor([0, 2, 1]))
    assert ranks.tolist() == [1, 2, 3]
    found = alignment.retrieval(ranks)
    assert found["top1"].tolist() == [1, 0, 0]
    assert found["top5"].tolist() == [1, 1, 1]
    assert found["mrr"].tolist() == [1, 1 / 2, 1 / 3]


def test_ranks_equal_those_of_a_full_sort(monkeypatch):
    regions, words = torch.randn(50, 8, generator=_rng()), torch.randn(30, 8, generator=_rng(1))
    right = torch.randint(0, 30, (50,), generator=_rng(2))
    monkeypatch.setattr(alignment, "_CELLS", 100)  # several chunks
    slow = []
    for region, word in zip(regions, right.tolist(), strict=True):
        cosines = [float(torch.cosine_similarity(region, candidate, dim=0)) for candidate in words]
        slow.append(1 + sorted(cosines, reverse=True).index(cosines[word]))
    assert alignment.word_ranks(regions, words, right).tolist() == slow


def test_ties_count_against_the_right_word():
    collapsed = torch.ones(4, 3)
    assert alignment.word_ranks(torch.ones(2, 3), collapsed, torch.tensor([0, 3])).tolist() == [4, 4]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.floats(0.01, 100))
def test_ranks_do_not_depend_on_lengths(seed, scale):
    regions, words = torch.randn(10, 5, generator=_rng(seed)), torch.randn(7, 5, generator=_rng(seed + 1))
    right = torch.randint(0, 7, (10,), generator=_rng(seed))
    before = alignment.word_ranks(regions, words, right)
    stretched = words * torch.linspace(0.5, scale + 1, 7)[:, None]
    assert (alignment.word_ranks(regions * scale, stretched, right) == before).mean() >= 0.9


def test_any_right_attribute_will_do():
    words = torch.eye(3)
    regions = torch.tensor([[3.0, 2.0, 1.0]] * 3)
    right = torch.tensor([[True, False, False], [False, True, True], [True, True, False]])
    assert alignment.nearest_is_right(regions, words, right).tolist() == [1, 0, 1]


def test_a_region_without_a_right_attribute_is_refused():
    with pytest.raises(ValueError, match="1 regions have no right word"):
        alignment.nearest_is_right(torch.ones(1, 2), torch.eye(2), torch.zeros(1, 2, dtype=torch.bool))


def test_similarity_maps_are_the_cosines_one_by_one(monkeypatch):
    monkeypatch.setattr(alignment, "_CELLS", 50)
    tokens, words = torch.randn(3, 4, 6, generator=_rng()), torch.randn(5, 6, generator=_rng(1))
    image = torch.tensor([2, 0, 0, 1, 2])
    maps = alignment.similarity_maps(tokens, image, words)
    for r in range(5):
        for n in range(4):
            slow = torch.cosine_similarity(tokens[image[r], n], words[r], dim=0)
            assert float(maps[r, n]) == pytest.approx(float(slow), abs=1e-6)


def test_half_precision_tokens_are_measured_in_full():
    tokens, words = torch.randn(1, 4, 64, generator=_rng()).half(), torch.randn(1, 64, generator=_rng(1))
    maps = alignment.similarity_maps(tokens, torch.tensor([0]), words.half())
    assert maps.dtype == torch.float32


def test_a_region_s_patches_are_those_half_covered_or_else_the_best():
    coverage = np.array([[0.0, 0.5, 0.49, 1.0], [0.1, 0.3, 0.0, 0.3]])
    expected = [[False, True, False, True], [False, True, False, True]]
    assert alignment.region_patches(coverage).tolist() == expected


def test_a_region_that_covers_nothing_is_refused():
    with pytest.raises(ValueError, match="1 regions cover no patch"):
        alignment.pointing(np.zeros((1, 4)), np.zeros((1, 4)))


def test_pointing_by_hand():
    coverage = np.array([[1.0, 1.0, 0.0, 0.0]] * 3)
    similarity = np.array([[0.1, 0.9, 0.3, 0.2], [0.1, 0.2, 0.3, 0.2], [0.5, 0.5, 0.5, 0.5]])
    assert alignment.pointing(similarity, coverage).tolist() == [1.0, 0.0, 0.5]


def test_map_iou_by_hand():
    coverage = np.array([[1.0, 1.0, 0.0, 0.0]] * 3)
    # Halfway: 0.5, on: patches 1 and 2, of the union 0 1 2 one is shared. Perfect. Constant: on everywhere.
    similarity = np.array([[0.1, 0.9, 0.6, 0.2], [0.9, 0.8, 0.1, 0.2], [0.5, 0.5, 0.5, 0.5]])
    np.testing.assert_allclose(alignment.map_iou(similarity, coverage), [1 / 3, 1.0, 1 / 2])


@given(
    st.lists(st.lists(st.integers(0, 8), min_size=6, max_size=6), min_size=1, max_size=5),
    st.integers(1, 9),
    st.integers(-9, 9),
)
def test_maps_are_judged_by_shape_alone(levels, scale, shift):
    """Stretching and shifting a map's cosines changes neither measure (whole numbers: no rounding)."""
    similarity = np.array(levels, dtype=float)
    coverage = np.tile([1.0, 0.6, 0.2, 0.0, 0.0, 0.0], (len(levels), 1))
    for measure in (alignment.pointing, alignment.map_iou):
        np.testing.assert_array_equal(
            measure(similarity, coverage), measure(scale * similarity + shift, coverage)
        )
        assert ((measure(similarity, coverage) >= 0) & (measure(similarity, coverage) <= 1)).all()


def test_the_floor_is_what_random_maps_point_at_and_constant_maps_score():
    rng = np.random.default_rng(0)
    coverage = np.tile((np.arange(16) < 5).astype(float), (20000, 1))
    floor = alignment.region_share(coverage)
    assert floor[0] == 5 / 16
    assert alignment.pointing(rng.random((20000, 16)), coverage).mean() == pytest.approx(5 / 16, abs=0.01)
    constant = np.ones((1, 16))
    assert alignment.pointing(constant, coverage[:1]) == floor[0] == alignment.map_iou(constant, coverage[:1])


def test_retrieval_is_scikit_learn_s_ranking():
    sklearn = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")
    regions, words = torch.randn(60, 8, generator=_rng()), torch.randn(30, 8, generator=_rng(1))
    right = torch.randint(0, 30, (60,), generator=_rng(2))
    cosine = (torch.nn.functional.normalize(regions) @ torch.nn.functional.normalize(words).T).numpy()
    found = alignment.retrieval(alignment.word_ranks(regions, words, right))
    for key, k in (("top1", 1), ("top5", 5)):
        theirs = sklearn.top_k_accuracy_score(right.numpy(), cosine, k=k, labels=np.arange(30))
        assert found[key].mean() == pytest.approx(theirs)
    # With one right word a query, the precision at it is its reciprocal rank.
    one_hot = np.eye(30, dtype=int)[right.numpy()]
    theirs = sklearn.label_ranking_average_precision_score(one_hot, cosine)
    assert found["mrr"].mean() == pytest.approx(theirs)


def test_map_iou_is_scikit_learn_s_jaccard_score():
    sklearn = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")
    rng = np.random.default_rng(0)
    similarity, coverage = rng.normal(size=(20, 16)), rng.random((20, 16))
    found = alignment.map_iou(similarity, coverage)
    for values, covered, ours in zip(similarity, coverage, found, strict=True):
        on = values >= (values.min() + values.max()) / 2
        assert ours == pytest.approx(sklearn.jaccard_score(covered >= 0.5, on))
