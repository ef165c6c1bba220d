"""Shards as Prefect tasks: retried where it helps, resumed where it stopped, and never half-published."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from prefect import flow
from toy_block import SHARDS, UNITS, ToyBlock

from flows import common
from flows.common import run_block
from pipeline.errors import UserError
from pipeline.params import ComputeParams
from pipeline.tables import dataset

pytestmark = pytest.mark.usefixtures("prefect_server")

THREADS = ComputeParams(runner="threads", workers=2, threads=0)
PROCESSES = ComputeParams(runner="processes", workers=2, threads=0)


@flow
def toy(folder: Path, compute: ComputeParams = THREADS):
    return run_block(ToyBlock(folder), UNITS, compute, folder / "data", folder / "work")


def content(folder: Path) -> dict[str, bytes]:
    """Every file below ``folder/data``."""
    data = folder / "data"
    return {
        path.relative_to(data).as_posix(): path.read_bytes() for path in data.rglob("*") if path.is_file()
    }


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, prefect_server) -> dict[str, bytes]:
    """What a run without any trouble makes."""
    folder = tmp_path_factory.mktemp("undisturbed")
    toy(folder)
    return content(folder)


def test_a_run_publishes_every_table_and_its_summary(undisturbed):
    parts = [f"part-0000{shard}.arrow" for shard in range(SHARDS)]
    assert sorted(undisturbed) == sorted(
        [f"captions/{part}" for part in parts]
        + [f"rejects/toy/{part}" for part in parts]
        + ["summaries/toy.json"]
    )


def test_rows_in_are_rows_out_and_rejects(tmp_path):
    summary = toy(tmp_path)
    assert summary.rows_in == 40
    assert summary.rows_out == {"captions": 28}
    assert summary.rejected == {"empty": 4, "odd": 8}
    assert dataset.count_rows(tmp_path / "data" / "captions") == 28
    assert not (tmp_path / "work" / "toy").exists()


def test_a_second_run_makes_the_same_bytes(tmp_path, undisturbed):
    toy(tmp_path)
    toy(tmp_path)
    assert content(tmp_path) == undisturbed


def test_what_can_pass_is_tried_again(tmp_path, undisturbed):
    (tmp_path / "mood").write_text("stumble once")
    toy(tmp_path)
    assert ToyBlock(tmp_path).calls() == [0, 1, 2, 2, 3]
    assert content(tmp_path) == undisturbed


@pytest.mark.parametrize(("mood", "error"), [("user", UserError), ("missing", FileNotFoundError)])
def test_what_lasts_is_not_tried_again_and_the_next_run_goes_on(tmp_path, undisturbed, mood, error):
    (tmp_path / "mood").write_text(mood)
    with pytest.raises(error):
        toy(tmp_path)
    first = ToyBlock(tmp_path).calls()
    assert first.count(2) == 1
    assert not (tmp_path / "data").exists()
    (tmp_path / "mood").unlink()
    toy(tmp_path)
    # Shards of the first run were not done again; only those that it had not finished.
    again = ToyBlock(tmp_path).calls()
    assert [again.count(shard) for shard in range(SHARDS)] == [1, 1, 2, 1]
    assert content(tmp_path) == undisturbed


@pytest.mark.parametrize("mood", ["loses a row", "doubles a row"])
def test_a_lost_row_stops_the_stage(tmp_path, mood):
    (tmp_path / "mood").write_text(mood)
    with pytest.raises(RuntimeError, match="toy, shard 2: 10 rows went in, but"):
        toy(tmp_path)
    assert not (tmp_path / "data").exists()


def test_a_full_disk_is_told_and_the_next_run_goes_on(tmp_path, undisturbed, monkeypatch):
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(dataset.os, "fsync", full)
        with pytest.raises(UserError, match=r"No space left on device\. Nothing half-written was left"):
            toy(tmp_path)
    assert not (tmp_path / "data").exists()
    toy(tmp_path)
    assert content(tmp_path) == undisturbed


def test_a_worker_process_that_always_dies_is_told_and_the_next_run_goes_on(
    tmp_path, undisturbed, monkeypatch
):
    monkeypatch.setattr(common, "LOST_SECONDS", (0,))
    (tmp_path / "mood").write_text("killed")
    with pytest.raises(UserError, match=r"process was killed 2 times.*compute\.workers \(found 2\)"):
        toy(tmp_path, PROCESSES)
    assert not (tmp_path / "data").exists()
    (tmp_path / "mood").unlink()
    toy(tmp_path, PROCESSES)
    assert content(tmp_path) == undisturbed


PROGRAM = """
import sys
sys.path.insert(0, {tests!r})
from pathlib import Path
import test_run_block
test_run_block.toy(Path({folder!r}))
"""


def test_a_killed_run_goes_on_where_it_was(tmp_path, undisturbed):
    (tmp_path / "mood").write_text("slow")
    program = PROGRAM.format(tests=str(Path(__file__).parent), folder=str(tmp_path))
    process = subprocess.Popen([sys.executable, "-c", program], cwd=Path(__file__).parents[2])
    others = {0, 1, 3}
    deadline = time.monotonic() + 480
    while len(list((tmp_path / "work").rglob("*.done"))) < len(others):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "data").exists()
    (tmp_path / "mood").unlink()
    toy(tmp_path)
    assert ToyBlock(tmp_path).calls() == [0, 1, 2, 2, 3]
    assert content(tmp_path) == undisturbed
