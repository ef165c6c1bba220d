"""What the task needs, as lmms-eval loads it from beside its YAML file: nothing of this project's scoring."""

from __future__ import annotations

from typing import Any

from lmms_eval.tasks._task_utils.vqa_eval_metric import EvalAIAnswerProcessor

_PROCESS = EvalAIAnswerProcessor()


def doc_to_visual(doc: dict[str, Any]) -> list:
    """The question's picture."""
    return [doc["image"].convert("RGB")]


def process_results(doc: dict[str, Any], results: list[str]) -> dict[str, float]:
    """1.0 if the answer is the reference after lmms-eval's own normalisation, else 0.0."""
    return {"accuracy": float(_PROCESS(results[0]) == _PROCESS(doc["answer"]))}
