"""Batches are a function of the seed and the step: the same for both arms, and after a restart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.training.batches import Collator, Schedule
from pipeline.training.features import Features
from pipeline.training.supervision import PatchSupervision
from pipeline.training.turns import Turns

IMAGES, PATCHES, WIDTH = 6, 4, 3


def made_features():
    generator = np.random.default_rng(0)
    parts = [generator.normal(size=(3, PATCHES, WIDTH)).astype(np.float16) for _ in range(2)]
    places = np.arange(IMAGES)
    return Features([f"i{k}" for k in range(IMAGES)], parts, places // 3, places % 3)


def made_turns():
    """Four turns an image, of 2 to 20 tokens; every token says which turn it is of."""
    lengths = np.tile([20, 2, 19, 3], IMAGES)
    return Turns(
        tokens=np.repeat(np.arange(4 * IMAGES, dtype=np.int32) + 100, lengths),
        starts=np.concatenate([[0], np.cumsum(lengths)]),
        learned=np.concatenate([np.arange(length) > 0 for length in lengths]),
        firsts=np.arange(IMAGES + 1) * 4,
    )


def made_supervision():
    """A region an image: patch k of image k (modulo the patches), the word k + 1."""
    places = np.arange(IMAGES)
    return PatchSupervision(
        patches=places % PATCHES, coverage=np.ones(IMAGES, np.float32), starts=np.arange(IMAGES + 1),
        word_ids=places[:, None] + 1, firsts=np.arange(IMAGES + 1), patch_count=PATCHES, pad=0,
    )  # fmt: skip


def collator(supervision=None, seed=3, turns=4):
    return Collator(made_features(), made_turns(), turns, 0, seed, supervision)


@given(st.integers(1, 9), st.integers(1, 40), st.integers(0, 99))
def test_an_epoch_is_every_image_once(images, places, seed):
    schedule = Schedule.of(images, places, seed)
    drawn = [schedule[place] for place in range(len(schedule))]
    assert [place for _, place in drawn] == list(range(places))
    for start in range(0, places - images + 1, images):
        assert sorted(image for image, _ in drawn[start : start + images]) == list(range(images))


def test_the_schedule_is_a_function_of_the_seed():
    assert Schedule.of(50, 120, 4).order.tolist() == Schedule.of(50, 120, 4).order.tolist()
    assert Schedule.of(50, 120, 4).order.tolist() != Schedule.of(50, 120, 5).order.tolist()


def test_epochs_are_in_different_orders():
    order = Schedule.of(50, 100, 4).order
    assert order[:50].tolist() != order[50:].tolist()


def test_a_longer_schedule_starts_with_the_shorter():
    assert Schedule.of(50, 120, 4).order[:70].tolist() == Schedule.of(50, 70, 4).order.tolist()


def test_both_arms_see_the_same_batches():
    plain, aligned = collator(), collator(made_supervision())
    schedule = Schedule.of(IMAGES, 12, 3)
    for start in range(0, 12, 3):
        places = [schedule[start + k] for k in range(3)]
        caption, patch = plain(places), aligned(places)
        assert set(patch) - set(caption) == {"region_weights", "region_words"}
        assert torch.equal(caption["features"], patch["features"])
        for name in ("ids", "labels"):
            assert len(caption[name]) == len(patch[name])
            assert all(torch.equal(a, b) for a, b in zip(caption[name], patch[name], strict=True))


def test_a_place_gets_the_same_turns_whatever_was_collated_before():
    ours, again = collator(turns=2), collator(turns=2)
    again([(1, 0), (2, 1)])
    first, second = ours([(4, 7)]), again([(4, 7)])
    assert all(torch.equal(a, b) for a, b in zip(first["ids"], second["ids"], strict=True))


def test_an_image_gets_other_turns_at_another_place_or_seed():
    def drawn(place, seed):
        return frozenset(
            int(group[0, turn, 0])
            for group in collator(seed=seed, turns=2)([(0, place)])["ids"]
            for turn in range(group.shape[1])
        )

    assert len({drawn(place, 3) for place in range(20)}) > 1
    assert len({drawn(0, seed) for seed in range(20)}) > 1


def test_rows_of_a_batch_belong_together():
    """Features, turns and regions of row r are all those of the image of row r."""
    batch = collator(made_supervision())([(5, 0), (2, 1), (0, 2)])
    for row, image in enumerate((5, 2, 0)):
        expected = made_features().parts[image // 3][image % 3]
        np.testing.assert_array_equal(batch["features"][row].numpy(), expected.astype(np.float32))
        seen = {int(t) for ids in batch["ids"] for t in ids[row].flatten() if t}
        assert seen == {100 + 4 * image + k for k in range(4)}
        assert batch["region_weights"][row, 0].argmax().item() == image % PATCHES
        assert batch["region_words"][row, 0].tolist() == [image + 1]


def test_turns_are_cut_into_a_short_and_a_long_group():
    batch = collator()([(0, 0), (1, 1)])
    assert [tuple(ids.shape) for ids in batch["ids"]] == [(2, 2, 3), (2, 2, 20)]


@pytest.mark.parametrize("turns", [1, 2, 3, 4, 9])
def test_every_turn_that_was_drawn_is_in_one_group(turns):
    batch = collator(turns=turns)([(0, 0), (3, 1)])
    assert sum(ids.shape[1] for ids in batch["ids"]) == turns
    for ids, labels in zip(batch["ids"], batch["labels"], strict=True):
        learned = labels != -100
        assert torch.equal(ids[learned], labels[learned])
        assert not learned[..., 0].any()  # the prompt's one token


def test_features_are_in_full_precision():
    assert collator()([(0, 0)])["features"].dtype == torch.float32


def test_turns_that_may_not_be_cut_are_one_group():
    """As where a model is sharded: every process calls its layers equally often."""
    places = [(image, image) for image in range(4)]
    cut, whole = collator(turns=6), replace(collator(turns=6), cut=False)
    batches_cut = [cut([place]) for place in places]
    assert any(len(batch["ids"]) == 2 for batch in batches_cut)
    for place, batch in zip(places, batches_cut, strict=True):
        found = whole([place])
        assert [ids.shape[1] for ids in found["ids"]] == [6]
        assert int((found["labels"][0] >= 0).sum()) == sum(int((each >= 0).sum()) for each in batch["labels"])
