"""A parsed caption as plain lists, with the part-of-speech mistakes mended that captions bring on.

English models are trained on newspapers and conversation. In captions, which are mostly noun phrases, they
take some nouns for verbs and adjectives, and do so systematically; each rule here names its case.
"""

from __future__ import annotations

from typing import NamedTuple

from spacy.tokens import Doc

from pipeline.phrases.vocabulary import COLOURS, FIXED_COMPOUNDS, OFTEN_MISTAGGED, OTHER_VERBS, VERBS_OF_PLACE


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
    retagged: set[int]
    """Tokens whose tag was mended to that of a noun."""


def tokens_of(doc: Doc) -> Tokens:
    """The parts of spaCy's analysis that the rules look at.

    Args:
        doc: needs Penn Treebank tags and dependencies with ClearNLP labels, as spaCy's English models give.
    """
    rows = [(t.lower_, t.tag_, t.dep_, t.head.i, t.idx, t.idx + len(t)) for t in doc]
    if not rows:
        return Tokens([], [], [], [], [], [], set())
    lower, tags, deps, heads, starts, ends = map(list, zip(*rows, strict=True))
    tokens = Tokens(lower, tags, deps, heads, starts, ends, set())
    for i, tag in enumerate(tags):
        if tag not in _CERTAIN and _is_noun(tokens, i):
            tags[i] = "NNS" if lower[i].endswith("s") and not lower[i].endswith("ss") else "NN"
            tokens.retagged.add(i)
    return tokens


# Nouns already, and the tags of closed classes, which models get right.
_CERTAIN = frozenset(
    ("NN", "NNS", "NNP", "NNPS", "DT", "IN", "CC", "CD", "PRP", "PRP$", "TO", "MD", "WDT", "POS", ".", ",")
)


def _is_noun(tokens: Tokens, i: int) -> bool:
    """Whether a token that is not tagged as a noun is one."""
    lower, tags = tokens.lower, tokens.tags
    word, tag = lower[i], tags[i]
    before, tag_before = (lower[i - 1], tags[i - 1]) if i else ("", "")
    following, tag_after = (lower[i + 1], tags[i + 1]) if i + 1 < len(lower) else ("", "")
    if (before, word) in FIXED_COMPOUNDS:  # "a fire HYDRANT next to"
        return True
    if word in OFTEN_MISTAGGED:  # "a kitchen SINK"
        return tag_before not in _BEFORE_A_VERB
    if tag in ("VB", "VBP"):  # "a purple CROSS lies"
        return tag_before == "DT" or before in COLOURS
    if tag == "VBZ":  # "two orange KITES above"
        counted = i > 1 and tags[i - 2] == "CD" and before in COLOURS
        return counted and word not in VERBS_OF_PLACE and word not in OTHER_VERBS
    if tag != "JJ" or word in COLOURS:
        return False
    # "the KEY left of", "a cup and a brown KEY side by side"
    if (following, *lower[i + 2 : i + 3]) in (("left", "of"), ("right", "of"), ("side", "by")):
        return tag_before in ("DT", "JJ")
    # "a yellow CROSS, ...": an adjective that has an adjective and a determiner of its own.
    own = [tokens.deps[j] for j in range(i) if tokens.heads[j] == i]
    is_last = not tag_after.startswith("NN") and not tag_before.startswith("NN")
    return is_last and own[-1:] == ["amod"] and own[0] in ("det", "nummod")


_BEFORE_A_VERB = frozenset(("TO", "MD", "NNS", "NNPS", "PRP"))
