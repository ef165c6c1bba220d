"""What a study found: means over seeds, paired differences from the first arm, curves, as ``study.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from pipeline.evaluation.statistics import over_seeds, paired_over_seeds
from pipeline.tables.metrics import METRICS, read_estimates, rounded

CURVE_METRICS = ("referring.accuracy", "question.accuracy", "instruction.accuracy", "captioning.objects")

Folders = Mapping[str, Sequence[Path]]
"""Of each arm, the baseline first, a folder for each seed; seeds in one order."""


def gather(folders: Folders, references: dict) -> dict:
    """``metrics.json``'s layout, of means over seeds and their 95 % intervals.

    Differences are each other arm minus the first, paired by seed; ``references`` are those of the test
    examples, to which each arm without its image is added.
    """
    after = _by_seed(folders, "metrics.json")
    before = _by_seed(folders, "pretrained.json")
    blind = {f"no image: {arm}": _means(found) for arm, found in _by_seed(folders, "no_image.json").items()}
    return {
        "arms": {arm: _means(values) for arm, values in after.items()},
        "references": references | blind,
        "differences": _differences(after),
        "pretrained": {arm: _means(values) for arm, values in before.items()},
        "pretrained_differences": _differences(before),
        "curves": curves(folders),
    }


def _by_seed(folders: Folders, name: str) -> dict[str, dict[str, list[float]]]:
    """Each arm's metrics, a value a seed."""
    found = {}
    for arm, of_arm in folders.items():
        runs = [read_estimates(folder / arm / name) for folder in of_arm]
        keys = [metric.key for metric in METRICS if all(metric.key in run for run in runs)]
        found[arm] = {key: [run[key].value for run in runs] for key in keys}
    return found


def _means(values: dict[str, list[float]]) -> dict[str, dict]:
    return {key: rounded(asdict(over_seeds(found))) for key, found in values.items()}


def _differences(arms: dict[str, dict[str, list[float]]]) -> dict[str, dict[str, dict]]:
    first, *others = arms
    baseline, found = arms[first], {}
    for arm in others:
        mine = arms[arm]
        pairs = {key: paired_over_seeds(mine[key], baseline[key]) for key in mine if key in baseline}
        found[arm] = {key: rounded(asdict(pair.estimate)) for key, pair in pairs.items()}
    return found


def curves(folders: Folders) -> dict:
    """Each task over fine-tuning steps, mean and interval over seeds, on the validation split."""
    runs = {
        arm: [json.loads((folder / f"curves/tasks-{arm}.json").read_text()) for folder in of_arm]
        for arm, of_arm in folders.items()
    }
    result: dict[str, dict] = {}
    for key in CURVE_METRICS:
        for arm, histories in runs.items():
            steps = [
                step for step in histories[0] if all(key in history.get(step, {}) for history in histories)
            ]
            points = [over_seeds(np.array([history[step][key] for history in histories])) for step in steps]
            result.setdefault(key, {})[arm] = {
                "step": [int(step) for step in steps],
                **{name: [getattr(point, name) for point in points] for name in ("value", "low", "high")},
            }
    return result
