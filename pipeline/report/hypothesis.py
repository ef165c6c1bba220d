"""The multi-semantic hypothesis in words: do patches of two words decompose into both?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.evaluation.statistics import Difference, estimate, paired_difference
from pipeline.tables.metrics import Estimate

KINDS = {
    "noun_and_attribute": "A noun and its attribute",
    "two_nouns": "The nouns of two phrases",
}

FEWEST = 10
"""Images that a test needs."""


@dataclass(frozen=True)
class Test:
    """Pairs of words on one patch against the same words where a patch carries one of them, at a layer."""

    layer: str
    kind: str
    both: Estimate
    control: Estimate
    difference: Difference | None
    """Paired by image; its p is of swapping the two within images. None where neither is ever found."""


def tests(measures: Mapping[str, pa.Table], resamples: int, seed: int) -> list[Test]:
    """The tests that can be made, by kind of pair and layer.

    ``measures``: of each layer the table of that name. Every image counts once; fewer than `FEWEST` with
    such a pair are no test.
    """
    found = []
    for kind in KINDS:
        for layer, table in measures.items():
            both, control = (
                dict(zip(mine["example"].to_pylist(), mine["value"].to_pylist(), strict=True))
                for key in (f"decomposition.{kind}", f"decomposition.{kind}_control")
                for mine in [table.filter(pc.equal(table["metric"], key))]
            )
            if len(both) >= FEWEST:
                images = sorted(both)
                first, second = ([side[image] for image in images] for side in (both, control))
                apart = paired_difference(first, second, resamples, seed) if any(first + second) else None
                one, other = (estimate(side, resamples, seed) for side in (first, second))
                found.append(Test(layer, kind, one, other, apart))
    return found


def verdict(of_kind: Sequence[Test], names: Mapping[str, str]) -> str:
    """What the tests of one kind of pair say, in a sentence; ``names`` are the layers' names for reading."""
    answers: dict[str, list[str]] = {
        "Found together more often than where one is carried": [],
        "No difference shown": [],
        "Found together less often than where one is carried": [],
        "Never found, on either side": [],
    }
    more, level, less, never = answers
    for test in of_kind:
        if test.difference is None:
            answers[never].append(test.layer)
        else:
            apart = test.difference.estimate
            answers[more if apart.low > 0 else less if apart.high < 0 else level].append(test.layer)
    given = {answer: layers for answer, layers in answers.items() if layers}
    if len(given) == 1 and len(of_kind) > 1:
        return f"{next(iter(given))}: at every layer."
    said = [f"{answer}: {'; '.join(_named(layers, names))}." for answer, layers in given.items()]
    return " ".join(said)


def _named(layers: Sequence[str], names: Mapping[str, str]) -> list[str]:
    """Layers for reading; an arm that is there before and after fine-tuning is named once."""
    found = []
    for layer in layers:
        stage, _, arm = layer.partition(": ")
        if f"pretrained: {arm}" not in layers or f"finetuned: {arm}" not in layers:
            found.append(names[layer])
        elif stage == "pretrained":
            title = names[layer].rpartition(", ")[0]
            found.append(f"{title}, pre-trained and fine-tuned")
    return found
