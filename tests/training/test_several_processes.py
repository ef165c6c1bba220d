"""Processes, micro-batches and layers computed again: how the work is spread changes nothing but rounding."""

from __future__ import annotations

import csv
import os
import signal
import sys
import time
from pathlib import Path

import processes_of_torchrun
import pytest
import torch
from safetensors.torch import load_file
from small_training import run
from torch import multiprocessing

from pipeline.errors import UserError
from pipeline.params import ComputeParams
from pipeline.training import processes
from pipeline.training.batches import shares_of


@pytest.fixture(scope="module")
def spread(encoder_folder, language_model_folder, tmp_path_factory):
    """``spread(count, *words)`` is the weights and the curve of a run in ``count`` processes."""

    def start(count: int, *words: str):
        out = tmp_path_factory.mktemp("spread")
        processes_of_torchrun.start(count, run, encoder_folder, language_model_folder, out, words)
        with (out / "curve.csv").open(newline="") as file:
            return load_file(out / "weights.safetensors"), list(csv.DictReader(file))

    return start


@pytest.fixture(scope="module")
def alone(spread):
    """One process with whole batches: fine-tuning, and pre-training with patches."""
    return {"whole": spread(1, "whole"), "projector": spread(1)}


def assert_same(found, expected):
    weights, curve = found
    assert weights.keys() == expected[0].keys()
    for name, value in expected[0].items():
        torch.testing.assert_close(weights[name], value, rtol=0, atol=1e-5, msg=lambda m, n=name: f"{n}: {m}")
    assert [row["step"] for row in curve] == [row["step"] for row in expected[1]] == ["2", "3", "4", "6", "8"]
    for row, other in zip(curve, expected[1], strict=True):
        for column in ("loss", "caption_loss", "patch_loss", "grad_norm"):
            if other[column]:
                assert float(row[column]) == pytest.approx(float(other[column]), rel=1e-4), column


@pytest.mark.parametrize("stage", ["projector", "whole"])
def test_two_processes_give_what_one_gives(spread, alone, stage):
    assert_same(spread(2, stage), alone[stage])


def test_a_model_sharded_over_two_processes_gives_what_one_gives(spread, alone):
    assert_same(spread(2, "whole", "sharding=full"), alone["whole"])


@pytest.mark.parametrize("word", ["micro_batch=1", "recompute=true"])
def test_less_memory_gives_the_same(spread, alone, word):
    assert_same(spread(1, "whole", word), alone["whole"])


def test_a_step_is_cut_into_as_few_shares_as_fit():
    assert shares_of(256, 0, 1) == 1
    assert shares_of(256, 0, 8) == 8
    assert shares_of(256, 16, 8) == 16
    assert shares_of(12, 4, 2) == 4  # six images come to a process: three at a time, not four
    with pytest.raises(UserError, match="16 images cannot be shared evenly by 3 processes"):
        shares_of(16, 0, 3)


def test_a_stage_starts_itself_under_torchrun_where_it_should(monkeypatch):
    started = []
    monkeypatch.setattr(processes.os, "execv", lambda program, words: started.append(words))
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    two = ComputeParams(runner="threads", workers=1, threads=0, processes=2)
    one = two.model_copy(update={"processes": 1})
    processes.launch(one, "pipeline.training.pretrain", ["--arm", "caption"])
    assert not started
    processes.launch(two, "pipeline.training.pretrain", ["--arm", "caption"])
    assert started[0][1:3] == ["-m", "torch.distributed.run"]
    assert "--nproc-per-node=2" in started[0]
    assert started[0][-4:] == ["-m", "pipeline.training.pretrain", "--arm", "caption"]
    monkeypatch.setenv("LOCAL_RANK", "0")
    monkeypatch.setattr(processes, "_prctl_pr_set_pdeathsig", lambda signal: None)
    processes.launch(two, "pipeline.training.pretrain", [])
    assert len(started) == 1


def killed_torchrun(file):
    """Starts a process as torchrun does, in a session of its own, and dies of kill -9 once it trains."""
    child = os.fork()
    if not child:
        os.setsid()
        os.environ["LOCAL_RANK"] = "0"
        processes.launch(ComputeParams(runner="threads", workers=1, threads=0, processes=2), "stage", [])
        file.write_text(str(os.getpid()))
        time.sleep(600)
        os._exit(0)
    while not (file.exists() and file.read_text()):
        time.sleep(0.05)
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux to kill a child with its parent")
def test_what_torchrun_started_dies_with_it(tmp_path):
    file = tmp_path / "pid"
    torchrun = multiprocessing.get_context(processes_of_torchrun.CLEAN).Process(
        target=killed_torchrun, args=(file,)
    )
    torchrun.start()
    torchrun.join(120)
    assert torchrun.exitcode == -signal.SIGKILL
    state = Path(f"/proc/{file.read_text()}/stat")
    for _ in range(1200):
        try:
            if state.read_text().rpartition(")")[2].split()[0] == "Z":
                return
        except FileNotFoundError:
            return
        time.sleep(0.05)
    os.kill(int(file.read_text()), signal.SIGKILL)
    pytest.fail("it lived on")
