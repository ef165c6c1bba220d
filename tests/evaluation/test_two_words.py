"""Patches that carry two words: which are asked, what the control is, and that both answers can come out."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import torch

from pipeline.evaluation import two_words
from pipeline.evaluation.dictionary import Dictionary
from pipeline.evaluation.regions import Regions

VOCABULARY = ["red", "blue", "cup", "star", "the", "box"]
WORDS = Dictionary(list(range(6)), VOCABULARY, torch.eye(6))


def regions_of(rows, patches=4):
    """Rows: image, {patch: coverage}, ((text, role), ...)."""
    coverage = np.zeros((len(rows), patches), np.float32)
    words = []
    for row, (_, covered, said) in enumerate(rows):
        coverage[row, list(covered)] = list(covered.values())
        words.append([{"text": text, "lemma": text, "role": role} for text, role in said])
    table = pa.table({"phrase_id": [f"p{row}" for row in range(len(rows))]})
    return Regions(table, np.asarray([row[0] for row in rows]), coverage, words)


def phrase(noun, *attributes):
    return (*((attribute, "attribute") for attribute in attributes), (noun, "head"))


def named(on, kind):
    """Pairs as (image, patch, word, word)."""
    return [(int(on.image_P[p]), int(on.patch_P[p]), on.words[a], on.words[b]) for p, a, b in on.pairs[kind]]


def test_of_an_image_s_patches_with_the_same_words_the_best_covered_is_asked():
    on = two_words.carriers(regions_of([(0, {0: 0.3, 1: 0.9, 2: 0.2}, phrase("cup", "red"))]), VOCABULARY)
    assert (on.image_P.tolist(), on.patch_P.tolist()) == ([0], [1])
    assert on.words == ["cup", "red"]
    assert on.carried_PW.tolist() == [[True, True]]
    assert named(on, "noun_and_attribute") == [(0, 1, "cup", "red")]
    assert named(on, "two_nouns") == []


def test_a_patch_that_two_phrases_share_carries_the_words_of_both():
    on = two_words.carriers(
        regions_of([(3, {0: 0.9, 1: 0.5}, phrase("cup", "red")), (3, {1: 0.4, 2: 0.8}, phrase("star"))]),
        VOCABULARY,
    )
    assert on.patch_P.tolist() == [0, 1, 2]
    assert named(on, "noun_and_attribute") == [(3, 0, "cup", "red"), (3, 1, "cup", "red")]
    assert named(on, "two_nouns") == [(3, 1, "cup", "star")]


def test_a_phrase_said_twice_is_one_pair_and_words_of_several_tokens_are_not_asked():
    rows = [(0, {0: 1.0}, phrase("cup", "red")), (0, {0: 1.0}, phrase("cup", "red", "turquoise"))]
    on = two_words.carriers(regions_of(rows), VOCABULARY)
    assert named(on, "noun_and_attribute") == [(0, 0, "cup", "red")]
    assert named(on, "two_nouns") == []


def four_images():
    """A red cup, a red star, a blue cup, and a blue star that no pair of red and cup can be asked of."""
    return regions_of(
        [
            (0, {0: 1.0}, phrase("cup", "red")),
            (1, {0: 1.0}, phrase("star", "red")),
            (2, {0: 1.0}, phrase("cup", "blue")),
            (3, {0: 1.0}, phrase("star", "blue")),
        ]
    )


def test_the_control_is_the_same_words_where_one_of_them_is_carried():
    on = two_words.carriers(four_images(), VOCABULARY)
    blue, cup, red = (on.words.index(word) for word in ("blue", "cup", "red"))
    found = np.zeros((4, 4), bool)
    found[0, [red, cup]] = True  # the red cup gives both
    found[1, [red, cup]] = True  # so does the red star, which is no cup
    found[3, [red, cup]] = True  # of a blue star it is not asked
    found[2, [blue]] = True
    images, both, control = two_words.both_and_control(found, on, on.pairs["noun_and_attribute"])
    assert images.tolist() == [0, 1, 2, 3]
    # Red cup: found; of the red star and the blue cup, one gives red and cup.
    assert (both[0], control[0]) == (1.0, 0.5)
    assert (both[1], control[1]) == (0.0, 0.0)


def test_patches_of_the_same_image_are_no_control():
    rows = [(0, {0: 1.0}, phrase("cup", "red")), (0, {1: 1.0}, phrase("star", "red"))]
    on = two_words.carriers(regions_of(rows), VOCABULARY)
    found = np.ones((2, len(on.words)), bool)
    images, both, control = two_words.both_and_control(found, on, on.pairs["noun_and_attribute"])
    assert (len(images), len(both), len(control)) == (0, 0, 0)


def slow(found, on, pairs):
    by_image = {}
    for patch, a, b in pairs:
        others = [
            p
            for p in range(len(found))
            if on.image_P[p] != on.image_P[patch] and on.carried_PW[p, a] != on.carried_PW[p, b]
        ]
        if others:
            control = np.mean([found[p, a] and found[p, b] for p in others])
            by_image.setdefault(on.image_P[patch], []).append((found[patch, a] and found[patch, b], control))
    return {image: tuple(np.mean(values, axis=0)) for image, values in by_image.items()}


def test_it_is_the_slow_count_pair_by_pair():
    rng = np.random.default_rng(0)
    nouns, colours = VOCABULARY[2:4] + VOCABULARY[5:], VOCABULARY[:2]
    rows = [
        (int(rng.integers(12)), {int(rng.integers(4)): 1.0, int(rng.integers(4)): 0.6},
         phrase(str(rng.choice(nouns)), str(rng.choice(colours))))
        for _ in range(40)
    ]  # fmt: skip
    on = two_words.carriers(regions_of(rows), VOCABULARY)
    found = rng.random(on.carried_PW.shape) < 0.5
    for pairs in on.pairs.values():
        assert len(pairs) > 5
        images, both, control = two_words.both_and_control(found, on, pairs)
        expected = slow(found, on, pairs)
        assert set(images) == set(expected)
        for image, *pair in zip(images, both, control, strict=True):
            np.testing.assert_allclose(pair, expected[image])


def test_tokens_that_mix_their_words_give_both_and_others_do_not():
    regions = four_images()
    at = [[VOCABULARY.index(text) for text in pair] for pair in
          (("red", "cup"), ("red", "star"), ("blue", "cup"), ("blue", "star"))]  # fmt: skip
    tokens = torch.zeros(4, 4, 6)
    for image, pair in enumerate(at):
        tokens[image, 0, pair] = torch.tensor([1.0, 0.8])
    names = [f"i{k}" for k in range(4)]
    found = two_words.measures(tokens, WORDS, regions, 2, names)
    assert list(found) == ["decomposition.noun_and_attribute", "decomposition.noun_and_attribute_control"]
    examples, both = found["decomposition.noun_and_attribute"]
    assert (examples, both.tolist()) == (names, [1.0] * 4)
    assert found["decomposition.noun_and_attribute_control"][1].tolist() == [0.0] * 4

    tokens[:, 0] = torch.tensor([1.0, 0.1, 0.9, 0.1, 0.1, 0.1])  # every token is red and cup
    found = two_words.measures(tokens, WORDS, regions, 2, names)
    assert found["decomposition.noun_and_attribute"][1].tolist() == [1.0, 0.0, 0.0, 0.0]
    assert found["decomposition.noun_and_attribute_control"][1].tolist() == [1.0, 0.0, 0.0, 0.0]


def test_one_word_cannot_be_two():
    assert two_words.measures(torch.ones(4, 4, 6), WORDS, four_images(), 1, ["i"] * 4) == {}
