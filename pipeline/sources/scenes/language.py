"""Shared wording: articles, plurals, numbers, lists, and sentences that remember what their phrases name."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.sources.scenes.world import Thing

# A piece of a sentence: plain text, or a noun phrase and the indices of the objects that it names.
Mention = tuple[str, tuple[int, ...]]
Part = str | Mention
Parts = list[Part]
Span = tuple[int, int, tuple[int, ...]]

NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_PLURALS = {"fish": "fish", "leaf": "leaves", "cross": "crosses"}


def article(word: str) -> str:
    """``a`` or ``an``, whichever the word takes."""
    return "an" if word[0] in "aeiou" else "a"


def plural(noun: str) -> str:
    """The noun's plural."""
    return _PLURALS.get(noun) or noun + "s"


def number(count: int) -> str:
    """The count as a word, or in digits above ten."""
    return NUMBERS[count] if count < len(NUMBERS) else str(count)


def indefinite(words: str) -> str:
    """``a red cup``, ``an orange kite``."""
    return f"{article(words)} {words}"


def named(thing: Thing) -> str:
    """The short name that sets a thing apart from most others: ``red cup``."""
    return f"{thing.colour} {thing.noun}"


def listed(items: Sequence[Parts], word: str = "and") -> Parts:
    """``a``, ``a and b``, ``a, b and c``."""
    parts: Parts = []
    for place, item in enumerate(items):
        if place:
            parts.append(f" {word} " if place == len(items) - 1 else ", ")
        parts += item
    return parts


def render(sentences: Sequence[Parts]) -> tuple[str, list[Span]]:
    """Sentences as text: capitals, full stops, one space between.

    Returns:
        The text, and (start, end, objects) of every noun phrase in it: characters, end exclusive.
    """
    text = ""
    spans: list[Span] = []
    for parts in sentences:
        start = len(text) + 1 if text else 0
        sentence = ""
        for part in parts:
            if isinstance(part, str):
                sentence += part
            else:
                begin = start + len(sentence)
                sentence += part[0]
                spans.append((begin, begin + len(part[0]), part[1]))
        text += (" " if text else "") + sentence[0].upper() + sentence[1:] + "."
    return text, spans
