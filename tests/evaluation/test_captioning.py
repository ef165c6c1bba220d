"""CIDEr through pycocoevalcap, and F1 of the objects that captions name."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest

from pipeline.evaluation.captioning import cider, objects_f1, tokenise
from pipeline.evaluation.naming import lexicon

KNOWN = lexicon(["cup", "star"], ["red", "blue"])


def test_tokens_are_lower_case_words():
    assert tokenise("A red-hot cup, the dog's 2 stars!") == "a red hot cup the dog's 2 stars"
    assert tokenise("...") == ""


def slow_cider_d(said, references):
    """CIDEr-D from the paper's formulas (Vedantam et al. 2015, section 4, n = 1 to 4, sigma = 6)."""

    def grams(caption, n):
        words = caption.split()
        return Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))

    scores = []
    for caption, captions in zip(said, references, strict=True):
        total = 0.0
        for n in (1, 2, 3, 4):
            seen = Counter(g for refs in references for g in set().union(*(grams(r, n) for r in refs)))
            weight = {g: math.log(len(references)) - math.log(max(1, c)) for g, c in seen.items()}
            rare = math.log(len(references))
            a = {g: c * weight.get(g, rare) for g, c in grams(caption, n).items()}
            for ref in captions:
                b = {g: c * weight[g] for g, c in grams(ref, n).items()}
                lengths = math.hypot(*a.values()) * math.hypot(*b.values())
                shared = sum(min(a[g], b[g]) * b[g] for g in a if g in b)
                # The script counts words less one: the bigrams.
                gap = len(caption.split()) - len(ref.split())
                penalty = math.exp(-(gap**2) / (2 * 6**2))
                total += (shared / lengths if lengths else shared) * penalty / len(captions)
        scores.append(10 * total / 4)
    return scores


def test_cider_is_that_of_the_paper():
    said = ["a red cup left of a star", "two blue stars", "a kite above a cup", "a cup"]
    true = [
        ["a red cup stands left of a blue star", "a cup and a star"],
        ["two blue stars and a cup", "two stars"],
        ["a green kite above a red cup", "there is a kite above the cup"],
        ["a red boat by a tree"],
    ]
    np.testing.assert_allclose(cider(said, true), slow_cider_d(said, true), atol=1e-9)


def test_the_same_caption_scores_ten_and_an_unrelated_one_nothing():
    true = [["a red cup left of a star"], ["two blue kites on the grass"], ["some trees by the sea"]]
    scores = cider(["A red cup, left of a star.", "nothing at all here", "some trees by the sea"], true)
    np.testing.assert_allclose(scores, [10, 0, 10], atol=1e-9)


def test_an_empty_caption_scores_nothing():
    assert cider(["", "a cup"], [["a red star"], ["a cup here"]])[0] == 0


@pytest.mark.parametrize(
    ("said", "true", "message"),
    [
        (["a"], [["a"]], "at least two images"),
        (["a", "b"], [["a"], []], "a reference caption for each image"),
        (["a", "b"], [["a"]], "2 captions cannot be scored against 1 images"),
    ],
)
def test_what_cider_cannot_score_is_refused(said, true, message):
    with pytest.raises(ValueError, match=message):
        cider(said, true)


def test_objects_f1_by_hand():
    scene = [("cup", "red"), ("cup", "red"), ("star", "blue")]
    said = [
        "Two red cups and a blue star.",  # all: 1
        "A red cup.",  # 1 named, 3 there, 1 right: 2 / 4
        "Two red cups and a red star.",  # 3, 3, 2: 4 / 6
        "Two cups.",  # no colours: 0
        "A picture.",  # nothing named: 0
    ]
    np.testing.assert_allclose(objects_f1(said, [scene] * 5, KNOWN), [1, 1 / 2, 2 / 3, 0, 0])


def test_an_empty_scene_is_described_by_naming_nothing():
    assert objects_f1(["A grey background.", "A red cup."], [[], []], KNOWN).tolist() == [1, 0]
