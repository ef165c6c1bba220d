"""Curves, counts and a study of a made project, in the exact formats of the stages."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np


def write_curves(folder: Path, rng: np.random.Generator, arms: Sequence[str]) -> None:
    folder.mkdir()

    def falling(steps: np.ndarray, start: float, end: float) -> np.ndarray:
        return end + (start - end) * np.exp(-steps / steps[-1] * 4) + rng.normal(0, 0.05, len(steps))

    for run, steps in (("encoder", 600), ("language_model", 1500)):
        x = np.arange(0, steps, 5)
        lines = [f"{s},{v:.4f},0.001" for s, v in zip(x, falling(x, 4, 1), strict=True)]
        (folder / f"{run}.csv").write_text("\n".join(["step,loss,learning_rate", *lines, ""]))
    for arm in arms:
        low = 0.8 if arm == "caption" else 0.2
        x = np.arange(0, 200, 2)
        pairs = zip(x, falling(x, 3, 1.5), falling(x, 1, low), strict=True)
        lines = [f"{s},{c:.4f},{p:.4f}" for s, c, p in pairs]
        (folder / f"pretrain-{arm}.csv").write_text("\n".join(["step,caption_loss,patch_loss", *lines, ""]))
        x = np.arange(0, 1400, 10)
        shown = [f"{0.3 * s / 1400:.3f}" if s % 200 == 0 else "" for s in x]
        lines = [f"{s},{v:.4f},{r}" for s, v, r in zip(x, falling(x, 3, 0.5), shown, strict=True)]
        head = "step,loss,validation.referring.accuracy"
        (folder / f"finetune-{arm}.csv").write_text("\n".join([head, *lines, ""]))


def write_summaries(folder: Path) -> None:
    folder.mkdir()
    summaries = {
        "ingest": {"rows_in": 12034, "rows_out": {"images": 1200, "captions": 2400, "objects": 4100,
                                                  "conversations": 4331}, "rejected": {"image_corrupt": 3}},
        "parse": {"rows_in": 6900, "rows_out": {"phrases": 6100},
                  "rejected": {"pronoun": 412, "relational_noun": 301, "no_visible_thing": 87}},
        "ground": {"rows_in": 6100, "rows_out": {"regions": 6420}, "rejected": {"no_object": 44}},
        "patch_words": {"rows_in": 6056, "rows_out": {"patch_words": 6050},
                        "rejected": {"below_min_coverage": 6}},
    }  # fmt: skip
    for stage, summary in summaries.items():
        (folder / f"{stage}.json").write_text(json.dumps(summary))


def study(arms: Sequence[str]) -> dict:
    def spread(value: float, half: float = 0.03) -> dict:
        return {"value": value, "low": value - half, "high": value + half, "n": 5}

    baseline, *others = arms

    def compared(values: dict[str, tuple[float, float]]) -> tuple[dict, dict]:
        found = {baseline: {key: spread(first) for key, (first, _) in values.items()}}
        found |= {arm: {key: spread(second) for key, (_, second) in values.items()} for arm in others}
        apart = {key: spread(second - first) for key, (first, second) in values.items()}
        return found, dict.fromkeys(others, apart)

    after, differences = compared({
        "alignment.top1": (0.44, 0.61), "captioning.objects": (0.486, 0.444),
        "referring.accuracy": (0.46, 0.47), "question.accuracy": (0.658, 0.654),
    })  # fmt: skip
    pretrained, pretrained_differences = compared({"alignment.top1": (0.3, 0.9)})
    steps = [400, 800, 1200, 1600]
    return {
        "command": "make study SEEDS=5", "commit": "0123abcd", "seeds": 5,
        "arms": after, "differences": differences,
        "references": {"random true box": {"referring.accuracy": spread(0.36)}},
        "pretrained": pretrained, "pretrained_differences": pretrained_differences,
        "curves": {
            "referring.accuracy": {
                arm: {"step": steps, "value": [0.1, 0.2, 0.35, 0.46], "low": [0.08, 0.17, 0.32, 0.43],
                      "high": [0.12, 0.23, 0.38, 0.49]}
                for arm in arms
            }
        },
    }  # fmt: skip
