"""Without a cache the frozen encoder runs in the step: on the same pixels, with the same results."""

from __future__ import annotations

import csv
import io
import json
import shutil

import numpy as np
import processes_of_torchrun
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from small_training import IMAGES, KilledAt, made_data, run
from torch.utils.data import DataLoader

from pipeline.errors import UserError
from pipeline.models import word_table
from pipeline.params import ArmParams, ProjectorParams
from pipeline.tables import dataset, schemas
from pipeline.tables.dataset import Provenance
from pipeline.training import features, on_demand, optimiser, resuming, trainer
from pipeline.training import step as steps
from pipeline.training.batches import Collator, Schedule, Shares
from pipeline.training.features import Features
from pipeline.training.on_demand import OnDemand
from pipeline.training.step import Step

LAYERS = [0, -1]


def picture(number):
    """A picture of a size of its own, that is resized and cropped for the encoder."""
    pixels = np.random.default_rng(number).integers(0, 256, (40 + number, 60, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def data(tmp_path_factory, encoder_folder):
    """``cached`` and ``bare``: the same images in two parts, half of them files; features, and none."""
    root = tmp_path_factory.mktemp("on_demand")
    rows = []
    for number in range(IMAGES + 2):
        held = {"bytes": picture(number), "path": None}
        if number % 2:
            (root / f"{number}.png").write_bytes(held["bytes"])
            held = {"bytes": None, "path": f"{number}.png"}
        rows.append(
            {"image_id": f"i{number}", "image": held, "sha256": "0", "width": 60, "height": 40 + number,
             "split": "train" if number < IMAGES else "test"}
        )  # fmt: skip
    # A part begins with an image of another split, so that rows and numbers differ.
    parts = [[rows[8], *rows[:5]], [*rows[5:8], rows[9]]]
    for name in ("cached", "bare"):
        for index, part in enumerate(parts):
            table = schemas.from_rows("images", part)
            dataset.write_part(root / name / "images", index, table, "images", Provenance())
        shutil.copytree(encoder_folder, root / name / "models/encoder")
        for file in root.glob("*.png"):
            shutil.copy(file, root / name)
    images, encoder = root / "cached/images", root / "cached/models/encoder"
    features.compute(images, root / "cached", encoder, LAYERS, root / "cached/features")
    made_from = features.provenance(images, encoder, LAYERS)
    on_demand.write_marker(root / "bare/features", LAYERS, made_from)
    return root


def load(data, name, split="train", only=None):
    return features.load(data / name / "features", split, data / name, only)


def test_an_image_has_the_features_that_a_cache_would_hold(data):
    cached, bare = load(data, "cached"), load(data, "bare")
    assert isinstance(cached, Features) and isinstance(bare, OnDemand)
    assert bare.image_ids == cached.image_ids == [f"i{k}" for k in range(IMAGES)]
    assert bare.patch_count == cached.patch_count == 16
    order = [6, 0, 7, 3]
    # Sums may be in another order for another number of images: then float16 rounds some to its other side.
    torch.testing.assert_close(bare.take(order), cached.take(order), rtol=2**-10, atol=1e-6)
    assert torch.equal(bare.take(range(3)).half().float(), bare.take(range(3)))


def test_some_images_of_a_split_keep_their_order(data):
    for split, only in (("train", ["i7", "i2"]), ("test", None)):
        cached, bare = (load(data, name, split, only) for name in ("cached", "bare"))
        assert bare.image_ids == cached.image_ids
        torch.testing.assert_close(bare.take([1]), cached.take([1]), rtol=2**-10, atol=1e-6)


def test_the_note_is_small_and_changes_with_what_features_are_made_from(data, tmp_path):
    note = json.loads((data / "bare/features" / on_demand.MARKER).read_text())
    made_from = dataset.provenance(data / "cached/features")
    assert (note["params"], note["inputs"]) == (made_from.params, dict(made_from.inputs))
    assert note["layers"] == LAYERS
    assert [file.name for file in (data / "bare/features").iterdir()] == [on_demand.MARKER]


@pytest.fixture(scope="module")
def trained(encoder_folder, language_model_folder, data, tmp_path_factory):
    """``trained(features, *words)``: weights and curve of a run in this process on ``cached`` or ``bare``."""
    set_by_the_run = {trainer: ("device", "LOG_EVERY"), steps: ("autocast",), optimiser: ("ITERATED_IN",)}

    def start(name, *words, out=None, callbacks=()):
        out = out or tmp_path_factory.mktemp("run")
        words = (f"data={data / name}", "loaders=0", *words)
        with pytest.MonkeyPatch.context() as patch:
            for module, names in set_by_the_run.items():  # put back afterwards
                for setting in names:
                    patch.setattr(module, setting, getattr(module, setting))
            run(encoder_folder, language_model_folder, out, words, callbacks)
        return result(out)

    return start


def result(out):
    with (out / "curve.csv").open(newline="") as file:
        return load_file(out / "weights.safetensors"), list(csv.DictReader(file))


def assert_same(found, expected):
    assert found[0].keys() == expected[0].keys()
    for name, value in expected[0].items():
        torch.testing.assert_close(
            found[0][name], value, rtol=0, atol=1e-5, msg=lambda m, n=name: f"{n}: {m}"
        )
    assert len(found[1]) == len(expected[1]) > 0
    for row, other in zip(found[1], expected[1], strict=True):
        assert float(row["loss"]) == pytest.approx(float(other["loss"]), abs=1e-5)


@pytest.fixture(scope="module")
def finetuned(trained):
    """Weights and curve of fine-tuning on cached features."""
    return trained("cached", "whole")


def test_pre_training_is_that_on_cached_features(trained):
    assert_same(trained("bare"), trained("cached"))


def test_fine_tuning_is_that_on_cached_features(trained, finetuned):
    assert_same(trained("bare", "whole"), finetuned)


def test_a_killed_run_goes_on_to_the_same_weights(trained, tmp_path):
    straight, _ = trained("bare")
    with pytest.raises(KeyboardInterrupt):
        trained("bare", out=tmp_path, callbacks=[KilledAt(5)])
    assert resuming.last_checkpoint(tmp_path / "work").endswith("checkpoint-3")
    resumed, _ = trained("bare", out=tmp_path)
    assert all(torch.equal(resumed[name], value) for name, value in straight.items())


def test_two_processes_that_share_the_encoder_out_give_the_same(
    finetuned, data, encoder_folder, language_model_folder, tmp_path
):
    words = (f"data={data / 'bare'}", "loaders=0", "whole", "sharding=full")
    processes_of_torchrun.start(2, run, encoder_folder, language_model_folder, tmp_path, words)
    assert_same(result(tmp_path), finetuned)


def test_workers_decode_what_the_process_itself_would(data, small_llava):
    _, turns, *rest = made_data(small_llava[1].tokenizer, False)
    images = load(data, "bare")
    images.take([0])  # what is opened here stays here
    shares = Shares(Collator(images, turns, *rest), Schedule.of(IMAGES, 8, 7), 2, 1, "tokens")
    loader = DataLoader(
        shares,
        batch_size=1,
        collate_fn=trainer.only,
        num_workers=1,
        multiprocessing_context=processes_of_torchrun.CLEAN,
    )
    for found, expected in zip(loader, (shares[k] for k in range(len(shares))), strict=True):
        assert torch.equal(found["pixels"], expected["pixels"])
        assert found["images"].tolist() == expected["images"].tolist()


def test_a_picture_that_a_worker_cannot_read_is_told_as_the_process_itself_would(data, tmp_path, trained):
    """The row, what was found and how to mend it; no traceback of torch's around it."""
    shutil.copytree(data / "bare", tmp_path / "bare")
    (tmp_path / "bare/3.png").write_bytes(b"no picture")
    told = []
    for loaders in (0, 1):
        with pytest.raises(UserError) as error:
            trained(tmp_path / "bare", f"loaders={loaders}", out=tmp_path / f"out{loaders}")
        told.append(str(error.value))
    assert told[0] == told[1]
    assert told[1].startswith("Image i3, at '3.png' below") and told[1].endswith("which rejects it.")


def test_patches_alone_take_the_encoder_along(data, encoder_folder, language_model_folder):
    projector = ProjectorParams(kind="mlp", feature_layers=LAYERS)
    model, tokenizer = word_table.assemble(encoder_folder, language_model_folder, projector, seed=1)
    step = Step(model, [], ArmParams(loss="cosine", captions=False), "tokens")
    losses = []
    for name in ("cached", "bare"):
        batch = load(data, name).entries([0, 1])
        weights = torch.ones(2, 1, 16)
        words = torch.tensor(tokenizer("red")["input_ids"][-1:]).expand(2, 1, 1)
        loss, _ = step(batch | {"region_weights": weights, "region_words": words})
        loss.backward()
        losses.append(loss.item())
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)
