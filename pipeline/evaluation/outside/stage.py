"""Stage ``benchmarks``: the tasks that ``evaluate.benchmarks`` names, by lmms-eval on every arm's checkpoint.

lmms-eval's needs sit in an environment of their own, ``.venv-benchmarks``, which ``make benchmarks-env``
makes. A task that is finished is not run again: a killed stage goes on, and another task in the list costs
that task.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from pipeline import params as parameters
from pipeline.errors import UserError
from pipeline.evaluation.outside import own
from pipeline.params import Params
from pipeline.tables import digests, folders

DATA, WORK = Path("data"), Path(".work")
PYTHON = Path(".venv-benchmarks/bin/python")
RESULTS = "results.json"


def main() -> None:
    """Run the benchmarks on every arm of ``params.yaml``."""
    params = parameters.load()
    trained = DATA / "models/finetune"

    def every_arm(folder: Path) -> None:
        for arm in params.arms:
            run(params, trained / arm, folder / arm)

    folders.publish(every_arm, DATA / "benchmarks")


def run(params: Params, checkpoint: Path, target: Path) -> None:
    """Write ``results.json``, ``{task: {metric: {value, stderr, low, high, n}}}``, and each task's samples.

    ``low`` and ``high`` are value ± 1.96 standard errors, as lmms-eval gives them, or null where it gives
    none.

    Raises:
        UserError: the environment is missing, or a task failed.
    """
    tasks = params.evaluate.benchmarks
    if tasks and not PYTHON.exists():
        raise UserError(
            f"evaluate.benchmarks names {', '.join(tasks)}, which need an environment of their own, and there"
            f" is no {PYTHON}: make it with `make benchmarks-env`, or empty the list."
        )
    done = WORK / "benchmarks" / digests.of_files(checkpoint) if tasks else WORK / "benchmarks"
    results = {}
    target.mkdir(parents=True, exist_ok=True)
    for task in tasks:
        found = _task(task, params, checkpoint, done)
        results[task] = {
            name.removeprefix(f"{task}."): _with_interval(value) for name, value in found["metrics"].items()
        }
        for name, rows in found["samples"].items():
            lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
            (target / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
    (target / RESULTS).write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


def _task(task: str, params: Params, checkpoint: Path, done: Path) -> dict[str, Any]:
    """What `inside` wrote of a task, which it is asked to only if it has not."""
    settings = params.model_dump(mode="json", include={"evaluate": {"examples"}, "source": True})
    out = done / (f"{task}-{digests.of_value(settings)}.json" if task == own.TASK else f"{task}.json")
    if not out.exists():
        out.parent.mkdir(parents=True, exist_ok=True)
        partial = out.with_suffix(".partial")
        command = [
            str(PYTHON), "-m", "pipeline.evaluation.outside.inside", "--task", task,
            "--checkpoint", str(checkpoint), "--out", str(partial), "--batch-size", "16",
        ]  # fmt: skip
        if task == own.TASK:
            folder = done / own.TASK
            own.write(_own_questions(params), DATA / "images", params.source.path, folder)
            command += ["--include", str(folder)]
        # The other environment finds this project here; it is not installed there.
        if subprocess.run(command, env=os.environ | {"PYTHONPATH": os.getcwd()}).returncode:
            raise UserError(f"evaluate.benchmarks: lmms-eval's task {task!r} did not finish (see above).")
        os.replace(partial, out)
    return json.loads(out.read_text(encoding="utf-8"))


def _own_questions(params: Params) -> list[dict[str, Any]]:
    """The questions that evaluation asks."""
    from pipeline.evaluation.answers import choose
    from pipeline.training import text
    from pipeline.training.stages import box_format

    parts = text.conversations(DATA, "test", box_format(params))
    rows = [row for part in parts for row in part if row["task"] == "question"]
    return choose(rows, params.evaluate.examples)


def _with_interval(found: dict[str, Any]) -> dict[str, Any]:
    value, stderr = found["value"], found["stderr"]
    half = None if stderr is None else 1.96 * stderr
    interval = {"low": None, "high": None} if half is None else {"low": value - half, "high": value + half}
    return {**found, **interval}
