"""Captions against those that people wrote: BLEU-4, METEOR, ROUGE-L and SPICE, by pycocoevalcap.

METEOR and SPICE are Java programs that pycocoevalcap starts. Without Java they are not measured, which is
said, and is not zero. All are given `captioning.tokenise`'s words.
"""

from __future__ import annotations

import contextlib
import io
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.evaluation.captioning import tokenise
from pipeline.evaluation.statistics import per_example

NO_JAVA = "not measured: needs Java"
SWITCHED_OFF = "not measured: evaluate.java is off"
SPICE_JAR = "stanford-corenlp-3.6.0.jar"
NO_PARSER = (
    "not measured: needs Stanford CoreNLP 3.6.0, which"
    " `python -m pycocoevalcap.spice.get_stanford_models` downloads"
)


class Unmeasured(Exception):
    """Why a metric was not measured, in words for the report."""


def bleu4(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> np.ndarray:
    """BLEU-4 (Papineni et al. 2002), 0 to 1: one value a caption, whose mean is that of the whole list.

    The list's n-gram matches are added up before they are divided, as in COCO's evaluation, with the
    reference closest in length.
    """
    from pycocoevalcap.bleu.bleu_scorer import BleuScorer

    scorer = BleuScorer(n=4)
    for said, true in zip(predictions, references, strict=True):
        scorer += (tokenise(said), [tokenise(caption) for caption in true])
    rows = []
    for found in scorer.ctest:
        length = found["testlen"]
        closest = min((abs(other - length), other) for other in found["reflen"])[1]
        rows.append([*found["correct"], *found["guess"], length, closest])
    return per_example(np.array(rows, dtype=np.float64).reshape(-1, 10), _bleu)


def _bleu(sums: np.ndarray) -> np.ndarray:
    """BLEU-4 of rows of (4 matches, 4 candidates, length, reference length), with the scorer's guards."""
    precisions = (sums[:, :4] + 1e-15) / (sums[:, 4:8] + 1e-9)
    ratio = (sums[:, 8] + 1e-15) / (sums[:, 9] + 1e-9)
    return precisions.prod(axis=1) ** 0.25 * np.exp(np.minimum(0.0, 1 - 1 / ratio))


def rouge_l(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> np.ndarray:
    """ROUGE-L of each caption (Lin 2004, F with beta 1.2), 0 to 1."""
    from pycocoevalcap.rouge.rouge import Rouge

    said, true = _by_number(predictions, references)
    return np.asarray(Rouge().compute_score(true, said)[1], dtype=np.float64)


class JavaScorers:
    """METEOR and SPICE. METEOR's program takes ten seconds to start, so one of these serves many lists.

    It starts when it is made, beside whatever else goes on, and ends with `close` or the ``with`` block.
    """

    def __init__(self, start: bool = True) -> None:
        self._meteor: Any = None
        self._fault = None if start else SWITCHED_OFF
        if start and not shutil.which("java"):
            self._fault = NO_JAVA
        if self._fault is None:
            from pycocoevalcap.meteor.meteor import Meteor

            self._meteor = Meteor()

    def meteor(self, predictions: Sequence[str], references: Sequence[Sequence[str]]) -> np.ndarray:
        """METEOR 1.5 (Denkowski and Lavie 2014), 0 to 1: one value a caption.

        The list's score is made of its statistics added up and is not quite the mean of the captions' own;
        these are moved by a constant so that their mean is the list's.

        Raises:
            Unmeasured: there is no Java, or the program failed.
        """
        if self._meteor is None:
            raise Unmeasured(self._fault or NO_JAVA)
        said, true = _by_number(predictions, references)
        try:
            whole, each = self._meteor.compute_score(true, said)
        except (OSError, ValueError) as error:
            raise Unmeasured(f"not measured: METEOR's program failed ({error})") from error
        scores = np.asarray(each, dtype=np.float64)
        return scores + (whole - scores.mean())

    def spice(self, predictions: Sequence[str], references: Sequence[Sequence[str]]) -> np.ndarray:
        """SPICE of each caption (Anderson et al. 2016), 0 to 1; 0 where neither side says anything.

        Raises:
            Unmeasured: there is no Java or no parser, or the program failed.
        """
        if self._fault:
            raise Unmeasured(self._fault)
        from pycocoevalcap.spice import spice

        # The library would fetch what is missing itself, and no stage asks the network on its own.
        if not (Path(spice.__file__).parent / "lib" / SPICE_JAR).exists():
            raise Unmeasured(NO_PARSER)
        said, true = _by_number(predictions, references)
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                _, each = spice.Spice().compute_score(true, said)
        except (OSError, subprocess.CalledProcessError) as error:
            raise Unmeasured(f"not measured: SPICE's program failed ({error})") from error
        return np.nan_to_num(np.array([scores["All"]["f"] for scores in each], dtype=np.float64))

    def close(self) -> None:
        """End METEOR's program."""
        self._meteor = None  # its own destructor ends it

    def __enter__(self) -> JavaScorers:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _by_number(
    predictions: Sequence[str], references: Sequence[Sequence[str]]
) -> tuple[dict[int, list[str]], dict[int, list[str]]]:
    """Both as pycocoevalcap takes them: lists of tokenised captions by number."""
    if len(predictions) != len(references):
        raise ValueError(f"{len(predictions)} captions cannot be scored against {len(references)} images")
    said = {i: [tokenise(caption)] for i, caption in enumerate(predictions)}
    return said, {i: [tokenise(caption) for caption in captions] for i, captions in enumerate(references)}
