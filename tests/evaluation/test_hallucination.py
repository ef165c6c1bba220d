"""CHAIR: which objects captions mention that are not there."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.evaluation.hallucination import chair_counts, kinds_of
from pipeline.tables.synonyms import CATEGORIES

COCO = kinds_of(CATEGORIES)


def mentioned(caption, kinds=COCO):
    return [sorted(found) for found in kinds.mentions(caption)]


def test_synonyms_and_plurals_name_their_kind():
    assert mentioned("Two women on a sofa with puppies.") == [["person"], ["couch"], ["dog"]]


def test_the_longest_compound_counts_alone():
    assert mentioned("a hot dog beside a teddy bear") == [["hot dog"], ["teddy bear"]]
    assert mentioned("a rocking horse on a cutting board") == []  # no kind of horse, no board to ride


def test_a_word_for_several_kinds_may_be_any_of_them():
    assert mentioned("his bike") == [["bicycle", "motorcycle"]]
    assert mentioned("some fruit") == [["apple", "banana", "orange"]]


def test_only_the_dataset_s_kinds_are_looked_for():
    scenes = kinds_of({"Cup", "star"})
    assert mentioned("a red cup, a dog and two stars", scenes) == [["cup"], ["star"]]


def test_an_object_is_there_if_it_is_annotated_or_people_name_it():
    said = ["a man with a cat and a dog", "a bike", "nothing at all"]
    people = [["A person and a kitten"], ["a street"], ["a street"]]
    objects = [[], ["motorcycle"], ["car"]]
    counts = chair_counts(said, people, objects, COCO)
    np.testing.assert_array_equal(counts, [[1, 3], [0, 1], [0, 0]])


def test_each_mention_counts():
    counts = chair_counts(["a dog, another dog and a car"], [["a car"]], [["car"]], COCO)
    np.testing.assert_array_equal(counts, [[2, 3]])


def test_lists_of_different_length_are_refused():
    with pytest.raises(ValueError, match="argument"):
        chair_counts(["a dog"], [["a dog"]], [], COCO)
