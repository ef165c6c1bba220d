"""Disk, memory and hours by formulas: small cases worked by hand, and the published sizes."""

from __future__ import annotations

import pytest
from transformers import AutoConfig

from pipeline.params import OptimisationParams
from pipeline.preflight import needs
from pipeline.preflight.needs import Machine, Shapes
from pipeline.preflight.weights import look

SMALL = Shapes(
    encoder=100, language_model=1000, projector=10, tokens=4, features=6, width=8, layers=3, vocabulary=50
)
STEP = OptimisationParams(
    steps=5, batch_images=6, turns=1, mean_over="tokens", learning_rate=1.0, warmup=0.0, weight_decay=0.0,
    save_every=1,
)  # fmt: skip


def test_the_published_models_have_the_published_sizes():
    vicuna = look("lmsys/vicuna-7b-v1.5", "x")
    assert (vicuna.parameters, vicuna.config.hidden_size) == (6_738_415_616, 4096)
    clip = look("openai/clip-vit-large-patch14-336", "x")
    assert (clip.config.image_size // clip.config.patch_size) ** 2 == 576


def test_features_are_float16_of_every_token():
    assert needs.features_bytes(SMALL, images=3) == 3 * 4 * 6 * 2


def test_models_are_kept_after_both_stages_of_every_arm():
    assert needs.checkpoint_bytes(SMALL, arms=2) == 4 * (4 * 1110 + 1100)


@pytest.mark.parametrize(
    ("stage", "machine", "expected"),
    [
        # 16 x 10 trained, 2 x 1000 frozen, activations 6 x 68 x 8 x 34 x 3, logits 6 x 6 x 64 x 50
        ("pretrain", Machine(), 160 + 2000 + 6 * 68 * 8 * 34 * 3 + 6 * 6 * 64 * 50),
        ("pretrain", Machine(gpu=False), 160 + 4000 + 6 * 68 * 8 * 34 * 3 + 6 * 6 * 64 * 50),
        ("pretrain", Machine(images=1), 160 + 2000 + 68 * 8 * 34 * 3 + 6 * 64 * 50),
        ("finetune", Machine(processes=2), 16 * 1010 + 3 * 516 * 8 * 34 * 3 + 6 * 3 * 512 * 50),
        ("finetune", Machine(2, sharded=True), 16 * 505 + 3 * 516 * 8 * 34 * 3 + 6 * 3 * 512 * 50),
        # The encoder's 100 parameters, in float32.
        ("finetune", Machine(2, cached=False), 16 * 1010 + 400 + 3 * 516 * 8 * 34 * 3 + 6 * 3 * 512 * 50),
        ("finetune", Machine(2, recompute=True), 16 * 1010 + 3 * 516 * 8 * (6 + 34) + 6 * 3 * 512 * 50),
    ],
)
def test_memory_of_a_process(stage, machine, expected):
    assert needs.memory_bytes(SMALL, stage, STEP, machine) == expected


def test_operations_are_four_or_six_a_parameter_and_token():
    assert needs.operations(SMALL, "pretrain", STEP) == 5 * 6 * 68 * 4 * 1000
    assert needs.operations(SMALL, "finetune", STEP) == 5 * 6 * 516 * 6 * 1000


def test_the_assumed_rate_gives_back_the_hours_that_it_was_taken_from():
    vicuna = Shapes(0, 6_738_415_616, 0, 576, 1024, 4096, 32, 32000)
    epoch = STEP.model_copy(update={"steps": 2180, "batch_images": 256})
    hours = needs.operations(vicuna, "pretrain", epoch) / (needs.A100_TFLOPS * 1e12 * 8 * 3600)
    assert hours == pytest.approx(3.5, rel=0.05)


def test_weights_are_counted_by_their_headers(encoder_folder):
    found = look(str(encoder_folder), "encoder.pretrained.path")
    config = AutoConfig.from_pretrained(encoder_folder)
    assert found.finding.state == "ok" and "F32" in found.finding.found
    assert found.parameters == needs.parameters_of(config)
    assert found.on_disk == (encoder_folder / "model.safetensors").stat().st_size


def test_weights_that_are_not_here_or_not_whole_are_told(tmp_path, encoder_folder):
    found = look(str(tmp_path / "nowhere"), "encoder.pretrained.path")
    assert (found.finding.what, found.finding.state) == ("encoder.pretrained.path", "missing")
    assert found.config is None
    (tmp_path / "config.json").write_bytes((encoder_folder / "config.json").read_bytes())
    (tmp_path / "model.safetensors.index.json").write_text('{"weight_map": {"a": "x.safetensors"}}')
    assert "x.safetensors of 1 files missing" in look(str(tmp_path), "x").finding.found
