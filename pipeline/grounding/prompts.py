"""Phrases joined into one caption, the way that Grounding DINO reads them, with each phrase's tokens known.

A prompt is ``a dog . two red cars .``: the model separates phrases at full stops and question marks, and
scores every token of the prompt. Phrases are tokenized alone, so a phrase's tokens are known by counting
instead of by searching the prompt for its characters.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

_SEPARATORS = re.compile(r"[.?]")


@dataclass(frozen=True)
class Prompt:
    """Some of an image's texts, to be looked for in one go."""

    text: str
    """What the model reads."""
    members: tuple[int, ...]
    """Which of the texts are in it, by their number."""
    spans: tuple[tuple[int, int], ...]
    """Each member's tokens: first, and one past the last, counted from the token that opens the prompt."""

    def scores(self, probability_QL: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The highest and the mean probability of each member's tokens, two arrays (queries, members)."""
        parts = [probability_QL[:, start:end] for start, end in self.spans]
        return (
            np.stack([part.max(axis=1) for part in parts], axis=1),
            np.stack([part.mean(axis=1) for part in parts], axis=1),
        )


def clean(text: str) -> str:
    """A phrase as it stands in a prompt: lower case, single spaces, without the prompt's separators.

    Lower case is what the released models were trained on; it also keeps a text such as ``[SEP]`` from
    being read as the tokenizer's own.
    """
    return " ".join(_SEPARATORS.sub(" ", text.lower()).split())


def build(texts: Sequence[str], tokenizer: Any, max_tokens: int) -> list[Prompt]:
    """The prompts that hold all of the texts, in their order, as few as fit.

    Args:
        texts: phrases. One that leaves no token (only punctuation that separates, control characters) is in
            no prompt; one longer than a prompt is cut to the tokens that fit.
        tokenizer: a fast BERT tokenizer of transformers. It marks a prompt's beginning and end with a token.
        max_tokens: what the model takes, those two included.
    """
    cleaned = [clean(text) for text in texts]
    if not cleaned:
        return []
    # Beside a phrase, a prompt has its two marks and the phrase's full stop.
    tokens = tokenizer(
        cleaned,
        add_special_tokens=False,
        return_offsets_mapping=True,
        truncation=True,
        max_length=max_tokens - 3,
    )
    prompts: list[Prompt] = []
    parts: list[str] = []
    members: list[int] = []
    spans: list[tuple[int, int]] = []
    for i, offsets in enumerate(tokens["offset_mapping"]):
        if not offsets:
            continue
        start = spans[-1][1] + 1 if spans else 1
        if start + len(offsets) + 2 > max_tokens:
            prompts.append(_prompt(parts, members, spans))
            parts, members, spans, start = [], [], [], 1
        parts.append(cleaned[i][: offsets[-1][1]])
        members.append(i)
        spans.append((start, start + len(offsets)))
    if parts:
        prompts.append(_prompt(parts, members, spans))
    return prompts


def _prompt(parts: list[str], members: list[int], spans: list[tuple[int, int]]) -> Prompt:
    return Prompt(" . ".join(parts) + " .", tuple(members), tuple(spans))
