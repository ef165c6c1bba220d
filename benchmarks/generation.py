"""Batched answers against one at a time, in one run: the scenes' examples, a model of the profile's size.

    python -m benchmarks.generation                    # params.yaml's sizes: a minute or two on two cores
    python -m benchmarks.generation --examples 800

The model is untrained, so its answers do not end by themselves: each task's answers are as long as the median
of its references. Both ways have to give the same answers, or the benchmark fails. Prints answers a second.

Seen with --examples 400 on a busy machine, one thread: 6.3 x over all 2,000 answers; captions 10.6 x,
referring 5.8 x, regions 6.1 x, questions 4.4 x, instructions 3.4 x (the shortest answers gain least: most of
their time is the reading of the prompt, which is work either way).
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from pipeline import params as parameters
from pipeline.evaluation.answers import TASKS, choose
from pipeline.models import language_model, vocabulary
from pipeline.models.boxes import BoxFormat
from pipeline.models.chat import ChatFormat, encode
from pipeline.models.generation import answer_all
from pipeline.models.vocabulary import IMAGE
from pipeline.sources import open_source
from pipeline.training.text import with_box


def examples(params: parameters.Params, most: int) -> list[dict]:
    """Test examples of made scenes, ``most`` of each task, with ``prompt`` and ``reference``."""
    boxes = BoxFormat("bins", params.language_model.trained.box_bins)
    scenes = params.source.scenes.model_copy(update={"train": 1, "validation": 1, "test": 2 * most})
    made = params.source.model_copy(update={"name": "scenes", "scenes": scenes, "shard_size": 1000})
    source = open_source(made, params.seed)
    rows = []
    for shard in range(source.shard_count()):
        tables = source.read(shard)
        sizes = {row["image_id"]: (row["width"], row["height"]) for row in tables["images"].to_pylist()}
        for row in tables["conversations"].to_pylist():
            if row["split"] == "test":
                size = sizes[row["image_id"]]
                row["prompt"] = with_box(row["turns"][0]["text"], row["box"], size, boxes)
                row["reference"] = with_box(row["answer"], row["box"], size, boxes)
                rows.append(row)
    return choose(rows, most)


def main() -> None:
    """Time both ways, task by task, and check that they agree."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--examples", type=int, default=100, help="of each task")
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    args = parser.parse_args()
    params = parameters.load(args.params)
    rows = examples(params, args.examples)
    texts = [row[name] for row in rows for name in ("prompt", "reference")]
    settings = params.language_model.trained
    tokenizer = vocabulary.build(texts, BoxFormat("bins", settings.box_bins).words())
    torch.manual_seed(0)
    model = language_model.build(settings, tokenizer, params.seed).eval()
    for matrix in model.parameters():  # weights so large that what is asked changes what is said
        if matrix.ndim > 1:
            matrix.data.normal_(0, 0.3)
    chat = ChatFormat.of(tokenizer, IMAGE)
    patches = (params.encoder.trained.image_size // params.encoder.trained.patch_size) ** 2
    prefixes = torch.randn(len(rows), 1 + patches, settings.width)

    total = {"batched": 0.0, "one at a time": 0.0}
    batches = {"batched": params.evaluate.batch_size, "one at a time": 1}
    for task in TASKS:
        places = np.array([place for place, row in enumerate(rows) if row["task"] == task])
        references = encode(tokenizer, [chat.answer(rows[place]["reference"]) for place in places])
        limit = int(np.median([len(reference) for reference in references]))
        prompts = encode(tokenizer, [chat.prompt(rows[place]["prompt"]) for place in places])
        found, seconds = {}, {}
        for way, batch in batches.items():
            start = time.perf_counter()
            found[way] = answer_all(
                model.get_decoder(), model.lm_head, lambda some, places=places: prefixes[places[some]],
                np.full(len(places), 1 + patches), prompts, -1, limit, batch,
            )  # fmt: skip
            seconds[way] = time.perf_counter() - start
            total[way] += seconds[way]
        if found["batched"] != found["one at a time"]:
            raise SystemExit(f"{task}: the two ways do not give the same answers")
        speed = {way: len(places) / spent for way, spent in seconds.items()}
        print(
            f"{task:12} {len(places):4} of {limit:2} tokens, {len({len(p) for p in prompts}):2} lengths:"
            f" {speed['batched']:8.0f} answers/s batched, {speed['one at a time']:6.1f} one at a time,"
            f" {speed['batched'] / speed['one at a time']:5.1f} x"
        )
    print(f"all, {len(rows)} answers, the same both ways: {total['one at a time'] / total['batched']:.1f} x")


if __name__ == "__main__":
    main()
