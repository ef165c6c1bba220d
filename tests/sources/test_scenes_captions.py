"""Captions of scenes: spans, completeness, truth, variety.

The checks read the finished text against the objects table; none of them uses the code that wrote it.
"""

import re
from itertools import pairwise
from random import Random

import pytest
from scenes_world import SIDES, Row, described, rows, side_of, singular

from pipeline.sources.scenes import COLOURS, NOUNS
from pipeline.sources.scenes.captions import caption
from pipeline.sources.scenes.continuations import CONTINUATIONS
from pipeline.sources.scenes.language import article, listed, number, plural, render
from pipeline.sources.scenes.openings import OPENINGS
from pipeline.sources.scenes.relations import Places
from pipeline.sources.scenes.world import Scene, Thing

COUNTS = {"a": 1, "an": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6}


def spans(row: Row, caption_id: str) -> list[tuple[int, int, list[int]]]:
    """(start, end, objects) of the phrases that name objects, from the links of the objects table."""
    held: dict[tuple[int, int], list[int]] = {}
    for index, thing in enumerate(row.objects):
        for span in thing["phrase"]:
            if span["caption_id"] == caption_id:
                held.setdefault((span["start"], span["end"]), []).append(index)
    return [(start, end, members) for (start, end), members in sorted(held.items())]


EVERY = pytest.mark.parametrize("rich", [False, True])


@EVERY
def test_a_span_is_an_article_or_number_with_true_attributes_and_the_noun(rich):
    for row in rows(rich):
        for held in row.captions:
            for start, end, members in spans(row, held["caption_id"]):
                first, *attributes, noun = held["text"][start:end].lower().split()
                assert first == "the" or COUNTS[first] == len(members)
                for member in members:
                    thing = row.objects[member]
                    assert singular(noun) == thing["label"]
                    assert set(attributes) <= set(thing["attributes"])
                if len(members) > 1:
                    assert noun == plural(singular(noun))


@EVERY
def test_the_definite_article_stands_only_where_all_that_fit_are_meant(rich):
    for row in rows(rich):
        for held in row.captions:
            for start, end, members in spans(row, held["caption_id"]):
                first, *words = held["text"][start:end].lower().split()
                if first == "the":
                    assert described(row, words) == members


@EVERY
def test_every_caption_names_every_object(rich):
    for row in rows(rich):
        for held in row.captions:
            named = {member for _, _, members in spans(row, held["caption_id"]) for member in members}
            assert named == set(range(len(row.objects)))


@EVERY
def test_nouns_appear_in_phrases_and_nowhere_else(rich):
    words = {*NOUNS, *map(plural, NOUNS)}
    for row in rows(rich):
        for held in row.captions:
            text = held["text"]
            for start, end, _ in reversed(spans(row, held["caption_id"])):
                text = text[:start] + text[end:]
            assert not words & set(re.findall("[a-z]+", text.lower()))


BETWEEN = re.compile(
    r" (?:(?:is|are|stands?|sits?|lies?) )?(?:to the )?(left of|right of|above|below|under) "
)
BEFORE = re.compile(r"(?:^|\. )(?:To the )?(left of|right of|above|below|under) $", re.IGNORECASE)
PREDICATE = re.compile(r" (?:is|are)(?: both)? ([a-z]+)(?=[., ])")


def test_relations_and_predicates_are_true():
    checked = {"between": 0, "before": 0, "predicate": 0}
    for row in rows(True) + rows(False):
        for held in row.captions:
            text, found = held["text"], spans(row, held["caption_id"])
            for (s1, e1, a), (s2, _, b) in pairwise(found):
                middle = text[e1:s2]
                if match := BETWEEN.fullmatch(middle):
                    relation, subject, anchor = match[1], a, b
                    checked["between"] += 1
                elif (match := BEFORE.search(text[:s1])) and middle in (" is ", " are "):
                    relation, subject, anchor = match[1].lower(), b, a
                    checked["before"] += 1
                else:
                    continue
                assert relation in SIDES
                assert all(side_of(row, relation, i, j) >= 0.14 for i in subject for j in anchor)
            for place, (start, end, members) in enumerate(found):
                match = PREDICATE.match(text[end:])
                if match and match[1] in COLOURS:
                    # In "the kite above the star is green" it is the kite that is green.
                    related = re.search(r"(of|above|below|under|to|beside|behind) $", text[:start])
                    subject = found[place - 1][2] if related else members
                    assert all(match[1] == row.objects[m]["attributes"][0] for m in subject)
                    checked["predicate"] += 1
    assert min(checked.values()) > 50, checked


def test_captions_are_sentences_and_mostly_of_their_own():
    texts = [held["text"] for row in rows() for held in row.captions]
    assert all(re.fullmatch(r"[A-Z][a-z ,:]*\.( [A-Z][a-z ,:]*\.)*", text) for text in texts)
    assert len(set(texts)) > 0.97 * len(texts)
    assert all(len({held["text"] for held in row.captions}) == 2 for row in rows())


def test_every_construction_gets_used():
    texts = " ".join(held["text"] for row in rows() for held in row.captions).lower()
    for sign in (
        "From left to right", "From top to bottom", "On the left ", "side by side", "between", "both",
        "There are", "There is", "also", "picture", "We see", "things:", "in front of", "behind", " with ",
        "above them", "below it", "background is", "against a", "next to", "beside",
    ):  # fmt: skip
        assert sign.lower() in texts, f"no caption says {sign!r}"
    assert len(OPENINGS) + len(CONTINUATIONS) >= 12


def a_thing(noun: str, colour: str) -> Thing:
    return Thing(noun, colour, "plain", "", 20.0, 1.0, 0.0)


def test_like_things_share_one_plural_phrase():
    scene = Scene(
        side=100,
        things=(a_thing("cup", "red"), a_thing("cup", "red")),
        boxes=((0, 0, 20, 20), (70, 70, 90, 90)),
        masks=({}, {}),
        hides=frozenset(),
        background="grey",
        png=b"",
    )
    for seed in range(30):
        text, found = caption(scene, Places(scene), Random(seed))
        assert "cups" in text
        assert [(text[start:end].lower(), members) for start, end, members in found] in (
            [("two red cups", (0, 1))],
            [("two cups", (0, 1))],
            [("the cups", (0, 1))],
        )


def test_sentences_are_joined_with_their_spans():
    text, found = render([["there is ", ("a red cup", (0,))], [("two stars", (1, 2)), " are above it"]])
    assert text == "There is a red cup. Two stars are above it."
    assert found == [(9, 18, (0,)), (20, 29, (1, 2))]
    assert [text[start:end] for start, end, _ in found] == ["a red cup", "Two stars"]


def test_wording():
    assert [article(word) for word in ("red", "orange", "arrow", "house")] == ["a", "an", "an", "a"]
    assert [plural(noun) for noun in ("cup", "fish", "leaf", "cross")] == [
        "cups",
        "fish",
        "leaves",
        "crosses",
    ]
    assert [number(count) for count in (0, 2, 10, 11)] == ["zero", "two", "ten", "11"]
    assert "".join(map(str, listed([["a"]]))) == "a"
    assert "".join(map(str, listed([["a"], ["b"]]))) == "a and b"
    assert "".join(map(str, listed([["a"], ["b"], ["c"]]))) == "a, b and c"


def test_the_vocabulary_stays_small():
    words = set()
    for row in rows(rich=True):
        texts = [held["text"] for held in row.captions]
        texts += [turn["text"] for held in row.conversations for turn in held["turns"]]
        words |= set(re.findall("[a-z]+", " ".join(texts).lower()))
    assert len(words) < 250
