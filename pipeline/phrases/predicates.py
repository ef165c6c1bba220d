"""Adjectives that a verb ties to a noun: "the cup IS red", "a cup THAT IS red", "walls PAINTED blue"."""

from __future__ import annotations

from pipeline.phrases.tokens import Tokens
from pipeline.phrases.vocabulary import COLOURS, NO_ATTRIBUTES, SEEN_PARTICIPLES

_ADJECTIVES = frozenset(("JJ", "JJR", "JJS"))
_SUBJECTS = frozenset(("nsubj", "nsubjpass"))
_RELATIVE_PRONOUNS = frozenset(("WDT", "WP"))


def predicates(tokens: Tokens) -> list[tuple[int, int]]:
    """Pairs (adjective token, token of the noun that it describes), in order of the adjectives.

    Several subjects of one verb ("the cup and the star are red") all take the adjective.
    """
    deps, heads, lower = tokens.deps, tokens.heads, tokens.lower
    if not _PREDICATIVE.intersection(deps) and SEEN_PARTICIPLES.isdisjoint(lower):
        return []
    subject_of = {heads[i]: i for i, dep in enumerate(deps) if dep in _SUBJECTS}
    verb_of: dict[int, int] = {}
    pairs = []
    for i, dep in enumerate(deps):
        if dep in ("acomp", "oprd") or (dep in ("attr", "dobj") and _is_colour_alone(tokens, i)):
            verb_of[i] = heads[i]
        elif dep == "conj" and heads[i] in verb_of:
            verb_of[i] = verb_of[heads[i]]
        elif lower[i] in SEEN_PARTICIPLES and i in subject_of:
            verb_of[i] = i
        else:
            continue
        if _describes(tokens, i):
            pairs += [(i, noun) for noun in _subjects(tokens, verb_of[i], subject_of)]
    return pairs


_PREDICATIVE = frozenset(("acomp", "oprd", "attr", "dobj"))


def _describes(tokens: Tokens, i: int) -> bool:
    word = tokens.lower[i]
    if word in NO_ATTRIBUTES:
        return False
    return tokens.tags[i] in _ADJECTIVES or word in COLOURS or word in SEEN_PARTICIPLES


def _is_colour_alone(tokens: Tokens, i: int) -> bool:
    """Whether a word is a colour, and no fruit: "the moon is ORANGE", not "there is an ORANGE"."""
    modified = i > 0 and tokens.heads[i - 1] == i and tokens.deps[i - 1] in _MODIFIERS
    return tokens.lower[i] in COLOURS and not modified


_MODIFIERS = frozenset(("det", "nummod", "poss", "amod"))


def _subjects(tokens: Tokens, verb: int, subject_of: dict[int, int]) -> list[int]:
    seen: set[int] = set()
    while verb not in seen:  # a malformed parse must not hang the stage
        seen.add(verb)
        subject = subject_of.get(verb)
        if subject is not None and tokens.tags[subject] not in _RELATIVE_PRONOUNS:
            conjuncts = [subject]
            for i in range(subject + 1, verb):
                if tokens.deps[i] == "conj" and tokens.heads[i] in conjuncts:
                    conjuncts.append(i)
            return conjuncts
        if tokens.deps[verb] in ("relcl", "acl"):
            return [tokens.heads[verb]]
        if tokens.deps[verb] != "conj":
            return []
        verb = tokens.heads[verb]
    return []
