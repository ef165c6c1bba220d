"""The words that a vision token is decomposed into: the language model's own vocabulary.

Shapes: V words, D width of the language model, R regions.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from pipeline.evaluation.regions import Regions
from pipeline.models.chat import encode_parts
from pipeline.training.supervision import CONTENT_ROLES


@dataclass(frozen=True)
class Dictionary:
    """Every token of the vocabulary but the special ones."""

    ids: list[int]
    """Token ids, by row of ``vectors_VD``."""
    words: list[str]
    """What each says: without the sign for a space before it, in lower case."""
    vectors_VD: torch.Tensor
    """Input embeddings."""

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class TrueTokens:
    """The tokens that a region's words are made of, each region's in the order of its phrase."""

    rows: list[list[int]]
    """Rows of the dictionary, distinct."""
    roles: list[list[str]]
    """Of each, the role of its word."""


def of(tokenizer, table_VD: torch.Tensor) -> Dictionary:
    """The dictionary of a tokenizer and its table of input embeddings (rows beyond the vocabulary too)."""
    special = set(tokenizer.all_special_ids)
    ids = [token for token in range(len(table_VD)) if token not in special]
    known = len(tokenizer)  # tables are padded to a round size; what is beyond has no text
    words = [tokenizer.decode([token]).strip().lower() if token < known else f"<{token}>" for token in ids]
    return Dictionary(ids, words, table_VD[ids])


def true_tokens(dictionary: Dictionary, tokenizer, regions: Regions) -> TrueTokens:
    """The tokens of each region's nouns and attributes, as they stand one after another in its phrase."""
    place = {token: row for row, token in enumerate(dictionary.ids)}
    chosen = [[word for word in words if word["role"] in CONTENT_ROLES] for words in regions.words]
    # As they read within a sentence, which is how the patch loss reads them too.
    parts = [[f" {word['text']}" for word in words] for words in chosen]
    rows, roles = [], []
    for words, ids, owners in zip(chosen, *encode_parts(tokenizer, parts, "a"), strict=True):
        found: dict[int, str] = {}
        for token, owner in zip(ids, owners, strict=True):
            if token in place:
                found.setdefault(place[token], words[owner]["role"])
        rows.append(list(found))
        roles.append(list(found.values()))
    return TrueTokens(rows, roles)
