"""Does memory stay flat, and time linear? ``python -m benchmarks.ground_million --images 1000000``.

Makes the tables of images with phrases and boxes (no pixels) by streaming, sends them through ``ground``
(source ``dataset``) and ``patch_words`` (24 x 24 patches), each stage in a process of its own, and prints
seconds and the most memory that each process held. ``--images`` may be given several times: then processor
time an image tells whether time is linear (some two seconds of it are for starting Python and its libraries).
A slow, obvious reference checks phrases of the first and the last shard, one by one.

``--flows`` runs the stages as DVC does, ``python -m flows.ground`` and ``python -m flows.patch_words``, with
Prefect; without it the blocks run in plain Python.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import numpy as np
import pyarrow.compute as pc
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.made_tables import GRID, INPUT, PATCH, PHRASES, make
from benchmarks.servers import prefect_server
from pipeline import params as parameters
from pipeline.grounding.block import GroundBlock
from pipeline.grounding.dataset import DatasetAnnotator
from pipeline.params import DatasetSourceParams, PatchWordsParams
from pipeline.patches.block import PatchWordsBlock
from pipeline.tables import dataset
from pipeline.tables.shards import Block, Staging, count

ROOT = Path(__file__).parents[1]
RULE = DatasetSourceParams(several="all", crowds=True)
COVER = PatchWordsParams(min_coverage=0.1, min_score=0.0, use="boxes")
STAGES = ("ground", "patch_words")
LIMIT = 1.5 * 2**30  # bytes that no stage may go over


@dataclass(frozen=True)
class Cost:
    """What a stage took."""

    rows: int
    seconds: float
    """Of the clock."""
    processor: float
    """Of processors: what else the machine does counts less."""
    memory: int
    """Bytes, the most that the process held resident."""


def main(
    images: Annotated[list[int], typer.Option(help="How many; may be given several times.")],
    shard_size: Annotated[int, typer.Option(help="Images a shard.")] = 2000,
    folder: Annotated[Path | None, typer.Option(help="Where the tables go; about 2 kB an image.")] = None,
    flows: Annotated[bool, typer.Option("--flows", help="Run the stages as DVC does.")] = False,
    stage: Annotated[str | None, typer.Option(hidden=True)] = None,
) -> None:
    """Measure and print."""
    if stage is not None:
        assert folder is not None
        run_stage(stage, folder)
        return
    costs = []
    for number in images:
        with ExitStack() as stack:
            workspace = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=folder)))
            environment = os.environ | {"PYTHONPATH": str(ROOT)}
            if flows:
                environment = stack.enter_context(prefect_server(workspace))
            make(workspace / "data", number, shard_size)
            of_stage = {}
            for name in STAGES:
                command = command_of(name, workspace, number, shard_size, flows)
                regions = workspace / "data" / "regions"
                rows = number * PHRASES if name == "ground" else dataset.count_rows(regions)
                of_stage[name] = measure(command, workspace, environment, rows)
            costs.append((number, of_stage))
            check(workspace / "data")
    show(costs)
    if max(cost.memory for _, of in costs for cost in of.values()) > LIMIT:
        raise typer.Exit(1)


def block_of(stage: str, data: Path) -> Block:
    """The stage's block on the made tables."""
    if stage == "ground":
        return GroundBlock(
            DatasetAnnotator(RULE),
            data / "images",
            data / "captions",
            data / "phrases",
            data / "objects",
            root=data,
        )
    return PatchWordsBlock(
        data / "images", data / "phrases", data / "regions", data / "models" / "encoder", COVER
    )


def run_stage(stage: str, data: Path) -> None:
    """A stage in this process, shard after shard: done, counted, kept, and published at the end."""
    block = block_of(stage, data)
    staging = Staging(data / ".work", block)
    for shard in range(block.shard_count()):
        tables = block.process(shard)
        done = count(block, shard, tables)
        table, unit = ("regions", "phrase_id") if stage == "ground" else (stage, "phrase_id")
        out = pc.count_distinct(tables[table][unit]).as_py()
        assert done.rows_in == out + sum(done.rejected.values()), "rows were lost"
        staging.commit(shard, tables)
    targets = {name: data / name for name in block.outputs}
    staging.publish(targets | {"rejects": data / "rejects" / stage})


def command_of(stage: str, workspace: Path, images: int, shard_size: int, flows: bool) -> list[str]:
    """What runs a stage on its own; with its settings in ``workspace``, where that is how it gets them."""
    if not flows:
        command = [sys.executable, "-m", "benchmarks.ground_million", "--images", str(images)]
        return [
            *command,
            "--shard-size",
            str(shard_size),
            "--folder",
            str(workspace / "data"),
            "--stage",
            stage,
        ]
    settings = parameters.load(ROOT / "params.yaml").model_dump(mode="json")
    settings["ground"] |= {"source": "dataset", "masks": "none", "dataset": RULE.model_dump()}
    settings["patch_words"] = COVER.model_dump()
    (workspace / "params.yaml").write_text(json.dumps(settings))  # JSON is YAML
    return [sys.executable, "-m", f"flows.{stage}"]


def measure(command: list[str], workspace: Path, environment: dict[str, str], rows: int) -> Cost:
    """What a process takes that does a stage of so many rows."""
    began = time.perf_counter()
    process = subprocess.Popen(command, cwd=workspace, env=environment)
    ended, memory = 0, 0
    while not ended:
        time.sleep(0.05)
        # Not ru_maxrss: Linux counts there what the parent held when it started the child.
        memory = max(memory, most_held(process.pid))
        ended, status, usage = os.wait4(process.pid, os.WNOHANG)
    seconds = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise typer.Exit(process.returncode)
    return Cost(rows, seconds, usage.ru_utime + usage.ru_stime, memory)


def most_held(pid: int) -> int:
    """Bytes, the most that a process has held resident so far, mapped files included; 0 if it has ended."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    return 0


def check(data: Path, phrases: int = 300) -> None:
    """Phrases of the first and the last shard against the definitions, one at a time."""
    parts = len(dataset.parts(data / "images"))
    for shard in {0, parts - 1}:
        rows = {
            name: dataset.read_part(data / name / dataset.PART.format(shard)).to_pylist()
            for name in ("images", "objects", "phrases", "regions", "patch_words")
        }
        images = {row["image_id"]: row for row in rows["images"]}
        for phrase in rows["phrases"][:phrases]:
            image = images[phrase["image_id"]]
            noun = phrase["words"][0]["lemma"]
            meant = [
                row["box"]
                for row in rows["objects"]
                if row["image_id"] == image["image_id"] and row["label"] == noun
            ]
            found = [row["box"] for row in rows["regions"] if row["phrase_id"] == phrase["phrase_id"]]
            assert found == meant, f"{phrase['phrase_id']}: regions {found}, objects {meant}"
            cover = covered(meant, image["width"], image["height"])
            told = np.zeros(GRID * GRID)
            for row in rows["patch_words"]:
                if row["phrase_id"] == phrase["phrase_id"]:
                    told[row["patches"]] = row["coverage"]
            clear = (
                np.abs(cover - COVER.min_coverage) > 1e-5
            )  # patches that rounding cannot put on either side
            expected = np.where(cover >= COVER.min_coverage, cover, 0)
            assert np.abs(told - expected)[clear].max() < 1e-4, phrase["phrase_id"]


def covered(boxes: list[list[float]], width: int, height: int) -> np.ndarray:
    """Share of each patch that lies in any of the boxes: patches cut along every edge, piece by piece."""
    scale = INPUT / min(width, height)
    seen_w, seen_h = (int(side * scale) for side in (width, height))
    left, top = (seen_w - INPUT) // 2, (seen_h - INPUT) // 2
    moved = [
        (
            box[0] * seen_w / width - left,
            box[1] * seen_h / height - top,
            box[2] * seen_w / width - left,
            box[3] * seen_h / height - top,
        )
        for box in boxes
    ]
    share = np.zeros(GRID * GRID)
    for row in range(GRID):
        for column in range(GRID):
            x0, y0 = column * PATCH, row * PATCH
            xs = sorted({x0, x0 + PATCH, *(x for b in moved for x in (b[0], b[2]) if x0 < x < x0 + PATCH)})
            ys = sorted({y0, y0 + PATCH, *(y for b in moved for y in (b[1], b[3]) if y0 < y < y0 + PATCH)})
            for xa, xb in pairwise(xs):
                for ya, yb in pairwise(ys):
                    x, y = (xa + xb) / 2, (ya + yb) / 2
                    if any(b[0] <= x < b[2] and b[1] <= y < b[3] for b in moved):
                        share[row * GRID + column] += (xb - xa) * (yb - ya) / PATCH**2
    return share


def show(costs: list[tuple[int, dict[str, Cost]]]) -> None:
    """Print what each stage took."""
    table = Table("images", "stage", "rows in", "seconds", "of processor", "ms an image", "peak MiB")
    for images, of_stage in costs:
        for stage, cost in of_stage.items():
            table.add_row(
                f"{images:,}", stage, f"{cost.rows:,}", f"{cost.seconds:,.1f}", f"{cost.processor:,.1f}",
                f"{1000 * cost.processor / images:.3f}", f"{cost.memory / 2**20:,.0f}",
            )  # fmt: skip
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
