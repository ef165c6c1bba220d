"""Checkpoints of a killed run are taken up by the same run alone."""

from pathlib import Path

import pytest

from pipeline import params as parameters
from pipeline.training.run import Run

PARAMS = parameters.load(Path(__file__).parents[2] / "profiles/embedded.yaml")


def changed(**finetune):
    stage = PARAMS.train.finetune.model_copy(update=finetune)
    return PARAMS.model_copy(update={"train": PARAMS.train.model_copy(update={"finetune": stage})})


@pytest.fixture
def read(tmp_path):
    folder = tmp_path / "conversations"
    folder.mkdir()
    (folder / "part-00000.arrow").write_bytes(b"rows")
    return folder


def test_the_same_run_looks_in_the_same_place(read):
    assert Run("caption", 1).work("finetune", PARAMS, [read]) == Run("caption", 1).work(
        "finetune", PARAMS, [read]
    )


@pytest.mark.parametrize(
    ("run", "stage", "params"),
    [
        (Run("patch_aligned", 1), "finetune", PARAMS),
        (Run("caption", 2), "finetune", PARAMS),
        (Run("caption", 1), "pretrain", PARAMS),
        (Run("caption", 1), "finetune", changed(learning_rate=0.5)),
    ],
)
def test_another_arm_seed_stage_or_setting_looks_elsewhere(read, run, stage, params):
    assert run.work(stage, params, [read]) != Run("caption", 1).work("finetune", PARAMS, [read])


def test_other_data_looks_elsewhere(read):
    before = Run("caption", 1).work("finetune", PARAMS, [read])
    (read / "part-00000.arrow").write_bytes(b"other rows")
    assert Run("caption", 1).work("finetune", PARAMS, [read]) != before


def test_where_shards_run_changes_nothing(read):
    elsewhere = PARAMS.model_copy(update={"compute": PARAMS.compute.model_copy(update={"workers": 9})})
    assert Run("caption", 1).work("finetune", elsewhere, [read]) == Run("caption", 1).work(
        "finetune", PARAMS, [read]
    )
