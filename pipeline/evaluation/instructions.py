"""Instructions with a checkable form: did the answer take the asked form, and does it say the right thing?

====================  ===========================================  ============================
kind                  form                                         content
====================  ===========================================  ============================
``left_to_right``     names, parted by commas: ``cup, star``       the right names in order
``one_word``          one word                                     the right word
``only_colour``       names, parted by commas, or ``none``         the right names in order
``noun_colour``       ``noun: colour`` parted by ``;`` or lines    the right pairs in order
====================  ===========================================  ============================

Case, spaces and one full stop at the end do not matter. Form and content are judged apart: "The cup and the
star." breaks the form of a list and may yet name the right things. Followed means both.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

_LETTERS = r"(?!and\b)[^\W\d_]+"
_NAME = rf"{_LETTERS}(?:[ -]{_LETTERS}){{0,2}}"  # a word or a compound of up to three
_LIST = re.compile(rf"{_NAME}(?:\s*,\s*{_NAME})*")
_WORD = re.compile(r"[^\W_]+(?:-[^\W_]+)*")
_PAIRS = re.compile(rf"{_NAME}\s*:\s*{_NAME}(?:\s*[;\n]\s*{_NAME}\s*:\s*{_NAME})*")
_SEPARATORS = re.compile(r"[,;\n]|\band\b")
_LEADING = re.compile(r"^(?:a|an|the)\s+")


class Followed(NamedTuple):
    """How an answer stands to its instruction."""

    form: bool
    content: bool


class _Kind(NamedTuple):
    form: re.Pattern[str]
    content: Callable[[str, str], bool]


def check(kind: str, answer: str, prediction: str) -> Followed:
    """Judge a prediction against the reference answer, by the kind of instruction (table above).

    Raises:
        ValueError: the kind is not known.
    """
    if kind not in _KINDS:
        raise ValueError(f"instruction kind {kind!r} is not known: it is one of {', '.join(_KINDS)}")
    said, right = _plain(prediction), _plain(answer)
    rule = _KINDS[kind]
    return Followed(rule.form.fullmatch(said) is not None, rule.content(said, right))


def followed(kinds: Sequence[str], answers: Sequence[str], predictions: Sequence[str]) -> np.ndarray:
    """1.0 for each example whose form and content are both right, else 0.0.

    Raises:
        ValueError: the three differ in length, or a kind is not known.
    """
    rows = zip(kinds, answers, predictions, strict=True)
    return np.array([all(check(*row)) for row in rows], dtype=np.float64)


def _plain(text: str) -> str:
    lines = [" ".join(line.split()) for line in text.lower().strip().splitlines()]
    return "\n".join(line for line in lines if line).removesuffix(".").rstrip()


def _items(text: str) -> list[str]:
    """What a list names, whatever parts it: without articles and empty places."""
    parts = (_LEADING.sub("", part.strip()) for part in _SEPARATORS.split(text))
    return [re.sub(r"\s*:\s*", ":", part) for part in parts if part]


def _same_order(said: str, right: str) -> bool:
    return _items(said) == _items(right)


def _names_word(said: str, right: str) -> bool:
    """The right word is said; in an answer of several words it may stand anywhere."""
    return right in _WORD.findall(said)


_KINDS = {
    "left_to_right": _Kind(_LIST, _same_order),
    "one_word": _Kind(_WORD, _names_word),
    "only_colour": _Kind(_LIST, _same_order),
    "noun_colour": _Kind(_PAIRS, _same_order),
}
