"""Noun phrases of a parsed caption: which nominal spans name a thing to see, and with which words.

Every candidate (see `candidates`) ends as a phrase or is left out with one of `REASONS`.

Which words a phrase has:

- ``head``: its noun; ``compound``: nouns before it, and the first half of a fixed name ("HOT dog").
- ``attribute``: adjectives and participles before it ("a STRIPED cup", "PARKED cars"), and adjectives that
  a verb ties to it ("the cup is RED", "a cup that is RED"), which lie outside the phrase's characters.
  A colour is an attribute whatever the tagger calls it. Adjectives that no patch shows ("other",
  "several", "ready") are no words.
- ``number``: numerals ("TWO dogs"), whatever their spelling.

Determiners, pronouns, adverbs and conjunctions are never words. Words joined by hyphens are one word.
"""

from __future__ import annotations

from typing import NamedTuple

from spacy.tokens import Doc

from pipeline.phrases import vocabulary as vocab
from pipeline.phrases.candidates import Candidate, candidates
from pipeline.phrases.lemmas import IRREGULAR_NOUNS, SAME_IN_PLURAL, adjective_lemma, noun_lemma
from pipeline.phrases.predicates import predicates
from pipeline.phrases.tokens import Tokens, tokens_of

REASONS = {
    "pronoun": "a pronoun names nothing by itself",
    "partitive": "the thing is the noun after its 'of'",
    "relational_noun": "it says where a thing is, and is no thing itself",
    "no_visible_thing": "it names a view, a time, an activity or a quality, which no patch shows",
    "no_head_noun": "its head is no noun",
    "caption_without_phrases": "no noun phrase in the caption names a thing to see",
}
"""Every code that the parse stage rejects with."""

_PRONOUN_TAGS = frozenset(("PRP", "PRP$", "WP", "WP$", "WDT", "DT", "EX", "PDT"))
_DETERMINER_TAGS = frozenset(("DT", "PRP$"))
_DETERMINERS_OF_DEPICTION = frozenset(("this", "the"))


class Word(NamedTuple):
    """A word of a phrase: characters ``start:end`` of the caption, lemma and role (`schemas.WORD_ROLES`)."""

    lemma: str
    role: str
    start: int
    end: int


class Phrase(NamedTuple):
    """A noun phrase: characters ``start:end`` of the caption and its words, in order of the caption."""

    start: int
    end: int
    is_plural: bool
    words: tuple[Word, ...]


class LeftOut(NamedTuple):
    """A candidate that is no phrase, characters ``start:end``, and the code of `REASONS` that says why."""

    start: int
    end: int
    reason: str


class Parsed(NamedTuple):
    """What a caption holds. ``candidates`` is counted before any is judged."""

    candidates: int
    phrases: tuple[Phrase, ...]
    left_out: tuple[LeftOut, ...]


def extract(doc: Doc) -> Parsed:
    """The noun phrases of a caption that spaCy has tagged and parsed; a pure function of the analysis.

    A doc without universal parts of speech is given those of its nouns and pronouns.

    Args:
        doc: needs Penn Treebank tags and dependencies with ClearNLP labels, as spaCy's English models give.

    Returns:
        phrases and what was left out, each in order of the caption; spans do not overlap.
    """
    tokens = tokens_of(doc)
    spans = candidates(doc, tokens)
    things, thing_of, many = _resolve_partitives(tokens, spans)
    said = predicates(tokens)
    if said:
        inside = {i for first, head in spans if first < head for i in range(first, head + 1)}
        said = [pair for pair in said if pair[0] not in inside]
    attributes: dict[int, list[int]] = {}
    for adjective, subject in said:
        attributes.setdefault(thing_of.get(subject, subject), []).append(adjective)
    predicate_tokens = {adjective for adjective, _ in said}

    phrases, left_out = [], []
    seen_noun = False
    for span, is_thing in zip(spans, things, strict=True):
        first, head = span
        if not is_thing:
            reason: str | None = "partitive"
        elif first == head and head in predicate_tokens:
            reason = "no_head_noun"  # "the moon is ORANGE", tagged as a noun
        else:
            reason = _why_not(tokens, span, seen_noun)
        if reason:
            left_out.append(LeftOut(tokens.starts[first], tokens.ends[head], reason))
        else:
            phrases.append(_phrase(tokens, span, attributes.get(head, ()), head in many))
        seen_noun = seen_noun or reason in (None, "partitive")
    return Parsed(len(spans), tuple(phrases), tuple(left_out))


def _is_plural_noun(tokens: Tokens, i: int) -> bool:
    word = tokens.lower[i]
    return word in IRREGULAR_NOUNS or (tokens.tags[i] in ("NNS", "NNPS") and word not in vocab.UNCOUNTED)


def _lemma(tokens: Tokens, i: int) -> str:
    return noun_lemma(tokens.lower[i], _is_plural_noun(tokens, i))


def _resolve_partitives(
    tokens: Tokens, spans: list[Candidate]
) -> tuple[list[bool], dict[int, int], set[int]]:
    """Follow "a group OF people" to the thing.

    Returns:
        for each span whether it is the thing itself; for each partitive's head token the thing's head token;
        the head tokens of things that a partitive makes many.
    """
    things = [True] * len(spans)
    thing_of: dict[int, int] = {}
    many: set[int] = set()
    # From the right, so that "a couple of slices of pizza" finds the pizza.
    for k in range(len(spans) - 2, -1, -1):
        head = spans[k].head
        if spans[k + 1].first != head + 2 or tokens.lower[head + 1] != "of":
            continue
        lemma = _lemma(tokens, head)
        if lemma not in vocab.PARTITIVES:
            continue
        bare = tokens.tags[spans[k + 1].first] not in _DETERMINER_TAGS
        if lemma in vocab.PARTITIVES_OF_THE_UNCOUNTED and not bare:
            continue
        things[k] = False
        following = spans[k + 1].head
        thing_of[head] = thing_of.get(following, following)
        # "Two slices of pizza" are many; "other parts of the house" are one house.
        if lemma in vocab.PARTITIVES_OF_MANY or (bare and _is_plural_noun(tokens, head)):
            many.add(thing_of[head])
    return things, thing_of, many


def _why_not(tokens: Tokens, span: Candidate, seen_noun: bool) -> str | None:
    """The reason to leave a candidate out, or None for a phrase."""
    first, head = span
    lower, tag = tokens.lower, tokens.tags[head]
    word = lower[head]
    if tag in _PRONOUN_TAGS or word in vocab.PRONOUNS:
        return "pronoun"
    if not tag.startswith("NN") or not any(letter.isalpha() for letter in word):
        return "no_head_noun"
    if first == head and word in vocab.VERBS_OF_PLACE and tokens.deps[head] != "pobj":
        return "no_head_noun"  # a verb that was taken for a noun
    if head > first and (lower[head - 1], word) in vocab.FIXED_COMPOUNDS:
        return None
    lemma = _lemma(tokens, head)
    following = lower[head + 1] if head + 1 < len(lower) else ""
    if lemma in vocab.RELATIONAL and _is_relational(tokens, span, lemma, following):
        return "relational_noun"
    if (
        lemma in vocab.INVISIBLE
        or (lemma in vocab.INVISIBLE_WHEN_BARE and _is_bare(tokens, span))
        or (lemma in vocab.INVISIBLE_WHEN_ALONE and first == head and not _is_plural_noun(tokens, head))
    ):
        return "no_visible_thing"
    if lemma in vocab.DEPICTIONS and not seen_noun:
        before = lower[first - 1] if first else ""
        if following in vocab.AFTER_DEPICTION or (
            lower[first] in _DETERMINERS_OF_DEPICTION and before in ("", "in")
        ):
            return "no_visible_thing"
    return None


def _is_relational(tokens: Tokens, span: Candidate, lemma: str, following: str) -> bool:
    # "on top", "the top of" say where; "in a top" names a thing.
    if lemma in vocab.THING_WHEN_BARE and following != "of" and tokens.lower[span.first] in ("a", "an"):
        return False
    return _is_bare(tokens, span)


def _is_bare(tokens: Tokens, span: Candidate) -> bool:
    """Whether nothing but determiners and words of place stands before the head."""
    return all(
        tokens.tags[i] in _EMPTY_TAGS or tokens.lower[i] in vocab.SPATIAL
        for i in range(span.first, span.head)
    )


_EMPTY_TAGS = frozenset(("DT", "PRP$", "HYPH", "CC", "RB", "PDT"))


def _phrase(tokens: Tokens, span: Candidate, predicated: list[int] | tuple, is_many: bool) -> Phrase:
    first, head = span
    words: list[Word] = []
    many = is_many or _is_plural_noun(tokens, head) or _lemma(tokens, head) in vocab.CROWDS
    for start, end in _joined(tokens, first, head):
        role = "head" if end == head else _role(tokens, end, head)
        if role is None:
            continue
        words.append(_word(tokens, start, end, role))
        many = many or (role == "number" and _value(tokens.lower[end]) != 1)
    outside = [i for i in predicated if not first <= i <= head]
    if outside:
        words += [_word(tokens, i, i, "attribute") for i in outside]
        words.sort(key=lambda word: word.start)
    many = many or any(tokens.lower[i] in vocab.VAGUE_NUMBERS for i in range(first, head))
    many = many or (_lemma(tokens, head) in SAME_IN_PLURAL and _agrees_with_plural(tokens, span))
    return Phrase(tokens.starts[first], tokens.ends[head], many, tuple(words))


def _agrees_with_plural(tokens: Tokens, span: Candidate) -> bool:
    """Whether the noun alone is the subject of a plural verb: "the fish ARE green"."""
    first, head = span
    verb = tokens.heads[head]
    return (
        tokens.deps[head] in ("nsubj", "nsubjpass")
        and (tokens.tags[verb] == "VBP" or tokens.lower[verb] == "were")
        and tokens.lower[first] not in vocab.SINGULAR_DETERMINERS
        and not any(
            dep == "conj" and above == head for dep, above in zip(tokens.deps, tokens.heads, strict=True)
        )
    )


def _joined(tokens: Tokens, first: int, head: int) -> list[tuple[int, int]]:
    """Tokens first..head as words: runs that hyphens join ("t-shirt") are one."""
    words: list[tuple[int, int]] = []
    for i in range(first, head + 1):
        hyphen = "-" in (tokens.lower[i], tokens.lower[i - 1] if i else "")
        if words and hyphen and tokens.starts[i] == tokens.ends[i - 1]:
            words[-1] = (words[-1][0], i)
        else:
            words.append((i, i))
    return words


def _role(tokens: Tokens, i: int, head: int) -> str | None:
    """The role of a word before the head; None for words that carry no meaning of their own."""
    word, tag = tokens.lower[i], tokens.tags[i]
    if tag == "CD" or word in vocab.NUMBERS:
        return "number"
    if (word, tokens.lower[i + 1]) in vocab.FIXED_COMPOUNDS:
        return "compound"
    if word in vocab.SIZES:
        return "attribute"
    if word in vocab.COLOURS:
        return "compound" if _lemma(tokens, head) in vocab.OF_FRUIT and i == head - 1 else "attribute"
    if tag.startswith("NN"):
        return "compound"
    if tag in ("JJ", "JJR", "JJS", "VBN", "VBG", "VBD", "AFX") and word not in vocab.NO_ATTRIBUTES:
        return "attribute"
    return None


def _word(tokens: Tokens, first: int, last: int, role: str) -> Word:
    text = "".join(tokens.lower[first : last + 1])
    if role in ("head", "compound"):
        lemma = noun_lemma(text, _is_plural_noun(tokens, last))
    elif role == "attribute":
        lemma = adjective_lemma(text, tokens.tags[last])
    else:
        lemma = text
    return Word(lemma, role, tokens.starts[first], tokens.ends[last])


def _value(word: str) -> int | None:
    return vocab.NUMBERS.get(word, int(word) if word.isdecimal() else None)
