"""What patch losses compare vision tokens with: the language model's words. No gradient reaches any of it.

Shapes: M vectors, K tokens of the words that a vector should say (padded), V words, D width.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.utils.checkpoint import checkpoint

from pipeline.training.losses import pool_words

ROWS = 2048
"""Vectors whose scores over the whole vocabulary are in memory at a time."""


@dataclass(frozen=True)
class Words:
    """The language model's input embeddings (V, D), output head (V, D) and padding token."""

    embeddings_VD: torch.Tensor
    head_VD: torch.Tensor
    pad: int
    others_UK: torch.Tensor | None = None
    """Tokens of the words of the whole step's regions, where what a loss is given is a share of them."""

    def vectors(self, ids_MK: torch.Tensor) -> torch.Tensor:
        """w (M, D): the mean input embedding of each row's tokens."""
        return pool_words(self.embeddings_VD, ids_MK, self.pad)


def naming(vectors_MD: torch.Tensor, table_VD: torch.Tensor, ids_MK: torch.Tensor, pad: int) -> torch.Tensor:
    """-mean over a row's tokens of log softmax(vectors table^T)[token], (M,) in float32.

    Cross-entropy against the tokens of the row, each equally likely; its least value is the log of their
    number. Beyond ``ROWS`` rows the scores are made a piece at a time, and again in the backward pass.
    """

    def some(vectors: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        scores = (vectors @ table_VD.t()).float()
        present = ids != pad
        own = (scores.gather(1, ids) * present).sum(-1) / present.sum(-1).clamp_min(1)
        return scores.logsumexp(-1) - own

    pieces = list(zip(vectors_MD.split(ROWS), ids_MK.split(ROWS), strict=True))
    if len(pieces) == 1:
        return some(*pieces[0])
    return torch.cat([checkpoint(some, *piece, use_reentrant=False) for piece in pieces])
