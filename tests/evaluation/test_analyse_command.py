"""Any LLaVA folder is analysed with the pipeline's tables, as the pipeline's own stages would."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline import params as parameters
from pipeline.errors import UserError
from pipeline.evaluation import analyse as command
from pipeline.evaluation.analysis import Fitting, analyse
from pipeline.evaluation.regions import load_regions
from pipeline.models import llava
from pipeline.tables import dataset, schemas
from pipeline.tables.dataset import Provenance
from pipeline.tables.metrics import read_estimates
from pipeline.training import features as feature_tables

PARAMS = parameters.load(Path(__file__).parents[2] / "params.yaml")
PARAMS = PARAMS.model_copy(update={"evaluate": PARAMS.evaluate.model_copy(update={"bootstrap": 20})})
COUNTS = {"train": 1, "validation": 6, "test": 8}


def png(number):
    pixels = np.random.default_rng(number).integers(0, 256, (32, 32, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def words(noun, colour):
    return [{"text": t, "lemma": t, "role": role} for t, role in ((colour, "attribute"), (noun, "head"))]


@pytest.fixture
def data(tmp_path, encoder_folder):
    """Images of all splits with two patch words each, and the encoder that they were made for."""
    names = [(f"{split}-{k}", split) for split, count in COUNTS.items() for k in range(count)]
    images = [
        {"image_id": name, "image": {"bytes": png(number), "path": None}, "sha256": "0", "width": 32,
         "height": 32, "split": split}
        for number, (name, split) in enumerate(names)
    ]  # fmt: skip
    rows = [
        {"image_id": name, "phrase_id": f"{name}/p{k}", "split": split, "region_ids": ["r"],
         "phrase": f"{colour} {noun}", "words": words(noun, colour), "grid": [4, 4],
         "patches": [5 * k, 5 * k + 1], "coverage": [1.0, 0.5], "score": 1.0, "annotator": "people"}
        for name, split in names
        for k, (noun, colour) in enumerate((("cup", "red"), ("star", "blue")))
    ]  # fmt: skip
    for folder, name, made in (("images", "images", images), ("true_words", "patch_words", rows)):
        dataset.write_part(tmp_path / "data" / folder, 0, schemas.from_rows(name, made), name, Provenance())
    shutil.copytree(encoder_folder, tmp_path / "data/models/encoder")
    return tmp_path / "data"


@pytest.fixture
def checkpoint(tmp_path, small_llava):
    llava.save(*small_llava, tmp_path / "checkpoint")
    return tmp_path / "checkpoint"


def test_it_is_what_the_stages_measure(data, checkpoint, small_llava):
    found = command.of_checkpoint(checkpoint, data, PARAMS)
    feature_tables.compute(data / "images", data, data / "models/encoder", [0, -1], data / "features")
    kept = {split: feature_tables.load(data / "features", split, data) for split in ("validation", "test")}
    regions = {split: load_regions(data / "true_words", kept[split], 2000) for split in kept}
    model, processor = small_llava
    expected = analyse(
        model, processor.tokenizer, kept["test"], regions["test"], PARAMS.evaluate, PARAMS.seed,
        Fitting(kept["validation"], regions["validation"]),
    )  # fmt: skip
    assert found.estimates.keys() == expected.estimates.keys() > {"position.r2", "alignment.cosine"}
    for key, estimate in expected.estimates.items():
        assert found.estimates[key].value == pytest.approx(estimate.value, abs=1e-5), key
        assert found.estimates[key].n == estimate.n
    assert found.measures["example"] == expected.measures["example"]


def test_fewer_images_are_the_first_ones(data, checkpoint):
    found = command.of_checkpoint(checkpoint, data, PARAMS, images=5)
    assert found.estimates["compression.after"].n == 5
    assert set(found.maps["image_id"].to_pylist()) == {f"test-{k}" for k in range(5)}


def test_what_is_written_opens_again(data, checkpoint, tmp_path):
    found = command.of_checkpoint(checkpoint, data, PARAMS)
    command.write(found, PARAMS, tmp_path / "out")
    assert read_estimates(tmp_path / "out/metrics.json").keys() == found.estimates.keys()
    assert dataset.read(tmp_path / "out/measures").num_rows == found.measures.num_rows
    assert json.loads((tmp_path / "out/curves.json").read_text())["checkpoint"].keys() == {
        "spectrum",
        "recall",
    }


def test_another_crop_than_the_tables_is_refused(data, checkpoint):
    path = data / "models/encoder/preprocessor_config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps(config | {"do_center_crop": False}))
    with pytest.raises(UserError, match="do_center_crop True, but patch_words were made for False"):
        command.of_checkpoint(checkpoint, data, PARAMS)


def test_another_grid_is_refused(data, checkpoint):
    rows = dataset.read(data / "true_words").to_pylist()
    shutil.rmtree(data / "true_words")
    table = schemas.from_rows("patch_words", [row | {"grid": [2, 2], "patches": [0, 1]} for row in rows])
    dataset.write_part(data / "true_words", 0, table, "patch_words", Provenance())
    with pytest.raises(UserError, match="2 x 2 patch grid, but the encoder makes 16"):
        command.of_checkpoint(checkpoint, data, PARAMS)


def test_what_is_no_llava_is_refused(data, encoder_folder):
    with pytest.raises(UserError, match="--checkpoint: no model could be loaded"):
        command.of_checkpoint(data / "nothing", data, PARAMS)
    with pytest.raises(UserError, match="holds a clip_vision_model model"):
        command.of_checkpoint(encoder_folder, data, PARAMS)
