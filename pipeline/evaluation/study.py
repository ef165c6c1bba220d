"""``make study``: arms over several seeds, side by side, with paired differences and 95 % intervals.

Data, encoder, language model and features are those of ``dvc repro`` under the profile in ``params.yaml``,
made once. A seed changes the projector's first weights and the order of the data, the same for all arms.
Runs go side by side, one process each whatever ``compute.processes`` says, GPUs in turn. Everything lies
under ``data/study``, in a folder for what all arms share and in it one for each arm's own settings; what is
there already is not run again. So a killed study goes on, and another arm or seed costs that arm or seed.
``study.json`` is written anew after each run, of the runs that are done: it says how many seeds each arm has.
`study_results` says what is made of the runs.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from queue import Queue
from threading import Lock

import torch
from transformers import AutoTokenizer, TrainerCallback

from pipeline import commit
from pipeline import params as parameters
from pipeline.console import run_command
from pipeline.errors import UserError
from pipeline.evaluation import study_results
from pipeline.evaluation import subjects as loading
from pipeline.evaluation.answers import predict, summarise
from pipeline.evaluation.evaluate import evaluate, examine
from pipeline.evaluation.references import references
from pipeline.params import Params
from pipeline.tables import digests
from pipeline.tables.metrics import rounded
from pipeline.training.run import Run
from pipeline.training.runtime import DATA, prepare, publish
from pipeline.training.stages import finetune, pretrain
from pipeline.training.step import Step

COMPARISON = DATA / "comparisons/study.json"


def main() -> None:
    """Run the study, or one arm of one seed of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5, help="how many seeds")
    parser.add_argument("--arms", help="arms of train.arms, by comma, the baseline first; none: all of them")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="runs at a time")
    parser.add_argument("--arm", help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    params = parameters.load()
    if options.arm:
        one(params, run_of(params, options.arm, options.seed))
        return
    arms = chosen(params, options.arms)
    check(options.seeds, options.jobs)
    seeds = [params.seed + number for number in range(options.seeds)]
    runs = [run_of(params, arm, seed) for seed in seeds for arm in arms]
    references = floors(params)
    named = f" ARMS={','.join(arms)}" if options.arms else ""
    about = {
        "command": f"make study SEEDS={options.seeds}{named}",
        "commit": commit.current(),
        "profile": params.profile,
        "settings": {arm: params.arm(arm).model_dump(mode="json") for arm in arms},
        "seeds": options.seeds,
    }

    def gathered() -> None:
        publish_results(runs, about, references)

    gathered()
    side_by_side([run for run in runs if not results_of(run).exists()], options.jobs, gathered)


def publish_results(runs: Sequence[Run], about: dict, references: dict) -> None:
    """Write ``study.json`` of the runs that are done; nothing before the first arm has one."""
    folders: dict[str, dict[int, Path]] = {}
    for run in runs:
        of_arm = folders.setdefault(run.arm, {})
        if results_of(run).exists():
            of_arm[run.seed] = run.root
    if not next(iter(folders.values())):
        return
    found = study_results.gather({arm: done for arm, done in folders.items() if done}, references)
    COMPARISON.parent.mkdir(parents=True, exist_ok=True)
    whole = COMPARISON.with_name(COMPARISON.name + ".partial")
    whole.write_text(json.dumps(about | found, indent=2) + "\n")
    os.replace(whole, COMPARISON)


def chosen(params: Params, named: str | None) -> list[str]:
    """The arms that are compared: those named, or all.

    Raises:
        UserError: there is no such arm, or it is named twice.
    """
    arms = [name.strip() for name in named.split(",")] if named else params.arms
    for arm in arms:
        params.arm(arm)
    if len(set(arms)) < len(arms):
        raise UserError(f"--arms {named}: name each arm once")
    return arms


def check(seeds: int, jobs: int) -> None:
    """Refuse what cannot be run.

    Raises:
        UserError: too few seeds or jobs, or what the arms share has not been built.
    """
    if seeds < 2:
        raise UserError(f"--seeds {seeds}: an interval over seeds needs two or more")
    if jobs < 1:
        raise UserError(f"--jobs {jobs}: one run at a time is the least")
    for needed in ("features", "patch_words", "true_words", "models/encoder", "models/language_model"):
        if not (DATA / needed).exists():
            raise UserError(
                f"data/{needed} is missing: run `dvc repro features true_words language_model` first"
            )


def shared(params: Params) -> Path:
    """Folder of what depends on nothing that arms differ in: all settings but theirs, and the inputs."""
    weights = [DATA / name for name in ("models/encoder", "models/language_model")]
    settings = params.model_dump(mode="json", exclude={"profile", "compute", "report"})
    for name in ("arms", "cache_features"):  # the latter changes no result
        del settings["train"][name]
    inputs = digests.of_value([digests.of_files(folder, "*.safetensors") for folder in weights])
    return DATA / "study" / digests.of_value([settings, inputs])


def run_of(params: Params, arm: str, seed: int) -> Run:
    """An arm with a seed, in the folder of the arm's settings."""
    return Run(arm, seed, shared(params) / f"{arm}-{params.arm(arm).digest()}" / f"seed-{seed}")


def results_of(run: Run) -> Path:
    """What is there once the run is done."""
    return run.root / run.arm / "metrics.json"


def side_by_side(missing: Sequence[Run], jobs: int, after: Callable[[], None] = lambda: None) -> None:
    """Run what is missing, each run in a process of its own, the cores shared out; ``after`` follows each.

    Raises:
        UserError: a run failed; the others were finished first.
    """
    at_once = max(1, min(len(missing), jobs))
    threads = {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // at_once))}

    gpus = [str(gpu) for gpu in range(torch.cuda.device_count())]
    if "CUDA_VISIBLE_DEVICES" in os.environ:
        gpus = os.environ["CUDA_VISIBLE_DEVICES"].split(",")
    free: Queue[str] = Queue()
    for job in range(at_once):
        free.put(gpus[job % len(gpus)] if gpus else "")
    one_at_a_time = Lock()

    def start(run: Run) -> int:
        command = [sys.executable, "-m", "pipeline.evaluation.study"]
        which = ["--arm", run.arm, "--seed", str(run.seed)]
        gpu = free.get()
        try:
            device = {"CUDA_VISIBLE_DEVICES": gpu} if gpu else {}
            status = subprocess.run(
                [*command, *which], env=os.environ | threads | device, check=False
            ).returncode
        finally:
            free.put(gpu)
        with one_at_a_time:
            after()
        return status

    with ThreadPoolExecutor(at_once) as pool:
        ended = list(pool.map(start, missing))
    failed = [f"{run.arm} (seed {run.seed})" for run, status in zip(missing, ended, strict=True) if status]
    if failed:
        raise UserError(
            f"{', '.join(failed)} did not finish (see above); run the same command again to go on"
        )


def one(params: Params, run: Run) -> None:
    """Pre-train, fine-tune and evaluate one arm with one seed."""
    prepare(run.seed, params.compute.threads)
    if not run.pretrained.exists():
        pretrain(params, run)
    if not run.finetuned.exists():
        finetune(params, run, [TaskCurve(params, run)])
    subjects = loading.load(params, DATA)
    examined = examine(params, run, subjects)
    publish(lambda folder: evaluate(params, run, subjects, examined, folder), run.root / run.arm)


def floors(params: Params) -> dict[str, dict]:
    """References of the test examples, which no arm has a part in; made once."""
    file = shared(params) / "references.json"
    if not file.exists():
        prepare(params.seed, params.compute.threads)
        found = references(params, loading.load(params, DATA), DATA, params.seed)
        table = {name: {k: rounded(asdict(v)) for k, v in values.items()} for name, values in found.items()}
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(table, indent=2) + "\n")
    return json.loads(file.read_text())


class TaskCurve(TrainerCallback):
    """Scores the tasks on the validation split at even intervals of fine-tuning."""

    def __init__(self, params: Params, run: Run, points: int = 6) -> None:
        self._params, self._path = params, run.curve("tasks").with_suffix(".json")
        examples = min(300, params.evaluate.examples)
        self._subjects = loading.load(params, DATA, "validation", examples=examples)
        self._asked = [row for row in self._subjects.rows if row["task"] != "region"]
        self._tokenizer = AutoTokenizer.from_pretrained(run.pretrained)
        self._every = max(1, params.train.finetune.steps // points)
        self._rows: dict[str, dict] = json.loads(self._path.read_text()) if self._path.exists() else {}

    def on_step_end(self, args, state, control, model=None, **kwargs):
        """Score when it is time."""
        if state.global_step % self._every == 0:
            model = model.model if isinstance(model, Step) else model
            model.eval()
            reader = loading.image_reader(model, self._tokenizer, self._subjects)
            world, boxes, settings = self._subjects.world, self._subjects.boxes, self._params.evaluate
            found = predict(reader, self._asked, world, boxes, settings)
            estimates = summarise(found, world, settings, self._params.seed)
            self._rows[str(state.global_step)] = {
                key: estimates[key].value for key in study_results.CURVE_METRICS if key in estimates
            }
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.write_text(json.dumps(self._rows, indent=2) + "\n")
            model.train()


if __name__ == "__main__":
    run_command(main)
