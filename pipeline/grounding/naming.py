"""Which categories a phrase's words name, by label, compound, lemma and synonym."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from pipeline.tables import synonyms

Alternatives = tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Named:
    """What a phrase names."""

    alternatives: Alternatives
    """Categories in order of preference; an alternative's categories are taken together."""
    words: tuple[str, ...]
    """The words of the phrase that name it, lemma of the head last."""
    is_collective: bool
    """A noun for many whose form is singular (crowd, luggage)."""


class Vocabulary:
    """Words for the labels of a dataset, and for COCO's categories under their other names.

    ``labels`` are the dataset's own, as it spells them; they come before synonyms.
    """

    def __init__(self, labels: Collection[str]) -> None:
        own: dict[str, tuple[str, ...]] = {}
        for label in sorted(labels):
            word = label.lower().replace("_", " ")
            own[word] = (*own.get(word, ()), label)
        self._by_word = synonyms.by_word()
        for word, spelt in own.items():
            others = (names for names in self._by_word.get(word, ()) if names != spelt)
            self._by_word[word] = (spelt, *others)
        self._own = frozenset(own)

    def name(self, words: tuple[str, ...], surface: str) -> Named | None:
        """The categories that a phrase names, or None if it names none.

        The longest end of the phrase that is a word decides: "big hot dog" is a hot dog and no dog, "tennis
        player" a player.

        Args:
            words: attributes and compounds before the head, lower case, then the head's lemma.
            surface: the head as written, lower case (categories such as scissors are plurals).
        """
        for start in range(len(words)):
            before, head = words[start:-1], words[-1]
            for last in dict.fromkeys((head, surface)):
                word = " ".join((*before, last))
                if word in synonyms.OTHER_THINGS and word not in self._own:
                    return None
                if word in synonyms.SINGULAR_ONLY and surface != head and word not in self._own:
                    return None
                if word in self._by_word:
                    return Named(self._by_word[word], words[start:], head in synonyms.COLLECTIVE)
        return None
