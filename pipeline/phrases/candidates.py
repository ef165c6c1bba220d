"""The nominal spans of a parsed caption: everything that could be a noun phrase, before anything is judged.

They are spaCy's noun chunks, mended where the English models go wrong systematically, plus what noun
chunks miss: possessors ("a MAN's hat") and nouns that the parser hangs in as adverbs or leaves over. How
many there are is what the parse stage counts as rows in.
"""

from __future__ import annotations

from typing import NamedTuple

from spacy.tokens import Doc

from pipeline.phrases.tokens import Tokens
from pipeline.phrases.vocabulary import (
    ACTIVITIES,
    COLOURS,
    FIXED_COMPOUNDS,
    OTHER_VERBS,
    SEEN_PARTICIPLES,
    SINGULAR_DETERMINERS,
    STEMS_OF_PLACE,
    VERBS_OF_PLACE,
)


class Candidate(NamedTuple):
    """A nominal span: tokens ``first`` to ``head``, both included; the head is its last token."""

    first: int
    head: int


def candidates(doc: Doc, tokens: Tokens) -> list[Candidate]:
    """Nominal spans in the order of the caption; they do not overlap.

    Args:
        doc: a tagged and parsed caption.
        tokens: `tokens_of` the same.
    """
    _set_parts_of_speech(doc)
    spans: list[Candidate] = []
    for chunk in doc.noun_chunks:
        taken = spans[-1].head + 1 if spans else 0
        if chunk.end <= taken:  # taken in by the chunk before, whose head was mended
            continue
        first = _mended_first(tokens, max(chunk.start, taken), chunk.end - 1, taken)
        spans += _split(tokens, Candidate(first, _mended_head(tokens, first, chunk.end - 1)))
    return _with_bare_nouns(tokens, spans)


def _set_parts_of_speech(doc: Doc) -> None:
    """Give the nouns and pronouns their universal part of speech, which spaCy's noun chunks ask for."""
    if doc.has_annotation("POS"):
        return
    for token in doc:
        part = _PARTS_OF_SPEECH.get(token.tag_)
        if part:
            token.pos_ = part


# "This" and "another" count as pronouns, since as determiners they head no chunk.
_PARTS_OF_SPEECH = {
    **dict.fromkeys(("NN", "NNS"), "NOUN"),
    **dict.fromkeys(("NNP", "NNPS"), "PROPN"),
    **dict.fromkeys(("PRP", "WP", "WDT", "DT", "EX"), "PRON"),
}


def _mended_first(tokens: Tokens, first: int, head: int, taken: int) -> int:
    """The chunk's first word; none before token ``taken`` is free."""
    while first < head and not any(letter.isalnum() for letter in tokens.lower[first]):
        first += 1
    # "two CHECKED white cups", where the pattern is taken for a verb.
    if first > taken and tokens.lower[first - 1] in SEEN_PARTICIPLES and tokens.tags[first] != "DT":
        first -= 1
        while first > taken and tokens.tags[first] != "DT" and tokens.tags[first - 1] in _NOUN_MODIFIERS:
            first -= 1
    return first


_NOUN_MODIFIERS = frozenset(("DT", "JJ", "CD"))


def _mended_head(tokens: Tokens, first: int, head: int) -> int:
    """The chunk's real head where the tagger took another word for the noun, or the noun for another word.

    A word that is no noun after all loses its tag, so that it does not come up as a noun of its own.
    """
    lower, tags = tokens.lower, tokens.tags
    if head > first and tags[head - 1].startswith("NN"):
        word = lower[head]
        following = lower[head + 1] if head + 1 < len(lower) else ""
        if (
            word in VERBS_OF_PLACE  # "a cup STANDS left of"
            or (word in STEMS_OF_PLACE and tags[head - 1] in ("NNS", "NNPS"))  # "two cups LIE left of"
            or word in ACTIVITIES  # "a giraffe STANDING"
            or (word in OTHER_VERBS and lower[first] in SINGULAR_DETERMINERS)  # "a sheep GRAZES"
            or (word in ("left", "right") and following == "of")  # "a lamp RIGHT of"
            or (word == "side" and following == "by")  # "a cup and a lamp SIDE by side"
        ):
            tags[head] = "RB"
            return head - 1
    while head + 1 < len(lower) and _continues(tokens, head):
        head += 1
    return head


def _continues(tokens: Tokens, head: int) -> bool:
    """Whether the noun after a chunk's head belongs to the chunk."""
    lower, after = tokens.lower, head + 1
    return after in tokens.retagged or (
        tokens.tags[after].startswith("NN")
        and ((lower[head], lower[after]) in FIXED_COMPOUNDS or lower[head] in COLOURS)
    )


def _split(tokens: Tokens, span: Candidate) -> list[Candidate]:
    """A chunk that holds several noun phrases, cut so that no character is in two.

    ``a man 's hat`` is ``a man`` and ``hat``; ``a cup and two keys``, which the parser sometimes takes for
    one, is two.
    """
    pieces = []
    first = span.first
    for i in range(span.first + 1, span.head):
        tag = tokens.tags[i]
        if not tokens.tags[i - 1].startswith("NN"):
            continue
        if tag == "POS" or (tag in ("CC", ",") and tokens.tags[i + 1] in ("DT", "CD", "PRP$")):
            pieces.append(Candidate(first, i - 1))
            first = i + 1
    return [*pieces, Candidate(first, span.head)]


def _with_bare_nouns(tokens: Tokens, spans: list[Candidate]) -> list[Candidate]:
    """Add the nouns that no span covers, each with the modifiers right before it."""
    taken = [False] * len(tokens.lower)
    for first, head in spans:
        taken[first : head + 1] = [True] * (head + 1 - first)
    added = False
    # From the right, so that a head comes before the compound words that it takes along.
    for i in range(len(taken) - 1, -1, -1):
        if taken[i] or not tokens.tags[i].startswith("NN"):
            continue
        first = i
        while first > 0 and not taken[first - 1] and _modifies(tokens, first - 1, first):
            first -= 1
        taken[first : i + 1] = [True] * (i + 1 - first)
        spans.append(Candidate(first, i))
        added = True
    return sorted(spans) if added else spans


def _modifies(tokens: Tokens, i: int, first: int) -> bool:
    return tokens.heads[i] >= first and tokens.deps[i] in _LEFT_MODIFIERS


_LEFT_MODIFIERS = frozenset(("det", "amod", "compound", "nummod", "nmod", "advmod", "poss", "predet"))
