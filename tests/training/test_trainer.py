"""Training of a whole small model: what moves, what a restart changes (nothing), what the arms differ in."""

from __future__ import annotations

import csv
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from small_training import ALIGNED, PATCHES, SETTINGS, KilledAt, made_data
from transformers import TrainerCallback

from pipeline.errors import UserError
from pipeline.models import llava
from pipeline.models.chat import ChatFormat, encode
from pipeline.models.vocabulary import IMAGE
from pipeline.params import ArmParams, ProjectorParams
from pipeline.training import compiling, resuming, trainer
from pipeline.training import step as steps
from pipeline.training.batches import Collator, Schedule, Shares
from pipeline.training.stages import unfreeze


@pytest.fixture(autouse=True, scope="module")
def plain_machine():
    """float32 on the CPU, wherever the test runs; a row of the curve every other step."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "device", lambda: "cpu")
        patch.setattr(steps, "autocast", nullcontext)
        patch.setattr(trainer, "LOG_EVERY", 2)
        yield


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Where runs leave their curves and checkpoints."""
    return tmp_path_factory.mktemp("trainer")


@pytest.fixture(scope="module")
def make(encoder_folder, language_model_folder, place, plain_machine):
    """``make(...)`` trains a new model and returns its weights before and after."""
    projector = ProjectorParams(kind="mlp", feature_layers=[0, -1])

    def train(loss=ALIGNED, supervised=True, whole=False, callbacks=(), name="run", settings=SETTINGS):
        model, processor = llava.assemble(encoder_folder, language_model_folder, projector, seed=1)
        tokenizer = processor.tokenizer
        if whole:
            unfreeze(model)
        else:
            model.requires_grad_(False)
            model.model.multi_modal_projector.requires_grad_(True)
        before = weights(model)
        trainer.train(
            model,
            Collator(*made_data(tokenizer, supervised)),
            encode(tokenizer, [ChatFormat.of(tokenizer, IMAGE).before_image])[0],
            settings,
            loss,
            place / name,
            place / f"{name}.csv",
            7,
            list(callbacks),
        )
        return before, weights(model)

    return train


@pytest.fixture(scope="module")
def straight(make):
    """Weights before and after an uninterrupted run of the patch arm, whose curve is ``straight.csv``."""
    return make(name="straight")


def weights(model):
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def changed(before, after):
    return {name for name in before if not torch.equal(before[name], after[name])}


def curve(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_pre_training_moves_the_projector_and_nothing_else(straight):
    before, after = straight
    projector = {name for name in before if "multi_modal_projector" in name}
    assert changed(before, after) == projector


def test_what_is_frozen_has_neither_gradients_nor_optimiser_state(make):
    names, held = set(), []

    class Look(TrainerCallback):
        def on_pre_optimizer_step(self, args, state, control, model=None, **kwargs):
            names.update(name for name, value in model.named_parameters() if value.grad is not None)

        def on_train_end(self, args, state, control, model=None, optimizer=None, **kwargs):
            trained = {id(value) for value in model.parameters() if value.requires_grad}
            held.extend(id(value) in trained for value in optimizer.state)

    make(callbacks=[Look()])
    assert names
    assert all("multi_modal_projector" in name for name in names)
    assert len(held) == len(names)
    assert all(held)


def test_fine_tuning_moves_everything_but_the_encoder(make):
    before, after = make(loss=None, supervised=False, whole=True)
    tower = {name for name in before if "vision_tower" in name}
    assert tower
    assert changed(before, after) == before.keys() - tower


@pytest.mark.parametrize(("whole", "killed"), [(False, 4), (True, 7)], ids=["pretrain", "finetune"])
def test_a_killed_run_that_is_started_again_ends_with_the_same_weights(make, place, straight, whole, killed):
    options = {"loss": None, "supervised": False, "whole": True} if whole else {}
    before, through = make(**options) if whole else straight
    with pytest.raises(KeyboardInterrupt):
        make(name="killed", callbacks=[KilledAt(killed)], **options)
    kept = [path.name for path in (place / "killed").glob("checkpoint-*")]
    assert kept == [f"checkpoint-{killed // 3 * 3}"]
    seen = Steps()
    _, resumed = make(name="killed", callbacks=[seen], **options)
    assert seen.steps == list(range(killed // 3 * 3 + 1, 9))  # it did go on, rather than start again
    assert changed(through, resumed) == set()
    assert changed(before, through)
    assert not (place / "killed").exists()  # checkpoints are cleared away at the end


class Steps(TrainerCallback):
    def __init__(self):
        self.steps = []

    def on_step_end(self, args, state, control, **kwargs):
        self.steps.append(state.global_step)


@pytest.mark.parametrize("killed", [5, 7])
def test_the_curve_of_a_resumed_run_is_that_of_one_that_was_not_killed(make, place, straight, killed):
    """From the checkpoint of step 3, between two rows, as from that of step 6."""
    rows = ["2", "3", "4", "6", "8"]
    with pytest.raises(KeyboardInterrupt):
        make(name="killed", callbacks=[KilledAt(killed)])
    assert [row["step"] for row in curve(place / "killed.csv")] == [row for row in rows if int(row) < killed]
    make(name="killed")
    through, resumed = curve(place / "straight.csv"), curve(place / "killed.csv")
    assert [row["step"] for row in through] == rows
    assert resumed == through


def test_half_a_checkpoint_is_not_taken_up(tmp_path):
    for step, whole in ((90, True), (100, True), (110, False)):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        if whole:
            (folder / "trainer_state.json").touch()
    assert resuming.last_checkpoint(tmp_path) == str(tmp_path / "checkpoint-100")
    assert resuming.last_checkpoint(tmp_path / "nothing") is None


def test_with_a_weight_of_zero_the_patch_arm_is_the_caption_arm(make, straight):
    _, caption = make(loss=None, supervised=False, name="caption")
    _, zero = make(loss=ArmParams(loss="cosine", beta=0.0, words="phrase"), name="zero")
    assert changed(caption, zero) == set()
    assert changed(caption, straight[1])


def test_the_same_run_gives_the_same_weights(make, straight):
    assert changed(make(name="again")[1], straight[1]) == set()


def test_the_loss_is_that_of_captions_plus_beta_times_that_of_patches(place, straight):
    for row in curve(place / "straight.csv"):
        parts = float(row["caption_loss"]) + 2.0 * float(row["patch_loss"])
        assert float(row["loss"]) == pytest.approx(parts, rel=1e-3)


def test_patches_are_drawn_towards_their_words(make, place):
    longer = SETTINGS.model_copy(update={"steps": 40})
    make(name="longer", settings=longer)
    rows = curve(place / "longer.csv")
    assert float(rows[-1]["patch_loss"]) < 0.3 < 0.8 < float(rows[0]["patch_loss"])


def test_the_learning_rate_rises_and_falls_to_zero(make):
    rates = []

    class Rates(TrainerCallback):
        def on_step_begin(self, args, state, control, optimizer=None, **kwargs):
            rates.append([group["lr"] for group in optimizer.param_groups])

    make(callbacks=[Rates()])
    assert all(len(set(groups)) == 1 for groups in rates)  # Muon's and AdamW's are one
    first = [groups[0] for groups in rates]
    assert first[:3] == pytest.approx([0.0, 0.01, 0.02])  # two steps of warm-up
    assert first[2:] == sorted(first[2:], reverse=True)
    assert first[-1] < 0.004


def test_the_caption_loss_is_the_one_of_the_assembled_model(encoder_folder, language_model_folder):
    """Of transformers' own forward, a turn at a time, from pixels: features and shared prefix add nothing."""
    from pipeline.models import encoder

    projector = ProjectorParams(kind="mlp", feature_layers=[0, -1])
    model, processor = llava.assemble(encoder_folder, language_model_folder, projector, seed=1)
    tokenizer = processor.tokenizer
    pixels = torch.randn(2, 3, 32, 32)
    _, turns, *_ = made_data(tokenizer, False)
    rows = np.array([[0, 1], [2, 3]])
    ids, labels = (torch.from_numpy(x) for x in turns.pad(rows, 0))
    image = tokenizer.convert_tokens_to_ids(IMAGE)
    with torch.no_grad():
        features = encoder.patch_tokens(model.model.vision_tower, pixels, [0, -1])
        inputs = {"ids": [ids], "labels": [labels]}
        bos = torch.tensor([tokenizer.bos_token_id])
        found = steps.caption_loss(model, bos, llava.project(model, features), inputs)
        total, count = 0.0, 0
        for row in range(2):
            for turn in range(2):
                length = int((ids[row, turn] != 0).sum())
                opening = [tokenizer.bos_token_id, *[image] * PATCHES]
                whole = torch.tensor([[*opening, *ids[row, turn, :length].tolist()]])
                learned = torch.tensor([[*[-100] * len(opening), *labels[row, turn, :length].tolist()]])
                alone = model(input_ids=whole, pixel_values=pixels[row : row + 1], labels=learned)
                here = int((learned != -100).sum())
                total, count = total + alone.loss.item() * here, count + here
    assert found.item() == pytest.approx(total / count, rel=1e-5)


@pytest.mark.parametrize("name", ["vocabulary", "contrastive", "logit_lens"])
def test_every_loss_trains_the_projector_and_falls(make, place, name):
    longer = SETTINGS.model_copy(update={"steps": 30})
    before, after = make(loss=ArmParams(loss=name, beta=2.0), name=name, settings=longer)
    assert changed(before, after) == {weight for weight in before if "multi_modal_projector" in weight}
    rows = curve(place / f"{name}.csv")
    assert float(rows[-1]["patch_loss"]) < 0.8 * float(rows[0]["patch_loss"])


def test_without_captions_no_layer_of_the_language_model_runs(make, place, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("the language model was run")

    monkeypatch.setattr(steps, "read_prefix_states", refuse)
    monkeypatch.setattr(steps, "caption_loss", refuse)
    alone = ArmParams(loss="cosine", beta=2.0, captions=False)
    before, after = make(loss=alone, name="alone")
    assert changed(before, after) == {name for name in before if "multi_modal_projector" in name}
    rows = curve(place / "alone.csv")
    assert {row["caption_loss"] for row in rows} == {""}
    for row in rows:
        assert float(row["loss"]) == pytest.approx(2.0 * float(row["patch_loss"]), rel=1e-3)


def test_the_weight_of_an_annealed_loss_falls_with_the_steps(make, place):
    make(loss=ALIGNED.model_copy(update={"anneal": True}), name="annealed")
    rows = curve(place / "annealed.csv")
    shares = [
        (float(row["loss"]) - float(row["caption_loss"])) / (2.0 * float(row["patch_loss"])) for row in rows
    ]
    # Steps 0 and 1 of 8 have weights of 1 and 7/8 of it, the last two 2/8 and 1/8.
    assert shares[0] == pytest.approx(15 / 16, abs=0.02) and shares[-1] == pytest.approx(3 / 16, abs=0.02)


def test_the_patch_loss_can_be_kept_on_in_fine_tuning(make):
    kept = ArmParams(loss="cosine", finetune_beta=0.5).in_finetuning()
    _, with_it = make(loss=kept, whole=True, name="kept")
    _, without = make(loss=None, supervised=False, whole=True, name="without")
    assert any("multi_modal_projector" in name for name in changed(with_it, without))


@pytest.mark.parametrize("loss", ["cosine", "contrastive", "vocabulary", "logit_lens"])
def test_a_patch_loss_does_not_depend_on_how_a_step_is_shared_out(small_llava, loss):
    """Of two shares, each with other words: negatives are those of the whole step."""
    model, processor = small_llava
    collator = Collator(*made_data(processor.tokenizer, True))
    before = encode(processor.tokenizer, [ChatFormat.of(processor.tokenizer, IMAGE).before_image])[0]
    step = steps.Step(model, before, ArmParams(loss=loss, beta=3.0), "tokens")
    schedule = Schedule(np.array([0, 1, 2, 3]))
    whole, shared = (Shares(collator, schedule, 4, count, "tokens") for count in (1, 4))
    alone = [step.patch_loss and step(collator([(k, k)]))[1]["patch_loss"] for k in range(4)]
    found = [step(shared[k])[1]["patch_loss"] for k in range(4)]
    torch.testing.assert_close(sum(found), step(whole[0])[1]["patch_loss"])
    if loss == "contrastive":
        assert sum(alone) == 0 < sum(found)  # an image alone has no negatives


def test_hidden_states_at_vision_tokens_are_the_same_where_layers_are_computed_again(small_llava):
    """``logit_lens`` with ``compute.recompute``: loss and gradients as without."""
    model, processor = small_llava
    model.train()
    batch = Collator(*made_data(processor.tokenizer, True))([(0, 0), (1, 1)])
    before = encode(processor.tokenizer, [ChatFormat.of(processor.tokenizer, IMAGE).before_image])[0]
    projector = model.model.multi_modal_projector
    model.requires_grad_(False)
    projector.requires_grad_(True)

    def found(**compute):
        arm, settings = ArmParams(loss="logit_lens", beta=3.0), trainer.ALONE.model_copy(update=compute)
        loss, parts = trainer.prepare_step(model, before, SETTINGS, arm, settings)(batch)
        return [loss.detach(), *parts.values(), *torch.autograd.grad(loss, projector.parameters())]

    for one, two in zip(found(), found(recompute=True), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("loss", ["cosine", "contrastive", "vocabulary", "logit_lens"])
def test_a_frozen_language_model_in_half_precision_gives_nearly_the_same(small_llava, loss, monkeypatch):
    """Of what a GPU does: the language model held in bfloat16, products in it, the projector in float32."""
    monkeypatch.setattr(steps, "autocast", lambda: torch.autocast("cpu", torch.bfloat16))
    model, processor = small_llava
    model.requires_grad_(False)
    projector = model.model.multi_modal_projector.requires_grad_(True)
    batch = Collator(*made_data(processor.tokenizer, True))([(0, 0), (1, 1)])
    before = encode(processor.tokenizer, [ChatFormat.of(processor.tokenizer, IMAGE).before_image])[0]
    step = steps.Step(model, before, ArmParams(loss=loss, beta=3.0), "tokens")

    def found():
        value, _ = step(batch)
        return value.detach(), torch.autograd.grad(value, projector.linear_2.weight)[0]

    (one, slope), _ = found(), llava.halve_frozen(model, torch.bfloat16)
    dtypes = {name.split(".")[1]: value.dtype for name, value in model.named_parameters()}
    assert dtypes["language_model"] == dtypes["weight"] == torch.bfloat16  # lm_head.weight
    assert dtypes["multi_modal_projector"] == dtypes["vision_tower"] == torch.float32
    assert all(value.dtype != torch.bfloat16 for value in model.buffers())
    other, other_slope = found()
    torch.testing.assert_close(other, one, rtol=0.02, atol=0.02)
    assert other_slope.dtype == torch.float32
    assert torch.cosine_similarity(slope.flatten(), other_slope.flatten(), dim=0) > 0.98


def test_layers_with_a_convolution_are_not_compiled(small_llava, monkeypatch):
    """LFM2's: each other length would be compiled anew."""
    monkeypatch.setattr(compiling.shutil, "which", lambda name: name)
    model, processor = small_llava
    compiled = trainer.ALONE.model_copy(update={"compile": True})
    trainer.prepare_step(model, encode(processor.tokenizer, ["red"])[0], SETTINGS, None, compiled)
    convolution, attention = llava.decoder_of(model).layers
    assert any(isinstance(part, torch.nn.Conv1d) for part in convolution.modules())
    assert convolution._compiled_call_impl is None
    assert attention._compiled_call_impl is not None


def test_without_a_compiler_the_setting_is_named(monkeypatch):
    monkeypatch.setattr(compiling.shutil, "which", lambda name: None)
    with pytest.raises(UserError, match=r"compute\.compile: true needs a C\+\+ compiler.*install g\+\+"):
        compiling.compile_layers([])
