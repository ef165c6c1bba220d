"""Which categories people's words name."""

from __future__ import annotations

import pytest

from pipeline.grounding.naming import Vocabulary
from pipeline.tables import synonyms

COCO = Vocabulary(synonyms.CATEGORIES)


def named(text: str, surface: str | None = None) -> list[tuple[str, ...]]:
    """What a phrase names; ``surface`` is its head as written, the lemma if not given."""
    words = tuple(text.split())
    found = COCO.name(words, surface or words[-1])
    return list(found.alternatives) if found else []


@pytest.mark.parametrize(
    ("words", "category"),
    [
        ("dog", "dog"), ("hot dog", "hot dog"), ("big brown dog", "dog"), ("large hot dog", "hot dog"),
        ("man", "person"), ("lady", "person"), ("boy", "person"), ("crowd", "person"), ("people", "person"),
        ("tennis player", "person"), ("skier", "person"), ("police officer", "person"),
        ("plane", "airplane"), ("jumbo jet", "airplane"), ("puppy", "dog"), ("kitten", "cat"),
        ("couch", "couch"), ("sofa", "couch"), ("red fire hydrant", "fire hydrant"),
        ("traffic light", "traffic light"), ("teddy bear", "teddy bear"), ("polar bear", "bear"),
        ("dining table", "dining table"), ("wooden table", "dining table"), ("phone", "cell phone"),
        ("television", "tv"), ("computer monitor", "tv"), ("stop sign", "stop sign"),
        ("hydrant", "fire hydrant"), ("fridge", "refrigerator"),
        ("train car", "train"), ("police car", "car"), ("tennis ball", "sports ball"), ("orange", "orange"),
        ("baseball bat", "baseball bat"), ("remote control", "remote"), ("double decker bus", "bus"),
        ("stuffed sheep", "teddy bear"), ("wine glass", "wine glass"), ("dirt bike", "motorcycle"),
    ],
)  # fmt: skip
def test_words_name_categories(words, category):
    assert named(words)[0] == (category,)


@pytest.mark.parametrize(
    "words",
    [
        "sky", "sign", "street sign", "street light", "plate", "bus stop", "train station", "hot dog bun",
        "tennis court", "clock tower", "cutting board", "mouse pad", "toilet paper", "mp3 player",
        "water ski", "background", "top", "desk", "thing",
    ],
)  # fmt: skip
def test_other_words_name_none(words):
    assert named(words) == []


def test_categories_that_are_plurals_are_found_as_written():
    assert named("ski", "skis") == [("skis",)] and named("scissor", "scissors") == [("scissors",)]


def test_glasses_are_worn_unless_the_wine_is_named():
    assert named("glass") == [("wine glass",), ("cup",)]
    assert named("glass", "glasses") == []
    assert named("wine glass", "glasses") == [("wine glass",)]


def test_words_for_several_categories_take_all_or_the_likelier_first():
    assert named("fruit") == [("banana", "apple", "orange")]
    assert named("bike") == [("bicycle",), ("motorcycle",)]
    assert named("bear") == [("bear",), ("teddy bear",)]


def test_the_datasets_own_labels_come_first():
    own = Vocabulary(["Sign", "fire_hydrant", "bag", "cutting board"])
    assert own.name(("red", "sign"), "sign").alternatives == (("Sign",),)
    assert own.name(("fire", "hydrant"), "hydrant").alternatives[0] == ("fire_hydrant",)
    assert own.name(("bag",), "bag").alternatives[0] == ("bag",)
    assert own.name(("cutting", "board"), "board").alternatives == (("cutting board",),)


def test_the_words_that_name_are_told():
    assert COCO.name(("big", "hot", "dog"), "dog").words == ("hot", "dog")


def test_the_lists_are_consistent():
    words = synonyms.by_word()
    assert len(synonyms.CATEGORIES) == 80
    for alternatives in words.values():
        assert all(name in synonyms.CATEGORIES for names in alternatives for name in names)
    for word in words:
        assert word == " ".join(word.lower().split()), word
    ends = {word: [" ".join(word.split()[i:]) for i in range(1, len(word.split()))] for word in words}
    for category, listed in synonyms.CATEGORIES.items():
        for word in filter(None, map(str.strip, listed.split(","))):
            # Needless entries hide the ones that matter; contradictory ones are mistakes.
            assert not any(words.get(end) == ((category,),) for end in ends[word]), word
            assert word in synonyms.PREFERRED or words[word] == ((category,),), word
    for other in synonyms.OTHER_THINGS:
        assert any(" ".join(other.split()[i:]) in words for i in range(1, len(other.split()))), other
    assert words.keys() >= synonyms.COLLECTIVE
