"""Contrastive training: windows, views and their texts, and the loss."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.models import encoder, vocabulary
from pipeline.params import TrainedEncoderParams
from pipeline.training.contrastive import (
    WINDOW,
    ContrastiveData,
    contrastive_loss,
    embed_text,
    embed_view,
    train,
    windows,
)

open_clip = pytest.importorskip("open_clip")

SETTINGS = TrainedEncoderParams(
    width=32, layers=2, patch_size=8, image_size=48, embed_dim=24, steps=3, batch_size=6, learning_rate=0.01,
    views=0.5,
)  # fmt: skip
TOKENIZER = vocabulary.build(["a red cup and a blue star", "green box two"], add_eos=True)
FIRSTS = np.array([0, 3, 3, 5, 9])
"""Four images, of three, no, two and four objects."""


def made_data():
    """Objects' texts are their own number, so that a text says which objects it names."""
    objects = int(FIRSTS[-1])
    generator = np.random.default_rng(0)
    return ContrastiveData(
        pixels=generator.integers(0, 256, (4, 3, 48, 48), np.uint8),
        caption_ids=[[8, 9, 10], [9, 8], [10], [8, 8, 11]],
        caption_image=np.arange(4),
        object_ids=[[8 + k % 5, 100 + k] for k in range(objects)],
        label_ids=[[100 + k] for k in range(objects)],
        object_centre=generator.uniform(0, 6, (objects, 2)),
        firsts=FIRSTS,
        joint=50,
        eos=2,
    )


def a_clip(seed=0):
    config = encoder.open_clip_config(SETTINGS, 48, len(TOKENIZER), TOKENIZER.eos_token_id)
    torch.manual_seed(seed)
    return open_clip.model.CLIP(config["embed_dim"], dict(config["vision_cfg"]), dict(config["text_cfg"]))


@given(st.integers(1, 9), st.integers(1, 3), st.integers(0, 9999))
def test_a_window_is_a_square_of_the_grid_that_holds_its_object(grid, objects, seed):
    generator = np.random.default_rng(seed)
    centres = generator.uniform(0, grid, (5, objects, 2))
    keep = windows(centres, grid, generator).numpy()
    side = min(WINDOW, grid)
    assert keep.shape == (5, objects * side * side)
    assert keep.min() >= 0
    assert keep.max() < grid * grid
    for row, centre in zip(keep.reshape(5, objects, side * side), centres, strict=True):
        for patches, (x, y) in zip(row, centre, strict=True):
            down, across = np.divmod(patches, grid)
            assert len(set(patches)) == side * side  # each patch of a window once
            assert np.ptp(down) == np.ptp(across) == side - 1
            assert down.min() - 0.01 <= y <= down.max() + 1.01  # x runs along columns, y along rows
            assert across.min() - 0.01 <= x <= across.max() + 1.01


@pytest.mark.parametrize("count", [1, 2, 3, 4])
@pytest.mark.parametrize("labels", [False, True])
def test_a_view_names_exactly_its_objects_which_are_all_of_one_image(count, labels):
    data = made_data()
    images, objects, texts = data.views(count, 200, labels, np.random.default_rng(1))
    assert set(images) == {k for k in range(4) if FIRSTS[k + 1] - FIRSTS[k] >= count}
    for image, chosen, text in zip(images, objects, texts, strict=True):
        assert len(set(chosen)) == count
        assert all(FIRSTS[image] <= k < FIRSTS[image + 1] for k in chosen)
        names = [data.label_ids[k] if labels else data.object_ids[k] for k in chosen]
        expected = names[0]
        for name in names[1:]:
            expected = [*expected, data.joint, *name]
        assert text == expected


def test_every_object_of_an_image_is_viewed_as_often_as_any_other():
    images, objects, _ = made_data().views(1, 6000, False, np.random.default_rng(2))
    for image in (0, 2, 3):
        counts = np.bincount(objects[images == image, 0] - FIRSTS[image])
        assert len(counts) == FIRSTS[image + 1] - FIRSTS[image]
        assert counts.max() < 1.2 * counts.min()


def test_texts_end_with_the_end_of_text_and_are_cut_to_the_context():
    padded = made_data().pad([[8, 9], [8], list(range(3, 63))])
    assert padded.shape == (3, encoder.TEXT_CONTEXT)
    assert padded[0, :4].tolist() == [8, 9, 2, 0]
    assert padded[1, :3].tolist() == [8, 2, 0]
    assert padded[2, -2:].tolist() == [41, 2]


@torch.no_grad()
def test_embeddings_are_those_of_open_clip():
    model = a_clip().eval()
    pixels = torch.randn(3, 3, 48, 48)
    ids = made_data().pad([[8, 9, 10], [8], [9, 9]])
    torch.testing.assert_close(
        embed_view(model.visual, pixels, None), model.encode_image(pixels, normalize=True), atol=1e-5, rtol=0
    )
    context = torch.zeros(3, encoder.TEXT_CONTEXT, dtype=torch.long)
    context[:, : ids.shape[1]] = ids
    expected = model.encode_text(context, normalize=True)
    torch.testing.assert_close(embed_text(model, ids), expected, atol=1e-5, rtol=0)


@torch.no_grad()
def test_a_view_of_all_patches_in_any_order_is_the_image():
    model = a_clip().eval()
    pixels = torch.randn(2, 3, 48, 48)
    order = torch.stack([torch.randperm(36), torch.arange(36)])
    whole = embed_view(model.visual, pixels, None)
    torch.testing.assert_close(embed_view(model.visual, pixels, order), whole, atol=1e-5, rtol=0)


@torch.no_grad()
def test_a_view_sees_only_the_patches_that_it_keeps():
    model = a_clip().eval()
    pixels = torch.randn(1, 3, 48, 48)
    other = pixels.clone()
    other[..., :8, :8] = 5.0  # patch 0
    for keep, same in (([7, 8, 13], True), ([0, 7, 8], False)):
        views = [embed_view(model.visual, x, torch.tensor([keep])) for x in (pixels, other)]
        assert torch.allclose(*views, atol=1e-6) == same


def unit(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.nn.functional.normalize(torch.randn(*shape, generator=generator), dim=-1)


def test_the_loss_is_clip_s_where_all_texts_differ():
    images, texts = unit(5, 8), unit(5, 8, seed=1)
    scale = torch.tensor(7.0)
    ids = torch.arange(10).view(5, 2)
    expected = open_clip.ClipLoss()(images, texts, scale)
    torch.testing.assert_close(contrastive_loss(images, texts, scale, ids), expected)


def test_images_with_the_same_text_are_no_negatives_of_each_other():
    """Two pairs with one text and the same embeddings: the best loss is that of a half each, log 2."""
    same = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    ids = torch.tensor([[4, 2], [4, 2]])
    found = contrastive_loss(same, same, torch.tensor(100.0), ids)
    assert found.item() == pytest.approx(np.log(2), abs=1e-5)
    # A third, different text far away changes nothing.
    three = torch.tensor([[1.0, 0.0], [1.0, 0.0], [-1.0, 0.0]])
    ids = torch.tensor([[4, 2], [4, 2], [5, 2]])
    found = contrastive_loss(three, three, torch.tensor(100.0), ids)
    assert found.item() == pytest.approx(np.log(2) * 2 / 3, abs=1e-5)


def test_training_is_a_function_of_the_seed():
    trained = []
    for seed in (1, 1, 2):
        model = a_clip()
        before = copy.deepcopy(model.state_dict())
        losses = []
        train(model, made_data_in_vocabulary(), SETTINGS, seed, lambda step, loss, rate: losses.append(loss))  # noqa: B023
        assert len(losses) == SETTINGS.steps
        assert not torch.equal(before["visual.conv1.weight"], model.state_dict()["visual.conv1.weight"])
        trained.append(model.state_dict())
    assert all(torch.equal(trained[0][name], trained[1][name]) for name in before)
    assert not all(torch.equal(trained[0][name], trained[2][name]) for name in before)


def made_data_in_vocabulary():
    data = made_data()
    size = len(TOKENIZER)
    names = [[8 + k % (size - 8)] for k in range(int(FIRSTS[-1]))]
    captions = [[t % size for t in ids] for ids in data.caption_ids]
    return ContrastiveData(
        data.pixels, captions, data.caption_image, names, names, data.object_centre, FIRSTS, 7, 2
    )
