"""Does a kill at any moment cost more than what was being done? ``python -m benchmarks.resume``.

Grounds made pictures by the source ``open_clip`` (a CLIP with random weights) as the stage ``ground`` does,
on two threads, and kills it (SIGKILL) several times on the way, each time starting the same command again.
Prints, for each start, how many pictures went through the model and what the model said of how many was
kept: they differ by the two batches that a kill can cut off at most, and not at all in the end. The tables
have to be those of an undisturbed run, byte for byte.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.distributed import BATCH, WORKERS, block_of, make, run_stage, tables_digest
from benchmarks.made_pictures import PHRASES
from benchmarks.servers import prefect_server
from pipeline.grounding import kept
from pipeline.grounding.dense_clip import DenseClip
from pipeline.grounding.kept import Kept


def main(
    images: Annotated[int, typer.Option(help="How many pictures.")] = 1000,
    shard_size: Annotated[int, typer.Option(help="Pictures a shard.")] = 100,
    kills: Annotated[int, typer.Option(help="How often it is killed.")] = 3,
    folder: Annotated[Path | None, typer.Option(hidden=True)] = None,
    out: Annotated[Path | None, typer.Option(hidden=True)] = None,
) -> None:
    """Measure and print; exit with 1 if a picture was annotated twice or a byte differs."""
    if folder is not None and out is not None:
        count_pictures(out)
        run_stage(block_of(folder, out), "threads", out)
        return
    with tempfile.TemporaryDirectory() as name, prefect_server(Path(name)) as environment:
        place = Path(name)
        make(place, images, shard_size)

        def start(out: Path) -> subprocess.Popen[bytes]:
            out.mkdir(exist_ok=True)
            command = [sys.executable, "-m", "benchmarks.resume", "--folder", str(place), "--out", str(out)]
            return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)

        calm, disturbed = place / "calm", place / "disturbed"
        finish(start(calm))
        table = Table("start", "through the model", "kept", "cut off")
        cut, before = [], (0, 0)
        for number in range(kills + 1):
            process = start(disturbed)
            if number < kills:
                kill_at(process, disturbed, images * (number + 1) // (kills + 1))
            else:
                finish(process)
            now = sent(disturbed), pictures_kept(disturbed)
            through, done = now[0] - before[0], now[1] - before[1]
            before = now
            cut.append(through - done)
            table.add_row(str(number + 1), f"{through:,}", f"{done:,}", f"{cut[-1]}")
        same = tables_digest(disturbed) == tables_digest(calm)
    Console().print(f"{images:,} pictures, {kills} kills", table)
    Console().print("The tables are those of an undisturbed run." if same else "THE TABLES DIFFER.")
    if not same or cut[-1] or max(cut) > WORKERS * BATCH:
        raise typer.Exit(1)


def kill_at(process: subprocess.Popen[bytes], out: Path, count: int) -> None:
    """Kill a run as soon as so many pictures have been sent through the model."""
    while sent(out) < count:
        if process.poll() is not None:
            raise SystemExit("It ended before it could be killed: give more --images.")
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()


def finish(process: subprocess.Popen[bytes]) -> None:
    """Wait until a run has ended well."""
    if process.wait():
        raise typer.Exit(process.returncode)


def count_pictures(out: Path) -> None:
    """From here on, note each picture that this process sends through the model, before it goes."""
    original = DenseClip.encode_patches

    def encode(self: DenseClip, pictures: Any, *rest: Any) -> Any:
        with (out / "sent").open("a") as notes:
            notes.write("." * len(pictures))
        return original(self, pictures, *rest)

    DenseClip.encode_patches = encode  # type: ignore[method-assign]


def sent(out: Path) -> int:
    """Pictures that went through the model so far."""
    notes = out / "sent"
    return notes.stat().st_size if notes.exists() else 0


def pictures_kept(out: Path) -> int:
    """Pictures for which what the model said is kept."""
    folders = kept.listing(out / "work" / kept.FOLDER)
    return sum(len(Kept(folder)) for folder, _, _ in folders) // len(PHRASES)


if __name__ == "__main__":
    typer.run(main)
