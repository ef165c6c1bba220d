"""Object hallucination: CHAIR (Rohrbach et al., "Object Hallucination in Image Captioning", 2018).

An object that a caption mentions is hallucinated if the image has none of its kind: neither among the
dataset's objects nor in the captions that people wrote of it. CHAIRi is the share of mentions that are
hallucinated, CHAIRs the share of captions with such a mention.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.evaluation.naming import plurals
from pipeline.tables import synonyms

_TOKENS = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True)
class Kinds:
    """The words that name the dataset's kinds of objects; make it with `kinds_of`."""

    words: dict[tuple[str, ...], frozenset[str]]
    """Words in a row -> the kinds that they may stand for; none for a compound that is no such thing."""
    longest: int
    """Words in the longest of them."""

    def mentions(self, caption: str) -> list[frozenset[str]]:
        """What a caption mentions, in order, the longest compound first: "hot dog" is no dog."""
        tokens, found, at = _TOKENS.findall(caption.lower()), [], 0
        while at < len(tokens):
            for length in range(min(self.longest, len(tokens) - at), 0, -1):
                kinds = self.words.get(tuple(tokens[at : at + length]))
                if kinds is not None:
                    found += [kinds] if kinds else []
                    break
            at += length
        return found


def kinds_of(labels: Collection[str]) -> Kinds:
    """The kinds that labels name, with the synonyms of those that are COCO's.

    A word for several kinds ("bike", "fruit") stands for each of those among the labels. Plurals count.
    """
    own = {label.lower() for label in labels}
    words: dict[tuple[str, ...], frozenset[str]] = {}

    def add(word: str, kinds: frozenset[str]) -> None:
        *before, last = _TOKENS.findall(word.lower()) or [""]
        forms = (last,) if last in synonyms.SINGULAR_ONLY else (last, *plurals(last))
        for form in forms:
            words.setdefault((*before, form), kinds)

    for label in sorted(own):
        add(label, frozenset((label,)))
    for other in sorted(synonyms.OTHER_THINGS):
        add(other, frozenset())
    for word, alternatives in synonyms.by_word().items():
        kinds = frozenset(kind for together in alternatives for kind in together) & own
        if kinds:
            add(word, kinds)
    return Kinds(words, max(map(len, words), default=1))


def chair_counts(
    predictions: Sequence[str],
    references: Sequence[Sequence[str]],
    objects: Sequence[Collection[str]],
    kinds: Kinds,
) -> np.ndarray:
    """Of each caption, (hallucinated mentions, mentions), N x 2.

    Args:
        predictions: the captions that are judged.
        references: of each image, what people wrote of it.
        objects: of each image, the labels of its objects.
        kinds: the dataset's kinds of objects.

    Raises:
        ValueError: the three differ in length.
    """
    counts = np.zeros((len(predictions), 2))
    for row, (said, captions, labels) in enumerate(zip(predictions, references, objects, strict=True)):
        there = {label.lower() for label in labels}
        for caption in captions:
            there.update(*kinds.mentions(caption))
        mentioned = kinds.mentions(said)
        counts[row] = sum(not kind & there for kind in mentioned), len(mentioned)
    return counts
