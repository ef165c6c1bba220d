"""Stage ``evaluate@ARM``: an arm on the test split, after pre-training and after fine-tuning."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
from transformers import LlavaForConditionalGeneration

from pipeline import params as parameters
from pipeline.console import run_command
from pipeline.evaluation import subjects as loading
from pipeline.evaluation.analysis import Analysis, measures_table, write_curves
from pipeline.evaluation.answers import Reader, predict
from pipeline.evaluation.caption_scores import JavaScorers
from pipeline.evaluation.scores import measure
from pipeline.evaluation.subjects import Subjects
from pipeline.models import llava
from pipeline.models.chat import ChatFormat
from pipeline.models.vocabulary import IMAGE
from pipeline.params import Params
from pipeline.tables import dataset
from pipeline.tables.dataset import Provenance
from pipeline.tables.metrics import Estimates, write_estimates
from pipeline.training import processes
from pipeline.training.run import Run
from pipeline.training.runtime import DATA, Progress, move, prepare, publish


def main() -> None:
    """Evaluate one arm of ``params.yaml``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--arm", required=True, help="name of an arm of train.arms")
    arm = parser.parse_args().arm
    params = parameters.load()
    params.arm(arm)  # there is such an arm
    processes.launch(params.compute, "pipeline.evaluation.evaluate", sys.argv[1:])
    prepare(params.seed, params.compute.threads)
    run = Run(arm, params.seed)
    subjects = loading.load(params, DATA)
    with processes.joined():
        examined = examine(params, run, subjects)
    if not processes.rank():
        publish(lambda folder: evaluate(params, run, subjects, examined, folder), DATA / "evaluation" / arm)


@dataclass(frozen=True)
class Examined:
    """What an arm's two checkpoints answered, and what was found about their projectors."""

    captions: pa.Table
    """``predictions`` of the caption examples alone, before fine-tuning."""
    predictions: pa.Table
    guesses: pa.Table
    """``predictions`` behind one featureless image."""
    analyses: tuple[Analysis, ...]
    """Before and after fine-tuning; empty in every process but the first."""


def examine(params: Params, run: Run, subjects: Subjects) -> Examined:
    """All that needs an arm's models, each loaded once.

    Of several processes each answers a part, and all have the whole; the first analyses the projectors.
    """
    quiet = bool(processes.rank())
    analyses: list[Analysis] = []
    with Progress(f"examine {run.arm}", 3 if quiet else 5, quiet=quiet) as progress:

        def opened(checkpoint: Path) -> tuple[LlavaForConditionalGeneration, Any]:
            model, processor = llava.load(checkpoint)
            tokenizer = processor.tokenizer
            if not quiet:
                analyses.append(loading.analysed(model, tokenizer, subjects, params.evaluate, params.seed))
                progress.advance()
            move(model)
            return model, tokenizer

        def answers(reader: Reader, rows: list[dict]) -> pa.Table:
            found = predict(reader, rows, subjects.world, subjects.boxes, params.evaluate)
            progress.advance()
            return found

        described = [row for row in subjects.rows if row["task"] == "caption"]
        # No name is kept for this model: two at a time might be more than a GPU holds.
        captions = answers(captioner(*opened(run.pretrained), subjects), described)
        model, tokenizer = opened(run.finetuned)
        predictions = answers(loading.image_reader(model, tokenizer, subjects), subjects.rows)
        blank = loading.mean_image(subjects.features)
        guesses = answers(loading.image_reader(model, tokenizer, subjects, blank), subjects.rows)
    return Examined(captions, predictions, guesses, tuple(analyses))


def captioner(model: LlavaForConditionalGeneration, tokenizer, subjects: Subjects) -> Reader:
    """A reader that is asked as in pre-training: no question, the caption follows."""
    caption_prompt = ChatFormat.of(tokenizer, IMAGE).caption_prompt()
    return replace(loading.image_reader(model, tokenizer, subjects), ask=lambda _: caption_prompt)


def evaluate(params: Params, run: Run, subjects: Subjects, examined: Examined, folder: Path) -> Estimates:
    """Write an arm's estimates, predictions and similarity maps; returns the estimates after fine-tuning."""
    settings, seed, made_from = params.evaluate, params.seed, Provenance(params.evaluate.digest())
    pretrained, finetuned = examined.analyses

    def keep(name: str, table: pa.Table, folder: Path) -> None:
        dataset.write_part(folder, 0, table, name, made_from)

    curves = {"pretrained": pretrained.curves, "finetuned": finetuned.curves}
    write_curves(folder / "curves.json", curves)
    for found, suffix in ((pretrained, ""), (finetuned, "_finetuned")):
        keep("similarity_maps", found.maps, folder / f"similarity_maps{suffix}")
        keep("patch_labels", found.labels, folder / f"patch_labels{suffix}")

    with Progress(f"evaluate {run.arm}", 3) as progress, JavaScorers(settings.java) as java:
        described = measure(examined.captions, subjects.world, java)
        write_estimates(
            folder / "pretrained.json", pretrained.estimates | described.estimates(settings, seed)
        )
        measures = pa.concat_tables([pretrained.measures, measures_table(described.values)])
        keep("measures", measures, folder / "measures_pretrained")
        progress.advance()

        keep("predictions", examined.predictions, folder / "predictions")
        scored = measure(examined.predictions, subjects.world, java)
        measures = pa.concat_tables([finetuned.measures, measures_table(scored.values)])
        keep("measures", measures, folder / "measures")
        estimates = finetuned.estimates | scored.estimates(settings, seed)
        write_estimates(folder / "metrics.json", estimates)
        (folder / "unmeasured.json").write_text(json.dumps(scored.unmeasured, indent=2) + "\n")
        progress.advance()

        guessed = measure(examined.guesses, subjects.world, java).estimates(settings, seed)
        write_estimates(folder / "no_image.json", guessed)
        progress.advance()
    return estimates


if __name__ == "__main__":
    run_command(main)
