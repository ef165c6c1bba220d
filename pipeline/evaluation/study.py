"""``make study``: the arms over several seeds, side by side, with paired differences and 95 % intervals.

Data, encoder, language model and features are those of ``dvc repro`` under the profile in ``params.yaml``,
made once. A seed changes the projector's first weights and the order of the data, the same for all arms.
Arms run at the same time, one process each, as many as there are cores. Everything lies under
``data/study``; what is there already is not run again, so a killed study goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import numpy as np
from transformers import AutoTokenizer, TrainerCallback

from pipeline import params as parameters
from pipeline.console import run_command
from pipeline.errors import UserError
from pipeline.evaluation import subjects as loading
from pipeline.evaluation.answers import predict, summarise
from pipeline.evaluation.evaluate import evaluate
from pipeline.evaluation.references import references
from pipeline.evaluation.statistics import over_seeds, paired_over_seeds
from pipeline.params import Params
from pipeline.tables import digests
from pipeline.tables.metrics import METRICS, read_estimates, rounded
from pipeline.training.runtime import DATA, prepare, publish
from pipeline.training.stages import Run, finetune, pretrain

CURVE_METRICS = ("referring.accuracy", "question.accuracy", "instruction.accuracy", "captioning.objects")


def main() -> None:
    """Run the study, or one arm of one seed of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5, help="how many seeds")
    parser.add_argument("--arm", help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    params = parameters.load()
    root = DATA / "study" / study_digest(params)
    if options.arm:
        one(params, Run(options.arm, options.seed, root / f"seed-{options.seed}"))
        return
    if options.seeds < 2:
        raise UserError(f"--seeds {options.seeds}: an interval over seeds needs two or more")
    for needed in ("features", "patch_words", "models/encoder", "models/language_model"):
        if not (DATA / needed).exists():
            raise UserError(
                f"data/{needed} is missing: run `dvc repro features patch_words language_model` first"
            )
    seeds = [params.seed + number for number in range(options.seeds)]
    for seed in seeds:
        side_by_side(root, seed, params.arms)
    floors = root / "references.json"
    if not floors.exists():
        prepare(params.seed, params.compute.threads)
        found = references(params, loading.load(params, DATA), DATA, params.seed)
        table = {name: {k: rounded(asdict(v)) for k, v in values.items()} for name, values in found.items()}
        floors.write_text(json.dumps(table, indent=2) + "\n")
    result = gather(root, seeds, params.arms, f"make study SEEDS={options.seeds}")
    (DATA / "study.json").write_text(json.dumps(result, indent=2) + "\n")


def study_digest(params: Params) -> str:
    """What the study's results depend on: every setting but where shards run and what the report draws."""
    inputs = digests.of_value(
        [
            digests.of_files(DATA / name, "*.safetensors")
            for name in ("models/encoder", "models/language_model")
        ]
    )
    settings = params.model_dump(mode="json", exclude={"profile", "compute", "report"})
    del settings["evaluate"]["benchmarks"]
    return digests.of_value([settings, inputs])


def side_by_side(root: Path, seed: int, arms: Sequence[str]) -> None:
    """Run what is missing of a seed: each arm in a process of its own, the cores shared out."""
    missing = [arm for arm in arms if not (root / f"seed-{seed}" / arm / "metrics.json").exists()]
    cores = os.cpu_count() or 1
    at_once = min(len(missing), cores)

    def run(arm: str) -> int:
        command = [sys.executable, "-m", "pipeline.evaluation.study", "--arm", arm, "--seed", str(seed)]
        threads = {"OMP_NUM_THREADS": str(cores // at_once)}
        return subprocess.run(command, env=os.environ | threads, check=False).returncode

    with ThreadPoolExecutor(max(at_once, 1)) as pool:
        failed = [arm for arm, status in zip(missing, pool.map(run, missing), strict=True) if status]
    if failed:
        raise UserError(
            f"seed {seed} of {', '.join(failed)} did not finish (see above); run the same"
            " command again to go on"
        )


def one(params: Params, run: Run) -> None:
    """Pre-train, fine-tune and evaluate one arm with one seed."""
    prepare(run.seed, params.compute.threads)
    if not run.pretrained.exists():
        pretrain(params, run)
    if not run.finetuned.exists():
        finetune(params, run, [TaskCurve(params, run)])
    subjects = loading.load(params, DATA)
    publish(lambda folder: evaluate(params, run, subjects, folder), run.root / run.arm)


class TaskCurve(TrainerCallback):
    """Scores the tasks on the validation split at even intervals of fine-tuning."""

    def __init__(self, params: Params, run: Run, points: int = 6) -> None:
        self._params, self._path = params, run.curve("tasks").with_suffix(".json")
        self._subjects = loading.load(params, DATA, "validation", examples=300)
        self._tokenizer = AutoTokenizer.from_pretrained(DATA / "models/language_model")
        self._every = max(1, params.train.finetune.steps // points)
        self._rows: dict[str, dict] = json.loads(self._path.read_text()) if self._path.exists() else {}

    def on_step_end(self, args, state, control, model=None, **kwargs):
        """Score when it is time."""
        if state.global_step % self._every == 0:
            model.eval()
            reader = loading.image_reader(model, self._tokenizer, self._subjects)
            rows = [row for row in self._subjects.rows if row["task"] != "region"]
            found = predict(reader, rows, self._subjects.world, self._subjects.boxes, self._params.evaluate)
            estimates = summarise(found, self._subjects.world, self._params.evaluate, self._params.seed)
            self._rows[str(state.global_step)] = {
                key: estimates[key].value for key in CURVE_METRICS if key in estimates
            }
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.write_text(json.dumps(self._rows, indent=2) + "\n")
            model.train()


def gather(root: Path, seeds: Sequence[int], arms: Sequence[str], command: str) -> dict:
    """What ``study.json`` holds: ``metrics.json``'s layout, of means over seeds and their 95 % intervals.

    Differences are each other arm minus the first, paired by seed; references are those of the test
    examples, and each arm without its image.
    """
    references = json.loads((root / "references.json").read_text())
    after = _by_seed(root, seeds, arms, "metrics.json")
    before = _by_seed(root, seeds, arms, "pretrained.json")
    for arm, blind in _by_seed(root, seeds, arms, "no_image.json").items():
        references[f"no image: {arm}"] = _means(blind)
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    return {
        "command": command,
        "commit": commit.stdout.strip(),
        "seeds": len(seeds),
        "arms": {arm: _means(values) for arm, values in after.items()},
        "references": references,
        "differences": _differences(after),
        "pretrained": {arm: _means(values) for arm, values in before.items()},
        "pretrained_differences": _differences(before),
        "curves": curves(root, seeds, arms),
    }


def _by_seed(
    root: Path, seeds: Sequence[int], arms: Sequence[str], name: str
) -> dict[str, dict[str, list[float]]]:
    """Each arm's metrics, a value a seed."""
    found = {}
    for arm in arms:
        runs = [read_estimates(root / f"seed-{seed}" / arm / name) for seed in seeds]
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


def curves(root: Path, seeds: Sequence[int], arms: Sequence[str]) -> dict:
    """Each task over fine-tuning steps, mean and interval over seeds, on the validation split."""
    runs = {
        arm: [json.loads((root / f"seed-{s}/curves/tasks-{arm}.json").read_text()) for s in seeds]
        for arm in arms
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


if __name__ == "__main__":
    run_command(main)
