"""Linear probes: against scikit-learn, and for what tokens that hold a place or a word, or neither, give."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import torch

from pipeline.evaluation import probes
from pipeline.evaluation.regions import Regions

GRID = (4, 5)


def _rng(seed=0):
    return torch.Generator().manual_seed(seed)


def _regions(rows, images):
    """Regions by (image, first patch, last patch, noun, attribute) on the grid, ends included."""
    count = GRID[0] * GRID[1]
    coverage = np.zeros((len(rows), count), np.float32)
    words = []
    for row, (_, first, last, noun, attribute) in enumerate(rows):
        (y0, x0), (y1, x1) = divmod(first, GRID[1]), divmod(last, GRID[1])
        for y in range(y0, y1 + 1):
            coverage[row, y * GRID[1] + x0 : y * GRID[1] + x1 + 1] = 1.0
        given = [(noun, "head"), (attribute, "attribute")]
        words.append([{"text": t, "lemma": t, "role": role} for t, role in given if t])
    table = pa.table({"phrase_id": [f"p{row}" for row in range(len(rows))], "grid": [list(GRID)] * len(rows)})
    return Regions(table, np.asarray([row[0] for row in rows]), coverage, words)


def test_it_is_scikit_learn_s_ridge_on_standardised_features():
    linear_model = pytest.importorskip("sklearn.linear_model", reason="scikit-learn is not installed")
    x = torch.randn(200, 12, generator=_rng()).double() * torch.linspace(0.1, 9, 12) + 3
    y = x @ torch.randn(12, 3, generator=_rng(1)).double() + torch.randn(200, 3, generator=_rng(2))
    ours = probes.fit(x, y)
    unit = ((x - x.mean(0)) / x.std(0, correction=0)).numpy()
    theirs = linear_model.Ridge(alpha=ours.penalty * len(x)).fit(unit, y.numpy())
    np.testing.assert_allclose(ours(x), theirs.predict(unit), atol=1e-8)


def test_the_penalty_is_the_one_that_is_best_on_held_out_images():
    linear_model = pytest.importorskip("sklearn.linear_model", reason="scikit-learn is not installed")
    x = torch.randn(60, 50, generator=_rng()).double()
    y = x[:, :1] + 2 * torch.randn(60, 1, generator=_rng(1))
    held = np.arange(60) // 2 % 5 == 4  # every fifth of the images, which have two samples each
    mean, scale = x[~held].mean(0), x[~held].std(0, correction=0)
    errors = []
    for penalty in probes.PENALTIES:
        model = linear_model.Ridge(alpha=penalty * int((~held).sum()))
        model.fit(((x[~held] - mean) / scale).numpy(), y[~held].numpy())
        said = model.predict(((x[held] - mean) / scale).numpy()).reshape(-1, 1)
        errors.append(((said - y[held].numpy()) ** 2).mean())
    best = probes.PENALTIES[int(np.argmin(errors))]
    assert best > min(probes.PENALTIES)  # noise and few samples: it matters
    assert probes.fit(x, y, np.arange(60) // 2).penalty == best


def test_a_feature_that_never_changes_breaks_nothing():
    x = torch.randn(30, 3, generator=_rng())
    x[:, 1] = 4.0
    np.testing.assert_allclose(probes.fit(x, x[:, :1])(x), x[:, :1], atol=1e-3)


def test_one_image_alone_cannot_be_held_out():
    with pytest.raises(ValueError, match="at least two images"):
        probes.fit(torch.ones(4, 2), torch.ones(4, 1), np.zeros(4))


def _position(tokens):
    """The place probe, fitted on the first half of images and scored on the rest."""
    half = len(tokens) // 2
    return probes.position(lambda i: tokens[:half][i], half, lambda i: tokens[half:][i], half, GRID)


def test_tokens_that_hold_their_place_give_it_all():
    place = probes.places(GRID).float()
    mixed = place @ torch.randn(2, 8, generator=_rng())
    tokens = mixed.expand(20, -1, -1) + 1e-3 * torch.randn(20, 20, 8, generator=_rng(1))
    found = _position(tokens)
    assert found["r2"].shape == found["error"].shape == (10,)
    assert found["r2"].mean() > 0.999
    assert found["error"].mean() < 0.05


def test_tokens_that_hold_none_give_the_middle():
    tokens = torch.randn(400, 20, 8, generator=_rng())
    found = _position(tokens)
    middle = (probes.places(GRID).double() - torch.tensor([1.5, 2.0])).norm(dim=1).mean()
    assert found["r2"].mean() == pytest.approx(0.0, abs=0.01)
    assert found["error"].mean() == pytest.approx(float(middle), abs=0.05)


def test_r2_is_scikit_learn_s_over_all_tokens():
    sklearn = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")
    place = probes.places(GRID).double()
    tokens = (place.expand(40, -1, -1) + 2 * torch.randn(40, 20, 2, generator=_rng())).float()
    found = _position(tokens)
    images = np.arange(20)
    probe = probes.fit(tokens[:20].flatten(0, 1), place.repeat(20, 1), np.repeat(images, 20))
    said = probe(tokens[20:].flatten(0, 1)).numpy()
    true = place.repeat(20, 1).numpy()
    # Of both targets together: weighted by how much each varies.
    expected = sklearn.r2_score(true, said, multioutput="variance_weighted")
    assert found["r2"].mean() == pytest.approx(expected)
    assert found["error"].mean() == pytest.approx(np.linalg.norm(said - true, axis=1).mean())


def test_boxes_are_those_around_a_region_s_patches():
    regions = _regions([(0, 6, 13, "cup", ""), (0, 0, 0, "cup", ""), (0, 15, 19, "cup", "")], 1)
    assert regions.boxes().tolist() == [[1, 1, 4, 3], [0, 0, 1, 1], [0, 3, 5, 4]]
    assert regions.grid == GRID


def test_a_box_is_read_off_tokens_that_hold_it():
    rng = np.random.default_rng(0)
    rows = []
    for image in range(40):
        y, x = np.sort(rng.integers(0, 4, 2)), np.sort(rng.integers(0, 5, 2))
        rows.append((image, int(y[0] * 5 + x[0]), int(y[1] * 5 + x[1]), "cup", ""))
    regions = _regions(rows, 40)
    boxes = torch.from_numpy(regions.boxes()).float()
    turned = boxes @ torch.randn(4, 6, generator=_rng())
    assert probes.box_overlap(turned, regions, turned, regions).min() > 0.99
    noise = torch.randn(40, 6, generator=_rng(1))
    assert probes.box_overlap(noise, regions, torch.randn(40, 6, generator=_rng(2)), regions).mean() < 0.6


NOUNS = ["cup", "star", "box"]


def test_words_are_read_where_the_tokens_hold_them():
    rows = [(k, 0, 0, NOUNS[k % 3], "red" if k % 2 else "") for k in range(30)]
    regions = _regions(rows, 30)
    tokens = torch.eye(3)[[k % 3 for k in range(30)]] + 0.01 * torch.randn(30, 3, generator=_rng())
    found, right = probes.word_read(tokens, regions, tokens, regions, "head")
    assert found == list(range(30))
    assert right.tolist() == [1.0] * 30
    moved = tokens.roll(1, dims=1)  # the probe reads the next noun
    assert probes.word_read(tokens, regions, moved, regions, "head")[1].tolist() == [0.0] * 30


def test_a_word_of_no_fitted_region_counts_as_wrong_and_regions_without_one_are_left_out():
    fitted = _regions([(k, 0, 0, NOUNS[k % 2], "") for k in range(10)], 10)
    tokens = torch.eye(2)[[k % 2 for k in range(10)]]
    asked = _regions([(0, 0, 0, "cup", ""), (0, 0, 0, "fish", ""), (1, 0, 0, "", "red")], 2)
    rows, right = probes.word_read(tokens, fitted, tokens[:3], asked, "head")
    assert (rows, right.tolist()) == ([0, 1], [1.0, 0.0])


def test_a_single_word_is_nothing_to_tell_apart():
    regions = _regions([(k, 0, 0, "cup", "") for k in range(4)], 4)
    assert probes.word_read(torch.ones(4, 2), regions, torch.ones(4, 2), regions, "head")[0] == []


def test_all_probes_of_features():
    rows = [(k // 2, k % 20, k % 20, NOUNS[k % 3], ["red", "blue"][k % 2]) for k in range(40)]
    regions = _regions(rows, 20)
    tokens = torch.randn(20, 20, 8, generator=_rng())
    names = [f"i{k}" for k in range(20)]
    found = probes.measures(tokens.__getitem__, regions, 20, tokens.__getitem__, regions, names)
    assert list(found) == ["position.r2", "position.error", "position.box", "probe.noun", "probe.attribute"]
    assert found["position.r2"][0] == names
    assert found["probe.noun"][0] == found["position.box"][0] == regions.phrase_ids
    assert all(len(examples) == len(values) for examples, values in found.values())
