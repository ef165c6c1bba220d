"""Questions: answers compared after normalisation, and the floor of a constant answer."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence

import numpy as np

from pipeline.evaluation.contractions import CONTRACTIONS

ARTICLES = frozenset(("a", "an", "the"))
NUMBERS = {
    word: str(value)
    for value, word in enumerate(
        ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
    )
} | {"none": "0"}

_SIGNS = ';/[]"{}()=+\\_-><@`,?!'
_DIGITS_COMMA = re.compile(r"(?<=\d),(?=\d)")
_FULL_STOP = re.compile(r"\.(?!\d)")


def normalise(answer: str) -> str:
    """An answer as the VQA rule compares it (Antol et al. 2015, evaluation page): case, punctuation, articles
    and number words do not matter.

    Lower case; signs that stand beside a space (or, in an answer with a number such as 1,000, all of them)
    are dropped, others become a space; full stops go unless a digit follows; zero to ten and "none" become
    digits; a, an and the go; a listed contraction gets its apostrophe back; spaces are single.
    """
    given = text = " ".join(answer.lower().split())
    drop_all = _DIGITS_COMMA.search(given) is not None
    for sign in _SIGNS:
        beside_space = f"{sign} " in given or f" {sign}" in given
        text = text.replace(sign, "" if beside_space or drop_all else " ")
    words = (NUMBERS.get(word, word) for word in _FULL_STOP.sub("", text).split() if word not in ARTICLES)
    return " ".join(CONTRACTIONS.get(word, word) for word in words)


def exact_match(predictions: Sequence[str], answers: Sequence[str]) -> np.ndarray:
    """1.0 where prediction and answer are equal after `normalise`, else 0.0.

    Raises:
        ValueError: the two differ in length.
    """
    pairs = zip(predictions, answers, strict=True)
    return np.array([normalise(said) == normalise(right) for said, right in pairs], dtype=np.float64)


def vqa_accuracy(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> np.ndarray:
    """VQA accuracy of each prediction against several people's answers.

    min(1, matches / 3), averaged over every choice of all but one person (of ten, the official 10-choose-9).
    With m of n matching, m of those choices leave a match out: (m min(1, (m-1)/3) + (n-m) min(1, m/3)) / n. A
    single reference is matched exactly.

    Raises:
        ValueError: the two differ in length, or a question has no reference.
    """
    scores = []
    for said, people in zip(predictions, references, strict=True):
        n = len(people)
        if n == 0:
            raise ValueError("a question has no reference answer")
        m = sum(normalise(said) == normalise(answer) for answer in people)
        scores.append(float(m) if n == 1 else (m * min(1, (m - 1) / 3) + (n - m) * min(1, m / 3)) / n)
    return np.array(scores, dtype=np.float64)


def constant_answers(
    train_answers: Sequence[str], train_kinds: Sequence[Hashable], kinds: Sequence[Hashable]
) -> list[str]:
    """The commonest training answer of each example's kind: what a model that never looks could say.

    A kind unseen in training gets the commonest answer of all. Answers are compared, and returned, as
    `normalise` leaves them. Ties go to the first by alphabet.

    Raises:
        ValueError: there is no training answer, or answers and kinds differ in length.
    """
    if not train_answers:
        raise ValueError("the constant answer needs training answers, got none")
    by_kind: dict[Hashable, Counter[str]] = defaultdict(Counter)
    overall: Counter[str] = Counter()
    for answer, kind in zip(train_answers, train_kinds, strict=True):
        key = normalise(answer)
        by_kind[kind][key] += 1
        overall[key] += 1
    common = {kind: _commonest(counts) for kind, counts in by_kind.items()}
    fallback = _commonest(overall)
    return [common.get(kind, fallback) for kind in kinds]


def _commonest(counts: Counter[str]) -> str:
    return min(counts, key=lambda answer: (-counts[answer], answer))
