"""Which phrases a caption holds: sentences worked by hand, and what holds of any text."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.params import ParseParams
from pipeline.phrases.block import parse
from pipeline.phrases.candidates import candidates
from pipeline.phrases.extract import REASONS, Parsed
from pipeline.phrases.nlp import docs
from pipeline.phrases.tokens import tokens_of
from pipeline.tables.schemas import WORD_ROLES

PARAMS = ParseParams(model="en_core_web_sm", batch_size=64, processes=1)

# Caption: its phrases as "text = role:lemma ...", with + for plural and * for words outside the phrase;
# after the bar, what is left out and why.
WORKED = {
    # word roles, numbers, plurals
    "A red cup": "A red cup = attribute:red head:cup",
    "two dogs": "two dogs+ = number:two head:dog",
    "one dog and 3 cats": "one dog = number:one head:dog; 3 cats+ = number:3 head:cat",
    "Several people with knives": "Several people+ = head:person; knives+ = head:knife",
    "two sheep in a field": "two sheep+ = number:two head:sheep; a field = head:field",
    "The fish are green.": "The fish+ = head:fish attribute:green*",
    "a very large striped kite": "a very large striped kite = attribute:large attribute:striped head:kite",
    "the other cups": "the other cups+ = head:cup",
    "a bigger dog": "a bigger dog = attribute:big head:dog",
    # compounds
    "a yellow fire hydrant": "a yellow fire hydrant = attribute:yellow compound:fire head:hydrant",
    "a fire hydrant next to a stop sign": (
        "a fire hydrant = compound:fire head:hydrant; a stop sign = compound:stop head:sign"
    ),
    "two brown teddy bears": "two brown teddy bears+ = number:two attribute:brown compound:teddy head:bear",
    "a man eating a hot dog": "a man = head:man; a hot dog = compound:hot head:dog",
    "A kitchen sink and stove": "A kitchen sink = compound:kitchen head:sink; stove = head:stove",
    "a boy in a white t-shirt": "a boy = head:boy; a white t-shirt = attribute:white head:t-shirt",
    "a light-blue double-decker bus": (
        "a light-blue double-decker bus = attribute:light-blue compound:double-decker head:bus"
    ),
    # colours, and fruit that is called like one
    "an orange fish": "an orange fish = attribute:orange head:fish",
    "There is an orange on the table.": "an orange = head:orange; the table = head:table",
    "A glass of orange juice": "A glass = head:glass; orange juice = compound:orange head:juice",
    # predicate adjectives
    "The cup is red.": "The cup = head:cup attribute:red*",
    "The hat below the lamp is white and striped.": (
        "The hat = head:hat attribute:white* attribute:striped*; the lamp = head:lamp"
    ),
    "The moon is orange.": "The moon = head:moon attribute:orange*",
    "The cup and the star are red.": "The cup = head:cup attribute:red*; the star = head:star attribute:red*",
    "a boat that is blue": "a boat = head:boat attribute:blue* | that: pronoun",
    # coordination
    "a red and blue kite": "a red and blue kite = attribute:red attribute:blue head:kite",
    "red and blue kites": "red and blue kites+ = attribute:red attribute:blue head:kite",
    "cats and dogs": "cats+ = head:cat; dogs+ = head:dog",
    "A dotted orange key and two brown keys.": (
        "A dotted orange key = attribute:dotted attribute:orange head:key;"
        " two brown keys+ = number:two attribute:brown head:key"
    ),
    # possessors
    "a man's hat": "a man = head:man; hat = head:hat",
    # partitives
    "a group of people": "people+ = head:person | a group: partitive",
    "a herd of brown cattle": "brown cattle+ = attribute:brown head:cattle | a herd: partitive",
    "A bunch of bananas": "bananas+ = head:banana | A bunch: partitive",
    "a lot of buses": "buses+ = head:bus | a lot: partitive",
    "a slice of pizza": "pizza = head:pizza | a slice: partitive",
    "two slices of pizza": "pizza+ = head:pizza | two slices: partitive",
    "a pair of skis": "skis+ = head:ski | a pair: partitive",
    "a couple of slices of cake": "cake+ = head:cake | a couple: partitive; slices: partitive",
    "a glass of water": "a glass = head:glass; water = head:water",
    "a family at a table": "a family+ = head:family; a table = head:table",
    # where, not what
    "a cat on top of a car": "a cat = head:cat; a car = head:car | top: relational_noun",
    "a dog in front of the house": "a dog = head:dog; the house = head:house | front: relational_noun",
    "a sign on the side of a bus": "a sign = head:sign; a bus = head:bus | the side: relational_noun",
    "a woman in a black top": "a woman = head:woman; a black top = attribute:black head:top",
    "A red cup stands left of a blue star, with a small green kite above them.": (
        "A red cup = attribute:red head:cup; a blue star = attribute:blue head:star;"
        " a small green kite = attribute:small attribute:green head:kite | them: pronoun"
    ),
    "A key right of a dotted purple key.": (
        "A key = head:key; a dotted purple key = attribute:dotted attribute:purple head:key"
    ),
    # no thing to see
    "a dog looks at it": "a dog = head:dog | it: pronoun",
    "a photo of a cat": "a cat = head:cat | a photo: no_visible_thing",
    "A wall with a picture": "A wall = head:wall; a picture = head:picture",
    "a view of a beach on a sunny day": (
        "a beach = head:beach | a view: no_visible_thing; a sunny day: no_visible_thing"
    ),
    "men playing baseball": "men+ = head:man | baseball: no_visible_thing",
    "a glove and a baseball": "a glove = head:glove; a baseball = head:baseball",
    # tagged as nouns without being any
    "A shaggy white sheep grazes in a field.": (
        "A shaggy white sheep = attribute:shaggy attribute:white head:sheep; a field = head:field"
    ),
    # capitals
    "SEVERAL PEOPLE NEAR A PARKING METER": (
        "SEVERAL PEOPLE+ = head:person; A PARKING METER = compound:parking head:meter"
    ),
}


def one(caption: str) -> Parsed:
    return parse([caption], PARAMS)[0]


def described(caption: str) -> str:
    parsed = one(caption)
    phrases = []
    for phrase in parsed.phrases:
        words = [
            f"{word.role}:{word.lemma}" + "*" * (not phrase.start <= word.start < phrase.end)
            for word in phrase.words
        ]
        text = caption[phrase.start : phrase.end]
        phrases.append(f"{text}{'+' * phrase.is_plural} = {' '.join(words)}")
    left = [f"{caption[start:end]}: {reason}" for start, end, reason in parsed.left_out]
    return "; ".join(phrases) + (" | " + "; ".join(left) if left else "")


@pytest.mark.parametrize("caption", WORKED)
def test_a_sentence_worked_by_hand_gives_these_phrases(caption: str) -> None:
    assert described(caption) == WORKED[caption]


def test_offsets_count_characters_of_the_caption() -> None:
    (phrase,) = one("🙂 The  cup is red.").phrases
    assert (phrase.start, phrase.end) == (2, 10)
    assert [(word.start, word.end) for word in phrase.words] == [(7, 10), (14, 17)]


def test_a_hyphenated_word_is_one_word_of_the_phrase() -> None:
    (phrase,) = one("a black T-shirt").phrases
    assert [(word.lemma, word.start, word.end) for word in phrase.words] == [
        ("black", 2, 7),
        ("t-shirt", 8, 15),
    ]


def test_plain_captions_have_as_many_candidates_as_spacy_has_noun_chunks() -> None:
    captions = [
        "A red cup stands left of a blue star.",
        "a group of people on top of a hill",
        "cats and dogs",
        "it is a photo of a fish",
    ]
    for caption, doc in zip(captions, docs(captions, PARAMS), strict=True):
        candidates(doc, tokens_of(doc))  # sets the parts of speech that noun chunks ask for
        assert one(caption).candidates == len(list(doc.noun_chunks))


def check(caption: str, parsed: Parsed) -> None:
    """What holds of every caption."""
    assert parsed.candidates == len(parsed.phrases) + len(parsed.left_out)
    spans = sorted([phrase[:2] for phrase in parsed.phrases] + [left[:2] for left in parsed.left_out])
    assert all(0 <= start < end <= len(caption) for start, end in spans)
    assert all(end <= start for (_, end), (start, _) in pairwise(spans))
    assert all(left.reason in REASONS for left in parsed.left_out)
    assert list(parsed.phrases) == sorted(parsed.phrases)
    for phrase in parsed.phrases:
        heads = [word for word in phrase.words if word.role == "head"]
        assert len(heads) == 1 and heads[0].end == phrase.end
        assert list(phrase.words) == sorted(phrase.words, key=lambda word: word.start)
        for word in phrase.words:
            assert word.role in WORD_ROLES
            text = caption[word.start : word.end]
            assert text and text == text.strip()
            assert word.lemma == word.lemma.lower()
            if word.role == "number":
                assert word.lemma == text.lower()
            if word.role != "attribute":
                assert phrase.start <= word.start


@settings(max_examples=80, deadline=None)
@given(st.text(max_size=60))
def test_any_text_ends_in_phrases_and_rejects(text: str) -> None:
    check(text, one(text))


SPOKEN = (
    "a the two red orange striped large cup fish people group of top side left right is are and , . 's dog"
    " picture it that stands sink teddy bear on with - slices 7 🙂"
)
WORDS = [*SPOKEN.split(), "", "\n", "\x00"]


@settings(max_examples=120, deadline=None)
@given(st.lists(st.sampled_from(WORDS), max_size=14))
def test_jumbled_captions_end_in_phrases_and_rejects(words: list[str]) -> None:
    caption = " ".join(words)
    check(caption, one(caption))
