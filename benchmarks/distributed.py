"""What a lost worker costs: ``python -m benchmarks.distributed``.

Grounds made pictures by the source ``open_clip`` (a CLIP with random weights) as the stage ``ground`` does:
on two threads, then on two worker processes, a Dask and a Ray cluster of two workers on this machine. Each
but the first runs twice, the second time with one worker killed (SIGKILL) while it works on a shard in the
middle. Prints seconds, clusters' starts included, how often a shard was begun again, and whether the tables
are those of the threads, byte for byte. Every run starts from nothing, in a process of its own.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from benchmarks import made_pictures
from benchmarks.servers import prefect_server
from pipeline.grounding import kept
from pipeline.grounding.block import GroundBlock
from pipeline.grounding.open_clip import OpenClipAnnotator
from pipeline.params import ComputeParams, OpenClipSourceParams
from pipeline.tables import dataset, digests
from pipeline.tables.dataset import Provenance
from pipeline.tables.shards import Block, Tables

RUNNERS = ("threads", "processes", "dask", "ray")
WORKERS, BATCH = 2, 10
TABLES = ("images", "captions", "phrases", "objects")


@dataclass(frozen=True)
class Watched:
    """A block that notes which process begins which shard; implements `pipeline.tables.shards.Block`."""

    block: GroundBlock
    notes: Path

    stage = "ground"
    outputs = ("regions",)

    def shard_count(self) -> int:
        """Those of the block."""
        return self.block.shard_count()

    def provenance(self) -> Provenance:
        """That of the block."""
        return self.block.provenance()

    def rows_in(self, shard: int) -> int:
        """Those of the block."""
        return self.block.rows_in(shard)

    def process(self, shard: int) -> Tables:
        """The block's tables, after a line ``shard process``."""
        with self.notes.open("a") as notes:
            notes.write(f"{shard} {os.getpid()}\n")
        return self.block.process(shard)


def main(
    images: Annotated[int, typer.Option(help="How many pictures.")] = 2000,
    shard_size: Annotated[int, typer.Option(help="Pictures a shard.")] = 100,
    runner: Annotated[list[str] | None, typer.Option(help="May be given several times.")] = None,
    folder: Annotated[Path | None, typer.Option(hidden=True)] = None,
    killed: Annotated[bool, typer.Option("--killed", hidden=True)] = False,
) -> None:
    """Measure and print."""
    if folder is not None:
        assert runner is not None
        run(folder, runner[0], killed)
        return
    runner = runner or list(RUNNERS)
    if unknown := set(runner) - set(RUNNERS):
        raise typer.BadParameter(f"there is no runner {', '.join(unknown)}; there are {', '.join(RUNNERS)}")
    table = Table("runner", "worker killed", "seconds", "shards begun again", "tables of the threads")
    runs = [
        ("threads", False),
        *((name, kill) for name in runner if name != "threads" for kill in (False, True)),
    ]
    with tempfile.TemporaryDirectory() as place, prefect_server(Path(place)) as environment:
        make(Path(place), images, shard_size)
        expected = ""
        for name, kill in runs:
            command = [sys.executable, "-m", "benchmarks.distributed", "--folder", place, "--runner", name]
            began = time.perf_counter()
            subprocess.run([*command, *["--killed"] * kill], env=environment, check=True)
            seconds = time.perf_counter() - began
            result = json.loads((Path(place) / "result.json").read_text())
            expected = expected or result["digest"]
            same = "yes" if result["digest"] == expected else "NO"
            table.add_row(name, "yes" if kill else "no", f"{seconds:.1f}", str(result["again"]), same)
    Console().print(f"{images:,} pictures, {shard_size} a shard, two workers", table)


def make(folder: Path, images: int, shard_size: int) -> None:
    """Write the datasets that the stage reads, and the model."""
    for number, first in enumerate(range(0, images, shard_size)):
        tables = made_pictures.shard(range(first, min(first + shard_size, images)))
        for name in TABLES:
            dataset.write_part(folder / "in" / name, number, getattr(tables, name), name, Provenance("made"))
    made_pictures.save_model(folder / "model", layers=6, width=256, patch=16)


def block_of(folder: Path, out: Path) -> GroundBlock:
    """The stage's block on what `make` wrote; what the model says is kept below ``out``."""
    params = OpenClipSourceParams(
        model=f"local-dir:{folder / 'model'}",
        pretrained=None,
        dense="tokens",
        prompt="a photo of {}",
        threshold=0.6,
        min_similarity=-1,
        batch_size=BATCH,
    )
    datasets = {name: folder / "in" / name for name in TABLES}
    return GroundBlock(OpenClipAnnotator(params, out / "work" / kept.FOLDER), root=folder, **datasets)


def run_stage(block: Block, runner: str, out: Path) -> None:
    """Do the stage with two workers, or what is left of it; tables go to ``out/data``."""
    from prefect import flow

    from flows.common import run_block

    compute = ComputeParams(runner=runner, address=None, workers=WORKERS, gpus=0, threads=0)

    @flow
    def ground() -> None:
        run_block(block, {"regions": "phrase_id"}, compute, out / "data", out / "work")

    ground()


def tables_digest(out: Path) -> str:
    """Digest of the tables' bytes."""
    return digests.of_files(out / "data", "part-*.arrow")


def run(folder: Path, runner: str, killed: bool) -> None:
    """Do the stage once, from nothing, and write what came of it to ``result.json``."""
    out = folder / "out"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    block = Watched(block_of(folder, out), out / "begun")
    if killed:
        middle = block.shard_count() // 2
        threading.Thread(target=kill_one, args=(block.notes, middle), daemon=True).start()
    run_stage(block, runner, out)
    again = len(begun(block.notes)) - block.shard_count()
    (folder / "result.json").write_text(json.dumps({"again": again, "digest": tables_digest(out)}))


def begun(notes: Path) -> list[int]:
    """The process of each shard that was begun, in order."""
    lines = notes.read_text().splitlines() if notes.exists() else []
    return [int(line.split()[1]) for line in lines]


def kill_one(notes: Path, after: int) -> None:
    """Kill the worker that has begun the shard after ``after`` others."""
    while len(begun(notes)) <= after:
        time.sleep(0.01)
    os.kill(begun(notes)[after], signal.SIGKILL)


if __name__ == "__main__":
    typer.run(main)
