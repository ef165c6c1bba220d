"""A caption cut into the pieces that the page lights: words, the rest of phrases, what the parse left out.

Characters are counted as Python counts them, so the cutting is done here: a browser counts UTF-16 units.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

CHUNK = re.compile(r"chunk:(.*):(\d+)-(\d+)", re.DOTALL)


@dataclass
class Marks:
    """What is marked in one caption. Spans are (first character, one past the last)."""

    phrases: list[tuple[int, int, str, str]] = field(default_factory=list)
    """Span, source and phrase id of the phrases."""
    words: list[tuple[int, int, str, str]] = field(default_factory=list)
    """The same of the words that they carry."""
    left_out: list[tuple[int, int, str]] = field(default_factory=list)
    """Span and message of what the parse rejected."""


def marks_of(
    sources: Mapping[str, Sequence[Mapping[str, Any]]], rejects: Iterable[Mapping[str, Any]]
) -> dict[str, Marks]:
    """By caption id, the marks of each source's phrases (rows of ``phrases``) and of rejected chunks."""
    found: dict[str, Marks] = {}
    for source, phrases in sources.items():
        for phrase in phrases:
            if phrase["caption_id"] is None:
                continue
            marks = found.setdefault(phrase["caption_id"], Marks())
            marks.phrases.append((phrase["start"], phrase["end"], source, phrase["phrase_id"]))
            marks.words += [
                (word["start"], word["end"], source, phrase["phrase_id"]) for word in phrase["words"]
            ]
    for reject in rejects:
        chunk = CHUNK.fullmatch(reject["key"])
        if chunk:
            marks = found.setdefault(chunk[1], Marks())
            marks.left_out.append((int(chunk[2]), int(chunk[3]), reject["message"]))
    return found


def segments(text: str, marks: Marks) -> list[dict[str, Any]]:
    """The caption in pieces, whose texts one after another are the whole.

    Each has ``text``, ``start``, ``end``, ``word`` (whether a phrase carries it as a word), ``lights`` (by
    source, the ids of the phrases that it belongs to) and ``left_out`` (why the parse left it, or None). What
    stands in a phrase without being one of its words, such as "of", lights the phrase too.
    """
    cuts = {0, len(text)}
    for start, end, *_ in (*marks.phrases, *marks.words):
        cuts |= {start, end}
    for start, end, _ in marks.left_out:
        cuts |= {start, end}
    pieces = []
    for start, end in pairwise(sorted(cut for cut in cuts if 0 <= cut <= len(text))):
        inside = [each for each in marks.words if each[0] <= start and end <= each[1]]
        around = [each for each in marks.phrases if each[0] <= start and end <= each[1]]
        lights: dict[str, list[str]] = {}
        for _, _, source, phrase_id in inside or around:
            if phrase_id not in lights.setdefault(source, []):
                lights[source].append(phrase_id)
        why = [message for first, last, message in marks.left_out if first <= start and end <= last]
        pieces.append(
            {
                "text": text[start:end],
                "start": start,
                "end": end,
                "word": bool(inside),
                "lights": lights,
                "left_out": why[0] if why and not lights else None,
            }
        )
    return pieces
