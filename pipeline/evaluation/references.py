"""Stage ``references``: floors and the ceiling, which stand beside the arms.

Floors: the projector before any training, the commonest answer of the training split, and one of the image's
true boxes at random. Ceilings: the language model given the scene in words instead of the image, and, for
what linear probes read from vision tokens, what they read from the encoder's features.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np

from pipeline import params as parameters
from pipeline.console import run_command
from pipeline.evaluation import referring, vqa
from pipeline.evaluation import subjects as loading
from pipeline.evaluation.analysis import Analysis, probe_features, write_curves
from pipeline.evaluation.answers import predict, score, summarise
from pipeline.evaluation.statistics import estimate
from pipeline.evaluation.subjects import Subjects
from pipeline.models import language_model as language_models
from pipeline.models import llava
from pipeline.params import Params
from pipeline.tables import dataset
from pipeline.tables.dataset import Provenance
from pipeline.tables.metrics import Estimates, rounded
from pipeline.training import text
from pipeline.training.runtime import DATA, Progress, move, prepare, publish

GUESSED = ("question", "instruction", "region")
"""Tasks whose answers a guesser can know from the training split."""


def main() -> None:
    """Write ``data/evaluation/references`` from ``params.yaml``."""
    params = parameters.load()
    prepare(params.seed, params.compute.threads)
    subjects = loading.load(params, DATA)

    def build(folder: Path) -> None:
        projector = untrained(params, subjects, DATA, params.seed)
        write(references(params, subjects, DATA, params.seed, projector), folder)
        made_from = Provenance(params.evaluate.digest())
        dataset.write_part(folder / "measures", 0, projector.measures, "measures", made_from)
        write_curves(folder / "curves.json", {"untrained": projector.curves})

    publish(build, DATA / "evaluation/references")


def references(
    params: Params, subjects: Subjects, data: Path, seed: int, projector: Analysis | None = None
) -> dict[str, Estimates]:
    """Estimates by reference; ``projector`` is the untrained one's analysis, where it is there already."""
    with Progress("references", 5) as progress:
        found = {"untrained projector": (projector or untrained(params, subjects, data, seed)).estimates}
        progress.advance()
        found["encoder features"] = encoder_features(params, subjects)
        progress.advance()
        found["constant answer"] = constant(params, subjects, data)
        progress.advance()
        found["random true box"] = random_box(params, subjects)
        progress.advance()
        found["scene in words"] = in_words(params, subjects, data)
        progress.advance()
    return found


def untrained(params: Params, subjects: Subjects, data: Path, seed: int) -> Analysis:
    """The projector with the weights that training starts from."""
    model, processor = llava.assemble(
        data / "models/encoder", data / "models/language_model", params.train.projector, seed
    )
    return loading.analysed(model, processor.tokenizer, subjects, params.evaluate, params.seed)


def encoder_features(params: Params, subjects: Subjects) -> Estimates:
    """What linear probes read from what goes into the projector."""
    if subjects.fitting is None:
        return {}
    return probe_features(subjects.features, subjects.regions, subjects.fitting, params.evaluate, params.seed)


def constant(params: Params, subjects: Subjects, data: Path) -> Estimates:
    """The training split's commonest answer to each kind of example, whatever the image."""
    rows = [row for row in subjects.rows if row["task"] in GUESSED]
    parts = text.conversations(data, "train", subjects.boxes)
    seen = [row for part in parts for row in part if row["task"] in GUESSED]
    said = vqa.constant_answers(
        [row["reference"] for row in seen],
        [(row["task"], row["kind"]) for row in seen],
        [(row["task"], row["kind"]) for row in rows],
    )
    predictions = score(rows, said, subjects.world, subjects.boxes)
    return summarise(predictions, subjects.world, params.evaluate, params.seed)


def random_box(params: Params, subjects: Subjects) -> Estimates:
    """One of the image's true boxes, drawn at random: its expected score, not a draw."""
    # Sources that list no objects (LLaVA's files) have nothing to draw from.
    rows = [
        row for row in subjects.rows if row["task"] == "referring" and subjects.world.objects[row["image_id"]]
    ]
    if not rows:
        return {}
    candidates = [
        np.array([found["box"] for found in subjects.world.objects[row["image_id"]]]) for row in rows
    ]
    floor = referring.random_box_floor(np.array([row["box"] for row in rows], np.float64), candidates)
    settings = params.evaluate
    return {
        "referring.accuracy": estimate(floor.hit, settings.bootstrap, params.seed),
        "referring.miou": estimate(floor.iou, settings.bootstrap, params.seed),
    }


def in_words(params: Params, subjects: Subjects, data: Path) -> Estimates:
    """The language model as it was before it saw an image, with the scene's objects and boxes as text."""
    if not any(subjects.world.objects.values()):
        return {}
    model, tokenizer = language_models.load(data / "models/language_model")
    move(model)
    reader = loading.text_reader(model.eval(), tokenizer, subjects, data, params.seed)
    predictions = predict(reader, subjects.rows, subjects.world, subjects.boxes, params.evaluate)
    return summarise(predictions, subjects.world, params.evaluate, params.seed)


def write(found: Mapping[str, Estimates], folder: Path) -> None:
    """Write ``{reference: {metric key: estimate}}`` as JSON."""
    folder.mkdir(parents=True, exist_ok=True)
    table = {
        name: {key: rounded(asdict(value)) for key, value in values.items()} for name, values in found.items()
    }
    (folder / "metrics.json").write_text(json.dumps(table, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    run_command(main)
