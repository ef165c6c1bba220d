"""Tokenised turns, grouped by image, and the padded batches drawn from them.

A *turn* is what follows the image: a prompt and an answer, of which the answer's tokens are learned, or a
conversation of several of them in one sequence.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.models.chat import encode_parts

IGNORED = -100


@dataclass(frozen=True)
class Turns:
    """Ragged token ids of many turns, sorted by image.

    ``tokens[starts[i]:starts[i + 1]]`` is turn i; ``learned`` says of each token whether it is the answer's;
    turns ``firsts[k]:firsts[k + 1]`` are about image k.
    """

    tokens: np.ndarray
    starts: np.ndarray
    learned: np.ndarray
    firsts: np.ndarray

    @classmethod
    def of(
        cls, tokenizer, parts: Iterable[tuple[Sequence[Sequence[str]], np.ndarray]], count: int, lead: str
    ) -> Turns:
        """Tokenise turns, part by part: of their text no more than a part is held at a time.

        Args:
            tokenizer: of the language model.
            parts: each turn's texts in order, prompt, answer, prompt, answer, ..., an answer with the
                template's ending; and the number of its image, 0 to ``count`` - 1. Turns of any other number
                are left out.
            count: images.
            lead: what turns stand behind, such as the image's token; it is no part of them.
        """
        tokens, lengths, images = ([np.empty(0, kind)] for kind in (np.int32, np.int64, np.int64))
        learned = [np.empty(0, bool)]
        for texts, owners in parts:
            here = (owners >= 0) & (owners < count)
            ids, places = encode_parts(tokenizer, [texts[k] for k in np.flatnonzero(here).tolist()], lead)
            tokens.append(np.asarray([token for row in ids for token in row], np.int32))
            learned.append(np.asarray([place % 2 for row in places for place in row], bool))
            lengths.append(np.asarray([len(row) for row in ids], np.int64))
            images.append(owners[here])
        owner = np.concatenate(images)
        order = np.argsort(owner, kind="stable")
        length = np.concatenate(lengths)
        begin = np.concatenate([[0], np.cumsum(length)])
        starts = np.concatenate([[0], np.cumsum(length[order])])
        # Where each token of the sorted turns stands among the unsorted ones.
        places = np.arange(starts[-1]) + np.repeat(begin[order] - starts[:-1], length[order])
        return cls(
            tokens=np.concatenate(tokens)[places],
            starts=starts,
            learned=np.concatenate(learned)[places],
            firsts=np.searchsorted(owner[order], np.arange(count + 1)),
        )

    def lengths(self, rows: np.ndarray) -> np.ndarray:
        """Tokens of each of some turns."""
        return self.starts[rows + 1] - self.starts[rows]

    def answered(self, rows: np.ndarray) -> np.ndarray:
        """How many tokens of each of some turns are learned: of the answers, what another token precedes."""
        _, labels = self.pad(rows, 0)
        return (labels[..., 1:] != IGNORED).sum(-1)

    def draw(self, image: int, count: int, generator: np.random.Generator) -> np.ndarray:
        """``count`` turns about an image: without repeats while there are enough."""
        first, last = self.firsts[image], self.firsts[image + 1]
        return first + draw_some(last - first, count, generator)

    def pad(self, rows: np.ndarray, pad: int) -> tuple[np.ndarray, np.ndarray]:
        """Ids and labels (…, L) of turns ``rows`` (…), padded on the right; labels cover answers alone."""
        lengths = self.lengths(rows)
        offsets = np.arange(lengths.max())
        present = offsets < lengths[..., None]
        index = np.where(present, self.starts[rows][..., None] + offsets, 0)
        ids = np.where(present, self.tokens[index], pad).astype(np.int64)
        learned = present & self.learned[index]
        return ids, np.where(learned, ids, IGNORED)


def draw_some(available: int, count: int, generator: np.random.Generator) -> np.ndarray:
    """``count`` of ``available`` places in random order; places come again only when there are too few."""
    rounds = [generator.permutation(available) for _ in range(-(-count // available))]
    return np.concatenate(rounds)[:count]


def split_by_length(lengths: np.ndarray) -> int:
    """Where to cut sorted columns of turns in two so that the least padding is computed.

    Args:
        lengths: (B, T), each row ascending: column j then holds turns of like length.

    Returns:
        The number of columns in the first, shorter group; T when one group is as good.
    """
    longest = lengths.max(0)
    turns = len(longest)
    # A second pass costs about as much as a few columns of short turns, hence the margin.
    costs = [cut * longest[cut - 1] + (turns - cut) * longest[-1] for cut in range(1, turns)]
    whole = turns * longest[-1]
    best = int(np.argmin(costs)) + 1 if costs else turns
    return best if costs and costs[best - 1] < 0.85 * whole else turns
