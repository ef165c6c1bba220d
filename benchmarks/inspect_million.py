"""How long `patchwords inspect` takes on a million rows: `python -m benchmarks.inspect_million [ROWS]`.

Makes a ``patch_words`` dataset of that many synthetic rows (a phrase each, about 6 of 24 x 24 patches), then
runs the command as a user does, each time in a process of its own, and takes the whole process: seconds from
start to exit, and the peak of its resident memory, which counts the mapped pages of the files that it read.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
from rich.console import Console
from rich.table import Table

from pipeline.tables import dataset, digests
from pipeline.tables.dataset import Provenance
from pipeline.tables.schemas import SCHEMAS

ROWS, PART_ROWS, PHRASES = 1_000_000, 50_000, 8
GRID = 24
NOUNS = np.array(["cup", "dog", "car", "tree", "boat", "bird", "lamp", "road"])
COLOURS = np.array(["red", "blue", "green", "old", "small", "large"])
LIMIT_SECONDS, LIMIT_MEMORY = 2.0, 500  # MiB
ASKED = {
    "inspect": [],
    "--where": ["--where", "score < 0.3 and word = 'cup'"],
    "--where on coverage": ["--where", "coverage > 0.95 and split = 'train'"],
    "--image": ["--image", "000012345"],
}


def part(index: int, rows: int) -> pa.Table:
    """Rows of ``patch_words``, `PHRASES` to an image, drawn with the part's number as seed."""
    rng = np.random.default_rng(index)
    images = [f"{(index * PART_ROWS + row) // PHRASES:09d}" for row in range(rows)]
    phrases = [f"{image}/c{row % PHRASES // 2}/p{row % 2}" for row, image in enumerate(images)]
    nouns, colours = NOUNS[rng.integers(0, 8, rows)], COLOURS[rng.integers(0, 6, rows)]
    sizes = rng.integers(1, 12, rows)
    ends = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
    starts = rng.integers(0, GRID * GRID - 12, rows)
    patches = (np.arange(ends[-1]) - np.repeat(ends[:-1], sizes) + np.repeat(starts, sizes)).astype(np.int32)
    pairs = np.arange(0, 2 * rows + 1, 2, dtype=np.int32)
    texts = pa.array(np.stack([colours, nouns], axis=1).ravel())
    roles = pa.array(np.tile(["attribute", "head"], rows))
    words = pa.StructArray.from_arrays([texts, texts, roles], ["text", "lemma", "role"])
    region_ids = pa.array([f"{phrase}/r0" for phrase in phrases])
    columns = {
        "image_id": pa.array(images),
        "phrase_id": pa.array(phrases),
        "split": pa.array(["train"] * rows),
        "region_ids": pa.ListArray.from_arrays(pa.array(np.arange(rows + 1, dtype=np.int32)), region_ids),
        "phrase": pa.array([f"a {colour} {noun}" for colour, noun in zip(colours, nouns, strict=True)]),
        "words": pa.ListArray.from_arrays(pa.array(pairs), words),
        "grid": pa.FixedSizeListArray.from_arrays(pa.array(np.full(2 * rows, GRID, np.int32)), 2),
        "patches": pa.ListArray.from_arrays(pa.array(ends), pa.array(patches)),
        "coverage": pa.ListArray.from_arrays(
            pa.array(ends), pa.array(rng.uniform(0.1, 1, len(patches)).astype(np.float32))
        ),
        "score": pa.array(rng.random(rows, dtype=np.float32)),
        "annotator": pa.array(["made"] * rows),
    }
    return pa.table(columns).select(SCHEMAS["patch_words"].names)


def measure(command: list[str], environment: dict[str, str]) -> tuple[float, float, float]:
    """Seconds, seconds of processor and peak memory (MiB) of a process, from start to exit."""
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment)
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    if status:
        raise SystemExit(f"{' '.join(command)} ended with {os.waitstatus_to_exitcode(status)}")
    return seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def main(rows: int = ROWS, repeats: int = 3) -> None:
    """Make the rows, run each command a few times, print the middle of the times and the largest memory."""
    console = Console(width=100)
    with TemporaryDirectory() as scratch:
        folder = Path(scratch) / "patch_words"
        made_from = Provenance(digests.of_value(rows), {})
        for index, start in enumerate(range(0, rows, PART_ROWS)):
            dataset.write_part(
                folder, index, part(index, min(PART_ROWS, rows - start)), "patch_words", made_from
            )
        size = sum(path.stat().st_size for path in folder.iterdir()) / 2**20
        console.print(f"{rows:,} rows of patch_words, {size:,.0f} MiB")
        # As for any user but the first: compiled once, whatever the environment says about bytecode.
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": f"{scratch}/bytecode"}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        table = Table(box=None, pad_edge=False)
        for title in ("", "seconds", "of processor", "peak MiB", ""):
            table.add_column(title, justify="left" if not title else "right")
        for name, options in ASKED.items():
            command = [sys.executable, "-m", "pipeline.cli", "inspect", str(folder), *options]
            measure(command, environment)
            runs = sorted(measure(command, environment) for _ in range(repeats))
            seconds, processor, _ = runs[len(runs) // 2]
            memory = max(run[2] for run in runs)
            held = seconds <= LIMIT_SECONDS and memory <= LIMIT_MEMORY
            table.add_row(
                name,
                f"{seconds:.2f}",
                f"{processor:.2f}",
                f"{memory:.0f}",
                "within" if held else "OVER THE LIMIT",
            )
        console.print(table)
        console.print(f"limits: {LIMIT_SECONDS:.0f} s, {LIMIT_MEMORY} MiB; each a process from start to exit")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
