"""One of lmms-eval's tasks on one checkpoint: runs inside the environment of `make benchmarks-env`.

python -m pipeline.evaluation.outside.inside --task gqa --checkpoint FOLDER --out FILE.json
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from lmms_eval.evaluator import simple_evaluate
from lmms_eval.tasks import TaskManager

from pipeline.evaluation.outside.model import Checkpoint


def main() -> None:
    """Run the task and write its metrics and every sample."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", required=True)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--include", type=Path, help="a folder with tasks of one's own")
    parser.add_argument("--batch-size", type=int, default=16)
    options = parser.parse_args()
    manager = TaskManager("WARNING", include_path=str(options.include) if options.include else None)
    if options.task not in manager.all_tasks:
        raise SystemExit(f"lmms-eval has no task {options.task!r}")
    found = simple_evaluate(
        Checkpoint(options.checkpoint, options.batch_size),
        tasks=[options.task],
        task_manager=manager,
        batch_size=options.batch_size,
        log_samples=True,
        bootstrap_iters=1000,
        verbosity="WARNING",
        cli_args=SimpleNamespace(output_path=str(options.out.parent), process_with_media=False),
    )
    content = {
        "metrics": {
            f"{task}.{metric}": value for task, values in found["results"].items()
            for metric, value in metrics_of(
                values, found["n-samples"].get(task, {}).get("effective"), found["higher_is_better"].get(task,
                {})
            ).items()
        },
        "samples": {task: [sample_of(row) for row in rows] for task, rows in found["samples"].items()},
    }  # fmt: skip
    options.out.write_text(json.dumps(content, indent=1, default=str) + "\n", encoding="utf-8")


def metrics_of(
    values: dict[str, Any], examples: int | None, higher_is_better: dict[str, bool | None]
) -> dict[str, dict[str, float | int | None]]:
    """``{metric: {value, stderr, n, higher_is_better}}`` of lmms-eval's ``{"metric,filter": .., ..}``."""
    found = {}
    for key, value in values.items():
        metric, comma, chosen = key.partition(",")
        if not comma or "_stderr" in metric or isinstance(value, bool) or not isinstance(value, (int, float)):
            continue
        stderr = values.get(f"{metric}_stderr,{chosen}")
        if not isinstance(stderr, (int, float)):
            stderr = values.get(f"{metric}_stderr_clt,{chosen}")
        name = metric if chosen == "none" else f"{metric} ({chosen})"
        known = float(stderr) if isinstance(stderr, (int, float)) else None
        found[name] = {
            "value": float(value), "stderr": known, "n": examples,
            "higher_is_better": higher_is_better.get(metric),
        }  # fmt: skip
    return found


def sample_of(row: dict[str, Any]) -> dict[str, Any]:
    """What is kept of a sample: its number, target, answer, and whatever the task's rule made of it."""
    answer = row.get("filtered_resps") or row.get("resps")
    while isinstance(answer, list) and len(answer) == 1:
        answer = answer[0]
    known = ("doc_id", "target")
    left_out = {
        "doc", "input", "arguments", "resps", "filtered_resps", "doc_hash", "prompt_hash", "target_hash",
        "token_counts",
    }  # fmt: skip
    rest = {key: value for key, value in row.items() if key not in left_out and key not in known}
    return {key: row.get(key) for key in known} | {"answer": answer} | rest


if __name__ == "__main__":
    main()
