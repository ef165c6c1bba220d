"""Tokenised turns, grouped by image, and the padded batches drawn from them.

A *turn* is what follows the image: a prompt and an answer, of which the answer's tokens are learned.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.models.chat import encode

IGNORED = -100


@dataclass(frozen=True)
class Turns:
    """Ragged token ids of many turns, sorted by image.

    ``tokens[starts[i]:starts[i + 1]]`` is turn i, of which the first ``prompts[i]`` tokens are the prompt;
    turns ``firsts[k]:firsts[k + 1]`` are about image k.
    """

    tokens: np.ndarray
    starts: np.ndarray
    prompts: np.ndarray
    firsts: np.ndarray

    @classmethod
    def of(
        cls, tokenizer, parts: Iterable[tuple[Sequence[str], Sequence[str], np.ndarray]], count: int
    ) -> Turns:
        """Tokenise turns, part by part: of their text no more than a part is held at a time.

        Args:
            tokenizer: of the language model.
            parts: of each turn the text up to the answer, the answer with the template's ending, and the
                number of its image, 0 to ``count`` - 1; turns of any other number are left out.
            count: images.
        """
        tokens, lengths, prompts, images = ([np.empty(0, kind)] for kind in (np.int32, *[np.int64] * 3))
        for asked, answered, owners in parts:
            pairs = list(zip(encode(tokenizer, asked), encode(tokenizer, answered), strict=True))
            pairs = [pair for pair, owner in zip(pairs, owners, strict=True) if 0 <= owner < count]
            tokens.append(np.asarray([id for a, b in pairs for id in (*a, *b)], np.int32))
            lengths.append(np.asarray([len(a) + len(b) for a, b in pairs], np.int64))
            prompts.append(np.asarray([len(a) for a, _ in pairs], np.int64))
            images.append(owners[(owners >= 0) & (owners < count)])
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
            prompts=np.concatenate(prompts)[order],
            firsts=np.searchsorted(owner[order], np.arange(count + 1)),
        )

    def lengths(self, rows: np.ndarray) -> np.ndarray:
        """Tokens of each of some turns."""
        return self.starts[rows + 1] - self.starts[rows]

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
        learned = present & (offsets >= self.prompts[rows][..., None])
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
