"""Stage ``evaluate@ARM``: an arm on the test split, after pre-training and after fine-tuning."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

from pipeline import params as parameters
from pipeline.console import run_command
from pipeline.evaluation import subjects as loading
from pipeline.evaluation.analysis import measures_table, write_curves
from pipeline.evaluation.answers import predict
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
        answered = answer(params, run, subjects)
    if not processes.rank():
        publish(lambda folder: evaluate(params, run, subjects, answered, folder), DATA / "evaluation" / arm)


@dataclass(frozen=True)
class Answered:
    """An arm's ``predictions``."""

    captions: pa.Table
    """Of the caption examples alone, before fine-tuning."""
    predictions: pa.Table
    guesses: pa.Table
    """Behind one featureless image."""


def answer(params: Params, run: Run, subjects: Subjects) -> Answered:
    """All that an arm answers; of several processes each answers a part, and all have the whole."""
    with Progress(f"answers of {run.arm}", 3, quiet=bool(processes.rank())) as progress:
        model, processor = llava.load(run.pretrained)
        captions = captions_of(model, processor, subjects, params)
        progress.advance()
        model, processor = llava.load(run.finetuned)
        move(model)
        found = []
        for blank in (None, loading.mean_image(subjects.features)):
            reader = loading.image_reader(model, processor.tokenizer, subjects, blank)
            found.append(predict(reader, subjects.rows, subjects.world, subjects.boxes, params.evaluate))
            progress.advance()
    return Answered(captions, *found)


def evaluate(params: Params, run: Run, subjects: Subjects, answered: Answered, folder: Path) -> Estimates:
    """Write an arm's estimates, predictions and similarity maps; returns the estimates after fine-tuning."""
    settings, seed, made_from = params.evaluate, params.seed, Provenance(params.evaluate.digest())

    def keep(name: str, table: pa.Table, folder: Path) -> None:
        dataset.write_part(folder, 0, table, name, made_from)

    with Progress(f"evaluate {run.arm}", 3) as progress, JavaScorers(settings.java) as java:
        model, processor = llava.load(run.pretrained)
        found = loading.analysed(model, processor.tokenizer, subjects, settings, seed)
        curves = {"pretrained": found.curves}
        described = measure(answered.captions, subjects.world, java)
        write_estimates(folder / "pretrained.json", found.estimates | described.estimates(settings, seed))
        keep("similarity_maps", found.maps, folder / "similarity_maps")
        measures = pa.concat_tables([found.measures, measures_table(described.values)])
        keep("measures", measures, folder / "measures_pretrained")
        keep("patch_labels", found.labels, folder / "patch_labels")
        progress.advance()

        model, processor = llava.load(run.finetuned)
        found = loading.analysed(model, processor.tokenizer, subjects, settings, seed)
        keep("similarity_maps", found.maps, folder / "similarity_maps_finetuned")
        keep("patch_labels", found.labels, folder / "patch_labels_finetuned")
        write_curves(folder / "curves.json", curves | {"finetuned": found.curves})
        progress.advance()

        keep("predictions", answered.predictions, folder / "predictions")
        scored = measure(answered.predictions, subjects.world, java)
        measures = pa.concat_tables([found.measures, measures_table(scored.values)])
        keep("measures", measures, folder / "measures")
        estimates = found.estimates | scored.estimates(settings, seed)
        write_estimates(folder / "metrics.json", estimates)
        (folder / "unmeasured.json").write_text(json.dumps(scored.unmeasured, indent=2) + "\n")
        guessed = measure(answered.guesses, subjects.world, java).estimates(settings, seed)
        write_estimates(folder / "no_image.json", guessed)
        progress.advance()
    return estimates


def captions_of(model, processor, subjects: Subjects, params: Params):
    """Predictions for the caption examples, asked as in pre-training: no question, the caption follows."""
    move(model)
    reader = loading.image_reader(model, processor.tokenizer, subjects)
    rows = [row for row in subjects.rows if row["task"] == "caption"]
    chat = ChatFormat.of(processor.tokenizer, IMAGE)
    unasked = replace(reader, ask=lambda _: chat.caption_prompt())
    return predict(unasked, rows, subjects.world, subjects.boxes, params.evaluate)


if __name__ == "__main__":
    run_command(main)
