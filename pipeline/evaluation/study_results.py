"""What a study found: means over seeds, paired differences from the first arm, curves, as ``study.json``.

Arms may have different seeds: a study that was stopped has done more of some. An arm's mean is over its own
seeds, a difference over those that both arms have. One seed gives a number without an interval.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from pipeline.evaluation.statistics import over_seeds, paired_over_seeds
from pipeline.tables.metrics import METRICS, Estimate, read_estimates, rounded

CURVE_METRICS = ("referring.accuracy", "question.accuracy", "instruction.accuracy", "captioning.objects")

Folders = Mapping[str, Mapping[int, Path]]
"""Of each arm, the baseline first, the folder of each seed that is done; at least one."""
Values = dict[str, dict[int, float]]
"""By metric and seed."""


def gather(folders: Folders, references: dict) -> dict:
    """``metrics.json``'s layout, of means over seeds and their 95 % intervals, with each seed's values.

    Differences are each other arm minus the first, paired by seed, with the p of Student's paired t-test;
    ``references`` are those of the test examples, to which each arm without its image is added. Where there
    is one seed alone, ``low``, ``high`` and ``p`` are null.
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
        "seeds_done": {arm: sorted(of_arm) for arm, of_arm in folders.items()},
        "by_seed": after,
    }


def _by_seed(folders: Folders, name: str) -> dict[str, Values]:
    """Each arm's metrics that all of its seeds have, a value a seed."""
    found = {}
    for arm, of_arm in folders.items():
        runs = {seed: read_estimates(of_arm[seed] / arm / name) for seed in sorted(of_arm)}
        keys = [metric.key for metric in METRICS if all(metric.key in run for run in runs.values())]
        found[arm] = {key: {seed: run[key].value for seed, run in runs.items()} for key in keys}
    return found


def _means(values: Values) -> dict[str, dict]:
    return {key: _written(_over(list(found.values()))) for key, found in values.items()}


def _differences(arms: dict[str, Values]) -> dict[str, dict[str, dict]]:
    first, *others = arms
    baseline = arms[first]
    found: dict[str, dict[str, dict]] = {arm: {} for arm in others}
    for arm in others:
        for key, mine in arms[arm].items():
            both = sorted(mine.keys() & baseline.get(key, {}).keys())
            if len(both) > 1:
                pair = paired_over_seeds(*([of[seed] for seed in both] for of in (mine, baseline[key])))
                found[arm][key] = _written(pair.estimate) | {"p": float(f"{pair.p:.9g}")}
            elif both:
                (seed,) = both
                found[arm][key] = _written(_over([mine[seed] - baseline[key][seed]])) | {"p": None}
    return found


def curves(folders: Folders) -> dict:
    """Each task over fine-tuning steps, mean and interval over seeds, on the validation split."""
    runs = {
        arm: [json.loads((folder / f"curves/tasks-{arm}.json").read_text()) for folder in of_arm.values()]
        for arm, of_arm in folders.items()
    }
    result: dict[str, dict] = {}
    for key in CURVE_METRICS:
        for arm, histories in runs.items():
            steps = [
                step for step in histories[0] if all(key in history.get(step, {}) for history in histories)
            ]
            points = [_over([history[step][key] for history in histories]) for step in steps]
            written = [_written(point) for point in points]
            result.setdefault(key, {})[arm] = {
                "step": [int(step) for step in steps],
                **{name: [point[name] for point in written] for name in ("value", "low", "high")},
            }
    return result


def _over(values: Sequence[float]) -> Estimate:
    """Mean over seeds; of one seed, its value without an interval."""
    if len(values) == 1:
        return Estimate(values[0], np.nan, np.nan, 1)
    return over_seeds(np.array(values))


def _written(found: Estimate) -> dict:
    """As JSON holds it: edges that are not known are null."""
    numbers = rounded(asdict(found))
    return numbers if found.has_interval else numbers | {"low": None, "high": None}
