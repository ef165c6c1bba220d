"""The projector's analysis for any checkpoint: ``python -m pipeline.evaluation.analyse --checkpoint FOLDER``.

The checkpoint is a folder that ``LlavaForConditionalGeneration.from_pretrained`` loads, trained here or not.
It is measured with the pipeline's own tables, on the images of the test split, and needs no training stage to
have run: its own vision tower makes the features. Probes are fitted on the validation split.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console
from rich.table import Table
from transformers import AutoConfig, AutoImageProcessor, AutoProcessor, LlavaForConditionalGeneration

from pipeline import params as parameters
from pipeline.console import run_command
from pipeline.errors import UserError
from pipeline.evaluation.analysis import Analysis, Fitting, analyse, write_curves
from pipeline.evaluation.regions import load_regions
from pipeline.models import pretrained
from pipeline.params import Params
from pipeline.tables import dataset
from pipeline.tables.dataset import Provenance
from pipeline.tables.metrics import METRICS, Estimates, write_estimates
from pipeline.training.features import Features, encoded
from pipeline.training.runtime import DATA, Progress, device, prepare, publish

MOST = 1000
"""Images of a split, unless more are asked for."""


def main() -> None:
    """Analyse one checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--checkpoint", type=Path, required=True, help="folder of a LLaVA model")
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the datasets")
    parser.add_argument("--out", type=Path, help="folder to write [data/analysis/NAME OF THE CHECKPOINT]")
    parser.add_argument("--images", type=int, default=MOST, help="most images of a split [%(default)s]")
    options = parser.parse_args()
    params = parameters.load()
    prepare(params.seed, params.compute.threads)
    found = of_checkpoint(options.checkpoint, options.data, params, options.images)
    out = options.out or DATA / "analysis" / options.checkpoint.resolve().name
    publish(lambda folder: write(found, params, folder), out)
    Console(stderr=True).print(table_of(found.estimates))
    print(out / "metrics.json")


def of_checkpoint(checkpoint: Path, data: Path, params: Params, images: int = MOST) -> Analysis:
    """Measure a checkpoint's projector on the first ``images`` images of the test split.

    Raises:
        UserError: the folder holds no LLaVA model, there are no tables, or they were made for another
            encoder's patches.
    """
    config = pretrained.load("--checkpoint", "model", checkpoint, AutoConfig)
    if config.model_type != "llava":
        raise UserError(
            f"--checkpoint: {checkpoint} holds a {config.model_type} model. Give a folder of LLaVA's own "
            "layout, such as data/models/finetune/caption (transformers' LlavaForConditionalGeneration)."
        )
    model = pretrained.load("--checkpoint", "LLaVA model", checkpoint, LlavaForConditionalGeneration)
    processor = pretrained.load("--checkpoint", "processor", checkpoint, AutoProcessor)
    check_preprocessing(processor.image_processor, data / "models/encoder", checkpoint)
    model.eval()
    features = {
        split: features_of(
            model, processor.image_processor, data / "images", params.source.path, split, images
        )
        for split in ("validation", "test")
    }
    if features["test"] is None:
        raise UserError(f"{data / 'images'} has no image of the test split: there is nothing to measure on.")
    most = params.evaluate.regions
    regions = {
        split: load_regions(data / "true_words", found, most) for split, found in features.items() if found
    }
    if not len(regions["test"]):
        raise UserError(
            f"{data / 'true_words'} has no row of the first {images} test images: raise --images, or see "
            f"{data / 'rejects'} for why they carry no words."
        )
    fitting = Fitting(features["validation"], regions["validation"]) if features["validation"] else None
    return analyse(
        model, processor.tokenizer, features["test"], regions["test"], params.evaluate, params.seed, fitting
    )


def check_preprocessing(processor, encoder: Path, checkpoint: Path) -> None:
    """Raise a `UserError` where a checkpoint sees other crops of images than those of the patch words.

    ``encoder`` is the folder of the encoder that the tables were made for; without it only the number of
    patches is known, which `load_regions` checks.
    """
    if not (encoder / "preprocessor_config.json").exists():
        return
    ours = pretrained.load("encoder", "image processor", encoder, AutoImageProcessor)
    for name in ("size", "do_center_crop", "crop_size", "do_pad"):
        mine, theirs = (_setting(each, name) for each in (processor, ours))
        if mine != theirs:
            raise UserError(
                f"{checkpoint} prepares images with {name} {mine}, but patch_words were made for {theirs} "
                f"({encoder}). Set encoder.pretrained.path to the checkpoint's vision tower and run "
                "`dvc repro true_words`."
            )


def _setting(processor, name: str) -> object:
    value = getattr(processor, name, None)
    if isinstance(value, (bool, type(None))):
        return bool(value)
    return {key: side for key, side in dict(value).items() if side is not None}


def features_of(
    model: LlavaForConditionalGeneration, processor, images: Path, root: Path, split: str, most: int
) -> Features | None:
    """What the checkpoint's projector is given, of the first ``most`` images of a split; None without any."""
    layers = model.config.vision_feature_layer
    tower = model.model.vision_tower.to(device())
    ids: list[str] = []
    parts: list[np.ndarray] = []
    with Progress(f"{split} images", most) as progress:
        for rows in _first(images, split, most):
            ids += rows["image_id"].to_pylist()
            wanted = [layers] if isinstance(layers, int) else list(layers)
            parts += encoded(rows, root, tower, processor, wanted, device())
            progress.advance(rows.num_rows)
    if not ids:
        return None
    sizes = [len(part) for part in parts]
    return Features(
        ids, parts, np.repeat(np.arange(len(parts)), sizes), np.concatenate([np.arange(n) for n in sizes])
    )


def _first(images: Path, split: str, most: int) -> Iterator[pa.Table]:
    left = most
    for part in dataset.iter_parts(images):
        rows = part.filter(pc.equal(part["split"], split)).slice(0, left)
        left -= rows.num_rows
        if rows.num_rows:
            yield rows
        if left <= 0:
            return


def write(found: Analysis, params: Params, folder: Path) -> None:
    """Write estimates and curves as JSON, and the tables."""
    made_from = Provenance(params.evaluate.digest())
    write_estimates(folder / "metrics.json", found.estimates)
    write_curves(folder / "curves.json", {"checkpoint": found.curves})
    for name, table in (
        ("measures", found.measures), ("similarity_maps", found.maps), ("patch_labels", found.labels)
    ):  # fmt: skip
        dataset.write_part(folder / name, 0, table, name, made_from)


def table_of(estimates: Estimates) -> Table:
    """Estimates to look at."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("")
    for title in ("value", "95 %", "n"):
        table.add_column(title, justify="right")
    for metric in METRICS:
        if metric.key in estimates:
            found = estimates[metric.key]
            interval = f"{found.low:.3f} to {found.high:.3f}"
            table.add_row(f"{metric.group}: {metric.title}", f"{found.value:.3f}", interval, str(found.n))
    return table


if __name__ == "__main__":
    run_command(main)
