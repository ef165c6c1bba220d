"""How long `patchwords browse` takes to show its first page on a big dataset, and how much memory it holds.

    python -m benchmarks.browse_open
    python -m benchmarks.browse_open --rows 1000000 --images 100000 --keep /tmp/big

Makes synthetic rows, starts the command as a process of its own, and asks for what a browser asks for first:
the page with its scripts and styles, the facts about the dataset, the first stretch of the gallery, its
thumbnails. Memory is the process's peak (VmHWM), which counts the pages of the mapped files that it touched.
Exits with 1 if the first page takes longer than 3 s, or the process more than 500 MiB.
"""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import typer
from PIL import Image
from rich.console import Console
from rich.progress import track
from rich.table import Table

from pipeline.tables import dataset, schemas
from pipeline.tables.dataset import Provenance

SHARD = 2000  # images
FIRST = "shard00000"
GRID = 24
WORDS = ("cup", "dog", "kite", "bench", "umbrella", "plate", "laptop", "boat", "racket", "meter")
COLOURS = ("red", "blue", "green", "yellow", "white", "black")
LIMIT_SECONDS, LIMIT_MIB = 3.0, 500
STATIC = Path(__file__).parents[1] / "pipeline" / "browse" / "static"


def make(folder: Path, rows: int, images: int) -> None:
    """Write images, captions, phrases, regions and patch_words of that many rows below ``folder``."""
    of_one = _shard([f"{FIRST}-{i:04d}" for i in range(SHARD)], -(-rows // images), np.random.default_rng(0))
    for shard in track(range(-(-images // SHARD)), "Making rows"):
        for name, table in of_one.items():
            named = _renamed(table, f"shard{shard:05d}")
            dataset.write_part(folder / name, shard, named, name, Provenance("0123456789abcdef", {}))
    encoder = folder / "models" / "encoder"
    encoder.mkdir(parents=True)
    config = {"model_type": "clip_vision_model", "image_size": 336, "patch_size": 14}
    (encoder / "config.json").write_text(json.dumps(config))
    preprocessing = {
        "image_processor_type": "CLIPImageProcessor",
        "do_resize": True,
        "size": {"shortest_edge": 336},
        "do_center_crop": True,
        "crop_size": {"height": 336, "width": 336},
    }
    (encoder / "preprocessor_config.json").write_text(json.dumps(preprocessing))


def _renamed(table: pa.Table, shard: str) -> pa.Table:
    """The rows of the first shard with ids of another."""
    columns = {}
    for name in table.column_names:
        column = table[name].combine_chunks()
        if name == "region_ids":
            inner = pc.replace_substring(column.values, FIRST, shard)
            column = pa.ListArray.from_arrays(column.offsets, inner)
        elif name.endswith("_id"):
            column = pc.replace_substring(column, FIRST, shard)
        columns[name] = column
    return pa.table(columns)


def _shard(ids: list[str], each: int, rng: np.random.Generator) -> dict[str, pa.Table]:
    """Tables of the images with these ids and ``each`` phrases of every image."""
    n, picture = len(ids), _picture()
    image_of = np.repeat(np.arange(n), each)
    nouns = rng.choice(WORDS, n * each)
    colours = rng.choice(COLOURS, n * each)
    texts = [f"a {colour} {noun}" for colour, noun in zip(colours, nouns, strict=True)]
    of_image = [texts[i * each : (i + 1) * each] for i in range(n)]
    phrases = [f"{ids[i]}/c0/p{k}" for i in range(n) for k in range(each)]
    starts = [sum(len(text) + 2 for text in said[:k]) for said in of_image for k in range(each)]
    corner = rng.integers(0, GRID - 6, (n * each, 2))
    patches = [[(y + r) * GRID + x + c for r in range(4) for c in range(3)] for y, x in corner.tolist()]
    coverage = rng.uniform(0.1, 1, (n * each, 12)).astype(np.float32)
    score = rng.uniform(0, 1, n * each).astype(np.float32)
    boxes = [[x * 10, y * 10, x * 10 + 30, y * 10 + 40] for y, x in corner.tolist()]
    annotators = np.where(np.arange(n * each) % 3 == 0, "owlv2", "grounding_dino").tolist()
    words = [
        [
            {"text": colour, "lemma": colour, "role": "attribute"},
            {"text": noun, "lemma": noun, "role": "head"},
        ]
        for colour, noun in zip(colours.tolist(), nouns.tolist(), strict=True)
    ]
    placed = [
        [
            {**pair[0], "start": at + 2, "end": at + 2 + len(pair[0]["text"])},
            {**pair[1], "start": at + 3 + len(pair[0]["text"]), "end": at + len(text)},
        ]
        for pair, at, text in zip(words, starts, texts, strict=True)
    ]
    of = [ids[i] for i in image_of]
    split = ["test" if i % 20 == 0 else "train" for i in range(n)]
    columns: dict[str, dict[str, Any]] = {
        "images": {
            "image_id": ids, "image": [{"bytes": picture, "path": None}] * n, "sha256": ["0" * 64] * n,
            "width": [240] * n, "height": [240] * n, "split": split,
        },
        "captions": {
            "caption_id": [f"{i}/c0" for i in ids], "image_id": ids, "text": [", ".join(s) for s in of_image],
        },
        "phrases": {
            "phrase_id": phrases, "caption_id": [f"{i}/c0" for i in of], "image_id": of, "text": texts,
            "start": starts, "end": [a + len(t) for a, t in zip(starts, texts, strict=True)],
            "is_plural": [False] * len(of), "words": placed,
        },
        "regions": {
            "region_id": [f"{p}/r0" for p in phrases], "phrase_id": phrases, "image_id": of, "box": boxes,
            "mask": [None] * len(of), "score": score, "annotator": annotators,
        },
        "patch_words": {
            "image_id": of, "phrase_id": phrases, "split": [split[i] for i in image_of],
            "region_ids": [[f"{p}/r0"] for p in phrases], "phrase": texts, "words": words,
            "grid": [[GRID, GRID]] * len(of), "patches": patches, "coverage": list(coverage), "score": score,
            "annotator": annotators,
        },
    }  # fmt: skip
    return {
        name: pa.table({c: pa.array(v, schemas.SCHEMAS[name].field(c).type) for c, v in values.items()})
        for name, values in columns.items()
    }


def _picture() -> bytes:
    ramp = np.linspace(60, 200, 240, dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(np.stack([np.add.outer(ramp // 2, ramp // 2)] * 3, axis=2)).save(buffer, "JPEG")
    return buffer.getvalue()


class Process:
    """`patchwords browse` on a folder, as a process of its own."""

    def __init__(self, data: Path) -> None:
        self.started = time.perf_counter()
        command = [sys.executable, "-m", "pipeline.cli", "browse", str(data), "--port", "0", "--no-open"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=_wide())
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        found = re.search(r"http://[\d.:]+/", line)
        if not found:
            raise SystemExit(f"the page did not open: {line}")
        self.address = found.group()

    def get(self, path: str) -> bytes:
        """What an address of the page answers."""
        with urllib.request.urlopen(self.address + path, timeout=60) as answer:
            return answer.read()

    def peak_mib(self) -> float:
        """Most memory that it has held, MiB."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024  # type: ignore[index]

    def processor_seconds(self) -> float:
        """Processor time that it has taken: what a busy machine does not stretch."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(timeout=20)


def _wide() -> dict[str, str]:
    return {**os.environ, "COLUMNS": "300"}


def first_page(page: Process) -> None:
    """Ask for what a browser asks for when the page is opened."""
    page.get("")
    for file in sorted(STATIC.iterdir()):
        page.get(f"static/{file.name}")
    page.get("api/dataset")
    cards = json.loads(page.get("api/gallery?offset=0&limit=60"))["cards"]
    for card in cards[:20]:
        page.get(f"picture/thumbnail/{card['row']}")


def timed(page: Process, path: str) -> float:
    """Seconds that an address takes."""
    start = time.perf_counter()
    page.get(path)
    return time.perf_counter() - start


def main(
    rows: int = typer.Option(1_000_000, help="Rows of patch_words."),
    images: int = typer.Option(100_000, help="Images."),
    keep: Path | None = typer.Option(None, help="Make the rows here, or use those that are here."),
) -> None:
    """Print seconds to the first page, seconds of what comes after, and the peak of memory."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = (keep or Path(scratch)) / "data"
        if not (folder / "models").exists():
            make(folder, rows, images)
        page = Process(folder)
        try:
            first_page(page)
            opened, spent = time.perf_counter() - page.started, page.processor_seconds()
            where = urllib.parse.quote("score < 0.3 and word = 'cup'")
            title = f"{rows:,} rows, {images:,} images"
            table = Table("what", "seconds", "of the processor", "peak MiB", title=title)
            table.add_row(
                "first page, from the start", f"{opened:.2f}", f"{spent:.2f}", f"{page.peak_mib():.0f}"
            )
            for title, path in (
                ("words with counts", "api/words"),
                ("the gallery, filtered by a word", "api/gallery?word=cup"),
                ("the same, filtered by score and coverage", "api/gallery?score_min=0.9&coverage_min=0.95"),
                (f"the same, where {urllib.parse.unquote(where)}", f"api/gallery?where={where}"),
                ("a stretch in the middle", f"api/gallery?offset={images // 2}"),
                ("an image", f"api/image?id=shard{images // SHARD // 2:05d}-0007"),
            ):
                took, before, spent = timed(page, path), spent, page.processor_seconds()
                table.add_row(title, f"{took:.2f}", f"{spent - before:.2f}", f"{page.peak_mib():.0f}")
            Console().print(table)
            good = opened <= LIMIT_SECONDS and page.peak_mib() <= LIMIT_MIB
        finally:
            page.stop()
    raise SystemExit(0 if good else 1)


if __name__ == "__main__":
    typer.run(main)
