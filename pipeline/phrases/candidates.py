"""The nominal spans of a parsed caption: everything that could be a noun phrase, before anything is judged.

They are spaCy's noun chunks, mended where the English models go wrong systematically, plus what noun
chunks miss: possessors ("a MAN's hat") and nouns that the parser hangs in as adverbs or leaves over. How
many there are is what the parse stage counts as rows in.
"""

from __future__ import annotations

from typing import NamedTuple

from spacy.tokens import Doc

from pipeline.phrases.vocabulary import (
    ACTIVITIES,
    FIXED_COMPOUNDS,
    OFTEN_MISTAGGED,
    OTHER_VERBS,
    SINGULAR_DETERMINERS,
    VERBS_OF_PLACE,
)


class Tokens(NamedTuple):
    """A parsed caption as plain lists, a value a token: spaCy's objects are too slow to ask one by one."""

    lower: list[str]
    tags: list[str]
    """Penn Treebank tags."""
    deps: list[str]
    """Dependency labels (ClearNLP)."""
    heads: list[int]
    starts: list[int]
    """First character of the token in the caption."""
    ends: list[int]
    """One past its last character."""


class Candidate(NamedTuple):
    """A nominal span: tokens ``first`` to ``head``, both included; the head is its last token."""

    first: int
    head: int


def tokens_of(doc: Doc) -> Tokens:
    """The parts of spaCy's analysis that the rules look at."""
    rows = [(t.lower_, t.tag_, t.dep_, t.head.i, t.idx, t.idx + len(t)) for t in doc]
    if not rows:
        return Tokens([], [], [], [], [], [])
    lower, tags, deps, heads, starts, ends = map(list, zip(*rows, strict=True))
    _retag(lower, tags)
    return Tokens(lower, tags, deps, heads, starts, ends)


def _retag(lower: list[str], tags: list[str]) -> None:
    """Make nouns of the words that English models tag otherwise although they are nouns in captions."""
    before = ""
    for i, word in enumerate(lower):
        if not tags[i].startswith("NN") and (
            (before, word) in FIXED_COMPOUNDS  # "a fire HYDRANT next to ..."
            or (word in OFTEN_MISTAGGED and (i == 0 or tags[i - 1] not in _BEFORE_A_VERB))
        ):
            tags[i] = "NNS" if word.endswith("s") else "NN"
        before = word


_BEFORE_A_VERB = frozenset(("TO", "MD", "NNS", "NNPS", "PRP"))


def candidates(doc: Doc, tokens: Tokens) -> list[Candidate]:
    """Nominal spans in the order of the caption; they do not overlap.

    Args:
        doc: a tagged and parsed caption.
        tokens: `tokens_of` the same.
    """
    spans: list[Candidate] = []
    for chunk in doc.noun_chunks:
        first = _skip_punctuation(tokens, chunk.start, chunk.end - 1)
        if spans and first <= spans[-1].head:  # taken in by the fixed compound before
            first = spans[-1].head + 1
            if first >= chunk.end:
                continue
        spans += _split_possessors(tokens, Candidate(first, _mended_head(tokens, first, chunk.end - 1)))
    return _with_bare_nouns(tokens, spans)


def _skip_punctuation(tokens: Tokens, first: int, head: int) -> int:
    while first < head and not any(letter.isalnum() for letter in tokens.lower[first]):
        first += 1
    return first


def _mended_head(tokens: Tokens, first: int, head: int) -> int:
    """The chunk's real head where the tagger took a verb for a noun, or a noun for something else."""
    lower, tags = tokens.lower, tokens.tags
    if head > first and tags[head - 1].startswith("NN"):
        singular = lower[first] in SINGULAR_DETERMINERS
        word = lower[head]
        if word in VERBS_OF_PLACE or word in ACTIVITIES or (singular and word in OTHER_VERBS):
            return head - 1
    after = head + 1
    # "a kitchen SINK", "a fire HYDRANT": retagged, so the chunk ended before it.
    if (
        after < len(lower)
        and tags[after].startswith("NN")
        and (lower[after] in OFTEN_MISTAGGED or (lower[head], lower[after]) in FIXED_COMPOUNDS)
    ):
        return after
    return head


def _split_possessors(tokens: Tokens, span: Candidate) -> list[Candidate]:
    """``a man 's hat`` as ``a man`` and ``hat``: both are things, and no character is in two phrases."""
    pieces = []
    first = span.first
    for i in range(span.first, span.head):
        if tokens.tags[i] == "POS" and i > first and tokens.tags[i - 1].startswith("NN"):
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
        while first > 0 and not taken[first - 1] and _modifies(tokens, first - 1, first, i):
            first -= 1
        taken[first : i + 1] = [True] * (i + 1 - first)
        spans.append(Candidate(first, i))
        added = True
    return sorted(spans) if added else spans


def _modifies(tokens: Tokens, i: int, first: int, head: int) -> bool:
    return first <= tokens.heads[i] <= head and tokens.deps[i] in _LEFT_MODIFIERS


_LEFT_MODIFIERS = frozenset(("det", "amod", "compound", "nummod", "nmod", "advmod", "poss", "predet"))
