"""Captions: CIDEr-D against the image's captions, and the objects that a caption names with their right
colours."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from pipeline.evaluation.naming import Lexicon, Named, named_objects, object_f1

_WORDS = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


def tokenise(caption: str) -> str:
    """Lower-case words, single spaces, no punctuation: ``A red cup, two stars.`` -> ``a red cup two stars``.

    The official scripts tokenise by Stanford's PTBTokenizer, which needs Java, and drop the same punctuation;
    the two differ in clitics ("dog's", "don't": one word here, two there) and in hyphens (a space here).
    """
    return " ".join(_WORDS.findall(caption.lower()))


def cider(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> np.ndarray:
    """CIDEr-D of each prediction (Vedantam et al. 2015), 0 to 10, by pycocoevalcap's scorer on `tokenise`'s
    words.

    N-grams are weighted by how few of these images' references hold them, so a score depends on the whole
    list and is comparable between models on the same examples only.

    Raises:
        ValueError: the two differ in length, there are fewer than two images (every weight would be zero), or
        an
            image has no reference.
    """
    from pycocoevalcap.cider.cider import Cider

    if len(predictions) != len(references):
        raise ValueError(f"{len(predictions)} captions cannot be scored against {len(references)} images")
    if len(predictions) < 2:
        raise ValueError(f"CIDEr needs at least two images to weight n-grams by, got {len(predictions)}")
    if not all(references):
        raise ValueError("CIDEr needs a reference caption for each image")
    said = {i: [tokenise(caption)] for i, caption in enumerate(predictions)}
    true = {i: [tokenise(caption) for caption in captions] for i, captions in enumerate(references)}
    _, scores = Cider().compute_score(true, said)
    return np.asarray(scores, dtype=np.float64)


def objects_f1(predictions: Sequence[str], scenes: Sequence[Iterable[Named]], known: Lexicon) -> np.ndarray:
    """F1 of the objects that each caption names against those of its scene, both as multisets of (noun,
    colour).

    An object counts where noun and colour are both right; one named twice, or without its colour, or that is
    not there, costs precision; one left out costs recall. Captions are read by `naming.named_objects`.

    Raises:
        ValueError: the two differ in length.
    """
    pairs = zip(predictions, scenes, strict=True)
    return np.array([object_f1(named_objects(said, known), Counter(true)) for said, true in pairs])
