"""How many images go through an annotation model when a dataset grows, or a threshold is changed.

    python -m benchmarks.incremental --images 2000

A CLIP of the shape of ViT-B/32 (random weights: the work is the same) grounds made pictures with three
phrases each by the source ``open_clip``, four times: from nothing, with 1 % more, with another threshold, and
again. ``--cold`` compares each result with one that nothing was kept for; it takes longer than all the rest.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import made_pictures
from pipeline.grounding import kept
from pipeline.grounding.dense_clip import DenseClip
from pipeline.grounding.open_clip import OpenClipAnnotator
from pipeline.params import OpenClipSourceParams

SHARD = 500  # images


def main() -> None:
    """Print a table of the four runs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--cold", action="store_true", help="compare each result with a run from nothing")
    given = parser.parse_args()
    more = max(1, given.images // 100)
    table = Table("run", "images", "through the model", "seconds", *(["equal to a cold run"] * given.cold))
    with tempfile.TemporaryDirectory() as folder:
        model = made_pictures.save_model(Path(folder) / "model", layers=12, width=768, patch=32)
        root = Path(folder) / kept.FOLDER
        for name, count, threshold in (
            ("from nothing", given.images, 0.6),
            ("1 % more images", given.images + more, 0.6),
            ("another threshold", given.images + more, 0.8),
            ("again", given.images + more, 0.8),
        ):
            with counted() as sent:
                began = time.perf_counter()
                digest = ground(model, threshold, count, root)
                seconds = time.perf_counter() - began
            row = [name, f"{count:,}", f"{sum(sent):,}", f"{seconds:.1f}"]
            if given.cold:
                row.append("yes" if ground(model, threshold, count, None) == digest else "NO")
            table.add_row(*row)
    Console().print(table)


def ground(model: str, threshold: float, count: int, root: Path | None) -> str:
    """Ground ``count`` images, some at a time; a digest of all regions."""
    params = OpenClipSourceParams(
        model=model,
        pretrained=None,
        dense="tokens",
        prompt="a photo of {}",
        threshold=threshold,
        min_similarity=-1,
        batch_size=1,  # a batch of another make-up may differ in the last bit of a similarity
    )
    annotator = OpenClipAnnotator(params, root)
    digest = hashlib.sha256()
    for first in range(0, count, SHARD):
        regions = annotator.ground(made_pictures.shard(range(first, min(first + SHARD, count))))["regions"]
        digest.update(json.dumps(regions.drop_columns("mask").to_pylist()).encode())
    return digest.hexdigest()


@contextmanager
def counted() -> Iterator[list[int]]:
    """How many pictures each call of the model is given while the block runs."""
    original, sent = DenseClip.encode_patches, []

    def encode(self: DenseClip, pictures: Sequence[Any], *rest: Any) -> Any:
        sent.append(len(pictures))
        return original(self, pictures, *rest)

    DenseClip.encode_patches = encode
    try:
        yield sent
    finally:
        DenseClip.encode_patches = original


if __name__ == "__main__":
    main()
