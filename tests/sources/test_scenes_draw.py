"""Pixels of scenes: masks, boxes, overlap, sizes, and that a thing has its colour."""

import io
from random import Random

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image
from scenes_world import rows, scenes_params

from pipeline.sources.scenes import COLOURS, NOUNS
from pipeline.sources.scenes.draw import draw, silhouette
from pipeline.sources.scenes.world import Thing
from pipeline.tables import masks


def thing(noun: str, length: float = 20, angle: float = 0) -> Thing:
    return Thing(noun, "red", "plain", "", length, 1.0, angle)


def pixels(silhouette_: Image.Image) -> np.ndarray:
    return np.asarray(silhouette_) >= 128


@pytest.mark.parametrize("rich", [False, True])
def test_boxes_are_tight_around_masks_and_masks_are_disjoint(rich):
    for row in rows(rich):
        owned = np.zeros((64, 64), dtype=int)
        for held in row.objects:
            mask = masks.decode(held["mask"])
            ys, xs = np.nonzero(mask)
            assert held["box"] == [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
            owned += mask
        assert owned.max() == 1


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), overlap=st.sampled_from([0.0, 0.1, 0.4]))
def test_no_object_loses_more_than_the_overlap_and_the_last_loses_nothing(seed, overlap):
    scene = draw(scenes_params(overlap=overlap, objects=(3, 6)), Random(seed))
    for held, mask in zip(scene.things, scene.masks, strict=True):
        full = np.count_nonzero(pixels(silhouette(held)))
        assert full * (1 - overlap) <= masks.area(mask) <= full
    assert masks.area(scene.masks[-1]) == np.count_nonzero(pixels(silhouette(scene.things[-1])))


@settings(max_examples=40, deadline=None)
@example(seed=2596)  # a red lamp on a yellow kite on another red lamp
@given(seed=st.integers(0, 10**6))
def test_who_hides_whom_is_what_the_pixels_say(seed):
    scene = draw(scenes_params(overlap=0.4, objects=(3, 6)), Random(seed))
    lost = {
        far
        for far, (held, mask) in enumerate(zip(scene.things, scene.masks, strict=True))
        if masks.area(mask) < np.count_nonzero(pixels(silhouette(held)))
    }
    assert {far for _, far in scene.hides} <= lost
    assert all(near > far for near, far in scene.hides)
    for near, far in scene.hides:
        if scene.things[near].colour == scene.things[far].colour:
            # Two of one colour touch nowhere: what hides the one lies on a third that hid it before.
            assert any({(near, mid), (mid, far)} <= scene.hides for mid in range(far + 1, near))


def test_scenes_hold_as_many_objects_as_asked_for():
    counts = [len(row.objects) for row in rows()]
    assert min(counts) == 2 and max(counts) == 5
    assert {counts.count(count) > 40 for count in (2, 3, 4, 5)} == {True}


def test_what_does_not_fit_is_left_out():
    # Six objects of nine tenths of the picture that must not touch: one is all that has room.
    params = scenes_params(objects=(6, 6), object_size=(0.9, 0.9), overlap=0.0, nouns=2)
    assert 1 <= len(draw(params, Random(0)).things) < 6


@pytest.mark.parametrize("noun", NOUNS)
@pytest.mark.parametrize("angle", [-0.2, 0.0, 0.2])
def test_the_longer_side_is_as_long_as_asked_for(noun, angle):
    ys, xs = np.nonzero(pixels(silhouette(thing(noun, 24, angle))))
    assert max(np.ptp(xs), np.ptp(ys)) + 1 == pytest.approx(24, abs=2)


def test_silhouettes_of_all_nouns_differ_at_twenty_pixels():
    shapes = []
    for noun in NOUNS:
        solid = pixels(silhouette(thing(noun)))
        canvas = np.zeros((20, 20), dtype=bool)
        y, x = (20 - solid.shape[0]) // 2, (20 - solid.shape[1]) // 2
        canvas[y : y + solid.shape[0], x : x + solid.shape[1]] = solid
        shapes.append(canvas)
    for i, a in enumerate(shapes):
        for b in shapes[:i]:
            assert (a & b).sum() / (a | b).sum() < 0.8


@pytest.mark.parametrize("rich", [False, True])
def test_an_object_has_its_own_colour_and_stands_out_from_the_background(rich):
    for row in rows(rich)[:150]:
        with Image.open(io.BytesIO(row.image["image"]["bytes"])) as picture:
            image = np.asarray(picture).astype(float)
        ground = np.ones((64, 64), dtype=bool)
        for held in row.objects:
            ground &= ~masks.decode(held["mask"])
        # Away from edges, whose pixels are mixed.
        behind = np.median(image[ground], axis=0)
        for held in row.objects:
            if {"striped", "dotted", "checked"} & set(held["attributes"]):
                continue
            seen = np.median(image[masks.decode(held["mask"])], axis=0)
            distance = {name: np.abs(seen - rgb).sum() for name, rgb in COLOURS.items()}
            assert min(distance, key=lambda name: distance[name]) == held["attributes"][0]
            assert np.abs(seen - behind).sum() > 60


def test_size_words_are_true_beyond_dispute():
    lengths = {"small": [], "large": [], "": []}
    for seed in range(150):
        for held in draw(scenes_params(), Random(seed)).things:
            lengths[held.size].append(held.length)
    assert min(lengths["small"]) >= 16 and max(lengths["small"]) + 2 < min(lengths[""])
    assert max(lengths[""]) + 2 < min(lengths["large"]) and max(lengths["large"]) <= 0.45 * 64


def test_a_narrow_range_of_sizes_has_no_size_words():
    scene = draw(scenes_params(object_size=(0.3, 0.35)), Random(0))
    assert {held.size for held in scene.things} == {""}
