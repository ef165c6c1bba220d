"""Dictionary forms."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.phrases.lemmas import adjective_lemma, noun_lemma

PLURALS = (
    "cups:cup boxes:box buses:bus benches:bench dishes:dish glasses:glass dresses:dress houses:house"
    " vases:vase horses:horse nurses:nurse suitcases:suitcase axes:axe headaches:headache prizes:prize"
    " pizzas:pizza cookies:cookie movies:movie ties:tie berries:berry puppies:puppy ladies:lady leaves:leaf"
    " knives:knife shelves:shelf gloves:glove waves:wave olives:olive potatoes:potato shoes:shoe"
    " canoes:canoe photos:photo kites:kite people:person men:man women:woman firemen:fireman"
    " children:child feet:foot mice:mouse sheep:sheep fish:fish scissors:scissors skis:ski keys:key"
    " toothbrushes:toothbrush giraffes:giraffe flies:fly pies:pie trees:tree crosses:cross"
)


@pytest.mark.parametrize("pair", PLURALS.split())
def test_a_plural_has_this_singular(pair: str) -> None:
    plural, singular = pair.split(":")
    assert noun_lemma(plural, True) == singular
    assert noun_lemma(plural.title(), True) == singular


@pytest.mark.parametrize("noun", ["grass", "bus", "glass", "tennis", "lens", "dress"])
def test_a_singular_in_s_stays(noun: str) -> None:
    assert noun_lemma(noun, False) == noun


@given(st.text(min_size=1, max_size=12), st.booleans())
def test_a_lemma_is_never_empty_nor_longer(word: str, is_plural: bool) -> None:
    lemma = noun_lemma(word, is_plural)
    assert lemma
    assert len(lemma) <= len(word.lower()) + 1  # "people" is longest: person


@pytest.mark.parametrize(
    ("word", "tag", "base"),
    [
        ("red", "JJ", "red"),
        ("Larger", "JJR", "large"),
        ("biggest", "JJS", "big"),
        ("smaller", "JJR", "small"),
        ("happier", "JJR", "happy"),
        ("whitest", "JJS", "white"),
        ("best", "JJS", "good"),
        ("parked", "VBN", "parked"),
        ("more", "JJR", "more"),
    ],
)
def test_an_adjective_has_this_base_form(word: str, tag: str, base: str) -> None:
    assert adjective_lemma(word, tag) == base
