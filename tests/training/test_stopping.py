"""What stops a training run is told with what to do, and leaves a checkpoint that loads."""

from __future__ import annotations

import os
import signal

import pytest
import torch
from processes_of_torchrun import CLEAN
from safetensors.torch import load_file, save_file
from small_training import made_data, run
from torch import multiprocessing
from transformers import TrainerCallback

from pipeline.errors import UserError
from pipeline.params import ComputeParams
from pipeline.training import optimiser, resuming, step, trainer


class Kill(TrainerCallback):
    """Kills its own process with a signal that cannot be caught, once step 5 is done."""

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == 5:
            os.kill(os.getpid(), signal.SIGKILL)


def worker(rank, arguments):
    torch.set_num_threads(1)
    run(*arguments)


@pytest.fixture
def forked(encoder_folder, language_model_folder):
    """``forked(out, callbacks)`` trains in a process of its own and gives its exit code."""

    def start(out, callbacks=()):
        arguments = (encoder_folder, language_model_folder, out, ("whole",), callbacks)
        context = multiprocessing.get_context(CLEAN)
        process = context.Process(target=worker, args=(0, arguments))
        process.start()
        process.join()
        return process.exitcode

    return start


def test_a_run_killed_without_warning_goes_on_to_the_same_weights(forked, tmp_path):
    assert forked(tmp_path / "through") == 0
    assert forked(tmp_path / "killed", [Kill()]) == -signal.SIGKILL
    assert resuming.last_checkpoint(tmp_path / "killed/work").endswith("checkpoint-3")
    assert forked(tmp_path / "killed") == 0
    found, expected = (load_file(tmp_path / name / "weights.safetensors") for name in ("killed", "through"))
    assert all(torch.equal(found[name], value) for name, value in expected.items())


def write(step):
    def into(folder):
        (folder / f"checkpoint-{step}").mkdir()
        (folder / f"checkpoint-{step}" / "trainer_state.json").write_text("{}")

    return into


def test_the_checkpoint_before_is_there_until_the_next_one_is_whole(tmp_path):
    resuming.replace_last(tmp_path, 3, write(3))

    def full_disk(folder):
        write(6)(folder)
        assert (tmp_path / "checkpoint-3").exists()
        raise OSError(28, "No space left on device")

    with pytest.raises(UserError, match=r"step 6 could not be written .*checkpoint-3 is still there"):
        resuming.replace_last(tmp_path, 6, full_disk)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-3"]
    resuming.replace_last(tmp_path, 6, write(6))
    assert sorted(path.name for path in tmp_path.glob("checkpoint-*")) == ["checkpoint-6"]


def test_what_was_half_written_by_a_killed_process_is_not_taken_up(tmp_path):
    resuming.replace_last(tmp_path, 3, write(3))
    (tmp_path / "partial").mkdir(exist_ok=True)
    write(6)(tmp_path / "partial")
    assert resuming.last_checkpoint(tmp_path).endswith("checkpoint-3")
    resuming.replace_last(tmp_path, 6, write(6))
    assert resuming.last_checkpoint(tmp_path).endswith("checkpoint-6")


def test_a_checkpoint_holds_what_is_trained_and_of_this_model_alone(tmp_path):
    model = torch.nn.ModuleDict({"frozen": torch.nn.Linear(2, 3), "projector": torch.nn.Linear(3, 4)})
    model["frozen"].requires_grad_(False)
    resuming.save_weights(model, tmp_path)
    held = load_file(tmp_path / resuming.WEIGHTS)
    assert held.keys() == {"projector.weight", "projector.bias"}
    resuming.load_weights(model, tmp_path)
    save_file({"projector.weight": torch.ones(4, 5), "other": torch.ones(1)}, tmp_path / resuming.WEIGHTS)
    with pytest.raises(UserError) as caught:
        resuming.load_weights(model, tmp_path)
    message = str(caught.value)
    assert "another model (3 differences" in message
    assert "other is not in this model; projector.bias is missing" in message
    assert "projector.weight is [4, 5] there, [4, 3] here" in message


@pytest.fixture
def broken(monkeypatch):
    """Data in which the features of image i5 are not numbers."""

    def data(*arguments):
        held, *rest = made_data(*arguments)
        held.parts[0][5, 3] = float("nan")
        return held, *rest

    monkeypatch.setattr("small_training.made_data", data)
    set_by_the_run = {trainer: ("device", "LOG_EVERY"), step: ("autocast",), optimiser: ("ITERATED_IN",)}
    for module, names in set_by_the_run.items():  # put back afterwards
        for name in names:
            monkeypatch.setattr(module, name, getattr(module, name))


def test_a_loss_that_is_no_number_stops_at_its_images(
    broken, encoder_folder, language_model_folder, tmp_path
):
    with pytest.raises(UserError) as caught:
        run(encoder_folder, language_model_folder, tmp_path)
    message = str(caught.value)
    assert "loss became nan in step" in message
    assert "i5" in message
    assert "learning_rate (it is 0.02)" in message


def test_memory_that_is_full_is_told_with_what_to_lower():
    compute = ComputeParams(runner="threads", workers=1, threads=0)
    message = str(trainer.out_of_memory(32, compute))
    assert "compute.micro_batch to 16" in message
    assert "compute.recompute" in message
    assert "compute.sharding" in message
    least = compute.model_copy(update={"recompute": True, "sharding": "full"})
    assert "more or larger GPUs" in str(trainer.out_of_memory(1, least))
