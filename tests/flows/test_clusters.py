"""Processes, Dask and Ray: a worker killed in the middle costs its own shard, and not a byte."""

import os
import re
from pathlib import Path

import pytest
from prefect import flow
from toy_block import UNITS, ToyBlock

from flows import common, runners
from flows.common import run_block
from pipeline.errors import UserError
from pipeline.params import ComputeParams

pytestmark = pytest.mark.usefixtures("prefect_server")


@flow
def clustered(folder: Path, compute: ComputeParams):
    return run_block(ToyBlock(folder), UNITS, compute, folder / "data", folder / "work")


def settings(runner: str, **changes) -> ComputeParams:
    return ComputeParams(**{"runner": runner, "workers": 2, "threads": 0, **changes})


def content(folder: Path) -> dict[str, bytes]:
    data = folder / "data"
    return {str(path.relative_to(data)): path.read_bytes() for path in data.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, prefect_server) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("undisturbed")
    clustered(folder, settings("threads"))
    return content(folder)


@pytest.fixture
def disturbed(tmp_path, monkeypatch) -> Path:
    """A folder whose third shard kills the first worker that takes it."""
    monkeypatch.setattr(common, "LOST_SECONDS", (0, 0))
    (tmp_path / "mood").write_text("killed once")
    return tmp_path


@pytest.fixture
def dask_address():
    """A Dask cluster of two workers that was started elsewhere."""
    distributed = pytest.importorskip("distributed", reason="Dask is not installed")
    with distributed.LocalCluster(2, threads_per_worker=1, dashboard_address=None) as cluster:
        yield cluster.scheduler_address


def test_dask_gives_a_killed_workers_shard_to_another(disturbed, undisturbed, dask_address):
    clustered(disturbed, settings("dask", address=dask_address))
    # Only the shard that the worker died on was done again.
    assert ToyBlock(disturbed).calls() == [0, 1, 2, 2, 3]
    assert content(disturbed) == undisturbed


def test_ray_gives_a_killed_workers_shard_to_another(disturbed, undisturbed):
    ray = pytest.importorskip("ray", reason="Ray is not installed")
    try:
        clustered(disturbed, settings("ray"))
    except Exception as error:
        if "timed out during startup" not in str(error):
            raise
        ray.shutdown()
        pytest.skip("this machine is so busy that Ray did not start within its own 30 s")
    assert ToyBlock(disturbed).calls() == [0, 1, 2, 2, 3]
    assert content(disturbed) == undisturbed


def test_processes_start_again_and_do_what_is_not_done(disturbed, undisturbed):
    clustered(disturbed, settings("processes"))
    calls = ToyBlock(disturbed).calls()
    # A pool dies with its worker, and with it the shard beside; what was finished is not done again.
    assert calls.count(2) == 2
    assert len(calls) <= 6
    assert content(disturbed) == undisturbed


def test_a_cluster_that_is_not_there_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(runners, "_REACH_SECONDS", 1)
    with pytest.raises(
        UserError, match=r"compute\.address: there is no Dask cluster at 'tcp://127\.0\.0\.1:9'"
    ):
        clustered(tmp_path, settings("dask", address="tcp://127.0.0.1:9"))


def test_workers_that_find_no_prefect_server_are_told(prefect_server):
    # What a task says on another machine, where the address of this one's loopback leads nowhere.
    said = RuntimeError("Failed to reach API at http://127.0.0.1:4297/api/")
    elsewhere = settings("threads", address="tcp://head:8786")
    told = f"workers of tcp://head:8786 cannot reach this run's Prefect server at {prefect_server}"
    with pytest.raises(UserError, match=re.escape(told)), runners.open_runner(elsewhere):
        raise said
    with pytest.raises(RuntimeError, match="another"), runners.open_runner(elsewhere):
        raise RuntimeError("another")


def test_workers_share_out_gpus_and_keep_what_they_were_given(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    for number, expected in [(0, "0"), (1, "1"), (5, "1")]:
        monkeypatch.setattr(runners, "_worker_number", lambda number=number: number)
        runners.settle(Path.cwd(), gpus=2)
        assert os.environ.pop("CUDA_VISIBLE_DEVICES") == expected
    runners.settle(Path.cwd(), gpus=0)
    assert "CUDA_VISIBLE_DEVICES" not in os.environ
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    runners.settle(Path.cwd(), gpus=2)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "7"
