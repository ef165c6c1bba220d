"""The multi-semantic hypothesis put to the test: does a patch that carries two words decompose into both?

A patch *carries* the words of every phrase that covers a quarter of it or more. Two kinds of pairs are asked
for: a noun with an attribute (or compound) of the same phrase, and the nouns of two phrases on one patch.

Finding both may be luck: some words are picked for every token. The control is the same two words, asked of
patches of other images that carry exactly one of them. If a decomposition gave one of a patch's words and
otherwise whatever is common, the pair would be found there as often. A word that a patch shows and no caption
says raises the control: the test errs on the side of caution.

Letters: P patches, K words picked, W words that are carried anywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pipeline.evaluation import decomposition
from pipeline.evaluation.dictionary import Dictionary
from pipeline.evaluation.regions import Measures, Regions

SHARE = 0.25
"""Of a patch that a phrase has to cover: four phrases at most can lie side by side on one."""
KINDS = ("noun_and_attribute", "two_nouns")


@dataclass(frozen=True)
class Carriers:
    """Patches with the words that they carry: one for each set of words on an image, the best covered."""

    image_P: np.ndarray
    patch_P: np.ndarray
    carried_PW: np.ndarray
    """bool."""
    words: list[str]
    pairs: dict[str, np.ndarray]
    """By kind, (pairs, 3): a patch's row and the columns of two words that it carries."""


def carriers(regions: Regions, known: Sequence[str]) -> Carriers:
    """The patches to ask; only words that are one token of the dictionary (``known``) can be found whole.

    Of patches of an image that carry the same words the one is taken whose phrases cover it best (the
    smallest of their shares is largest; the first of equals).
    """
    single = set(known)
    texts = [
        [(word["text"].lower(), word["role"]) for word in words if word["text"].lower() in single]
        for words in regions.words
    ]
    words = sorted({text for found in texts for text, role in found if role != "number"})
    column = {text: place for place, text in enumerate(words)}
    mine = [[(column[text], role) for text, role in found if role != "number"] for found in texts]

    region, patch = np.nonzero(regions.coverage >= SHARE)
    on_patch: dict[tuple[int, int], list[int]] = {}
    for row, place in zip(region.tolist(), patch.tolist(), strict=True):
        if mine[row]:
            on_patch.setdefault((int(regions.image[row]), place), []).append(row)
    best: dict[tuple[int, frozenset[int]], tuple[float, int]] = {}
    for (image, place), rows in on_patch.items():
        carried = frozenset(word for row in rows for word, _ in mine[row])
        least = float(regions.coverage[rows, place].min())
        if least > best.get((image, carried), (0.0, 0))[0]:
            best[image, carried] = least, place
    chosen = sorted((image, place) for (image, _), (_, place) in best.items())

    carried_PW = np.zeros((len(chosen), len(words)), bool)
    pairs: dict[str, set[tuple[int, int, int]]] = {kind: set() for kind in KINDS}
    for number, at in enumerate(chosen):
        heads: list[set[int]] = []
        for row in on_patch[at]:
            nouns = {word for word, role in mine[row] if role == "head"}
            others = {word for word, role in mine[row] if role != "head"}
            carried_PW[number, list(nouns | others)] = True
            pairs["noun_and_attribute"] |= {
                (number, min(a, b), max(a, b)) for a in nouns for b in others - nouns
            }
            heads.append(nouns)
        pairs["two_nouns"] |= {
            (number, min(a, b), max(a, b))
            for place, nouns in enumerate(heads)
            for later in heads[place + 1 :]
            for a in nouns
            for b in later - nouns
        }
    image_P, patch_P = np.asarray(chosen, np.int64).reshape(-1, 2).T
    listed = {kind: np.asarray(sorted(found), np.int64).reshape(-1, 3) for kind, found in pairs.items()}
    return Carriers(image_P, patch_P, carried_PW, words, listed)


def found_words(picked_PK: np.ndarray, dictionary: Dictionary, words: Sequence[str]) -> np.ndarray:
    """Which of ``words`` are among each patch's picks (rows of the dictionary): bool (P, W)."""
    column = {text: place for place, text in enumerate(words)}
    of_token = np.array([column.get(text, -1) for text in dictionary.words], np.int64)
    picked_PK = of_token[picked_PK]
    found_PW = np.zeros((len(picked_PK), len(words)), bool)
    row, pick = np.nonzero(picked_PK >= 0)
    found_PW[row, picked_PK[row, pick]] = True
    return found_PW


def both_and_control(
    found_PW: np.ndarray, on: Carriers, pairs: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each image, how often its pairs are found, and how often the same two are found in the control.

    ``pairs`` (rows of patches and columns of two words). The control of a pair is exact, not a draw: the
    share over all patches of other images that carry one of the two words and not the other. A pair without
    such a patch is left out.

    Returns:
        Images, and of each the share of its pairs that is found and that of their controls.
    """
    if not len(pairs):
        return np.zeros(0, np.int64), np.zeros(0), np.zeros(0)
    distinct, which = np.unique(pairs[:, 1:], axis=0, return_inverse=True)
    which = which.reshape(-1)
    first, second = distinct.T
    images, image_P = np.unique(on.image_P, return_inverse=True)
    hits = np.zeros((len(images), len(distinct)))
    asked = np.zeros_like(hits)
    both_Q = np.zeros(len(pairs), bool)
    for number, (a, b) in enumerate(zip(first, second, strict=True)):
        both_P = found_PW[:, a] & found_PW[:, b]
        one_P = on.carried_PW[:, a] ^ on.carried_PW[:, b]
        hits[:, number] = np.bincount(image_P, both_P & one_P, len(images))
        asked[:, number] = np.bincount(image_P, one_P, len(images))
        mine = which == number
        both_Q[mine] = both_P[pairs[mine, 0]]
    own = image_P[pairs[:, 0]]
    others = asked.sum(0)[which] - asked[own, which]
    kept = others > 0
    control_Q = (hits.sum(0)[which] - hits[own, which])[kept] / others[kept]
    present, place = np.unique(own[kept], return_inverse=True)
    counts = np.bincount(place)
    both = np.bincount(place, both_Q[kept]) / counts
    return images[present], both, np.bincount(place, control_Q) / counts


def measures(
    tokens_BND: Tensor, dictionary: Dictionary, regions: Regions, k: int, image_ids: Sequence[str]
) -> Measures:
    """Both metrics of each kind of pair, an image an example; none where ``k`` is 1 or there is no pair."""
    on = carriers(regions, dictionary.words)
    if k < 2 or not any(map(len, on.pairs.values())):
        return {}
    tokens_PD = tokens_BND[torch.from_numpy(on.image_P), torch.from_numpy(on.patch_P)]
    picked = decomposition.matching_pursuit(tokens_PD, dictionary.vectors_VD, k).words_TK
    found_PW = found_words(picked, dictionary, on.words)
    values = {}
    for kind, pairs in on.pairs.items():
        images, both, control = both_and_control(found_PW, on, pairs)
        if len(images):
            examples = [image_ids[image] for image in images]
            values[f"decomposition.{kind}"] = examples, both
            values[f"decomposition.{kind}_control"] = examples, control
    return values
