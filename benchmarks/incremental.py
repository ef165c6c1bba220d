"""How many images go through an annotation model when a dataset grows, or a threshold is changed.

    python -m benchmarks.incremental --images 2000

A CLIP of the shape of ViT-B/32 (random weights: the work is the same) grounds made pictures with three
phrases each by the source ``open_clip``, four times: from nothing, with 1 % more, with another threshold, and
again. ``--cold`` compares each result with one that nothing was kept for; it takes longer than all the rest.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

from pipeline.grounding import kept
from pipeline.grounding.base import ShardInputs
from pipeline.grounding.kept import Kept
from pipeline.grounding.open_clip import OpenClipAnnotator
from pipeline.params import OpenClipSourceParams
from pipeline.tables import schemas

PHRASES = ("a red ball", "two cats", "the wooden table")
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
        model = save_model(Path(folder) / "model")
        root = Path(folder) / kept.FOLDER
        for name, count, threshold in (
            ("from nothing", given.images, 0.6),
            ("1 % more images", given.images + more, 0.6),
            ("another threshold", given.images + more, 0.8),
            ("again", given.images + more, 0.8),
        ):
            before, began = images_kept(root), time.perf_counter()
            digest = ground(model, threshold, count, root)
            seconds = time.perf_counter() - began
            row = [name, f"{count:,}", f"{images_kept(root) - before:,}", f"{seconds:.1f}"]
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
        regions = annotator.ground(shard(range(first, min(first + SHARD, count))))["regions"]
        digest.update(json.dumps(regions.drop_columns("mask").to_pylist()).encode())
    return digest.hexdigest()


def images_kept(root: Path) -> int:
    """Images that have been through the model so far."""
    return sum(len(Kept(folder)) for folder, _, _ in kept.listing(root)) // len(PHRASES)


def shard(numbers: range) -> ShardInputs:
    """Smooth random pictures, each started by its number."""
    images, phrases = [], []
    for number in numbers:
        small = np.random.default_rng(number).integers(0, 256, (6, 8, 3), dtype=np.uint8)
        file = io.BytesIO()
        Image.fromarray(small).resize((320, 240)).save(file, "jpeg")
        row = {"image_id": str(number), "image": {"bytes": file.getvalue(), "path": None}, "split": "train"}
        content = hashlib.sha256(file.getvalue()).hexdigest()
        images.append({**row, "sha256": content, "width": 320, "height": 240})
        for i, text in enumerate(PHRASES):
            caption = f"{number}/c0"
            names = {"phrase_id": f"{caption}/p{i}", "caption_id": caption, "image_id": str(number)}
            span = {"text": text, "start": 0, "end": len(text), "is_plural": False, "words": []}
            phrases.append({**names, **span})
    return ShardInputs(
        images=schemas.from_rows("images", images),
        captions=schemas.empty("captions"),
        phrases=schemas.from_rows("phrases", phrases),
        objects=schemas.empty("objects"),
        root=Path(),
    )


def save_model(folder: Path) -> str:
    """A CLIP in the layout that open_clip's ``local-dir:`` reads."""
    import torch
    from open_clip import CLIP
    from safetensors.torch import save_file

    torch.manual_seed(0)
    vision = {"image_size": 224, "layers": 12, "width": 768, "patch_size": 32}
    text = {"context_length": 77, "vocab_size": 49408, "width": 512, "heads": 8, "layers": 12}
    config = {"embed_dim": 512, "vision_cfg": vision, "text_cfg": text}
    folder.mkdir()
    save_file(CLIP(**config).state_dict(), folder / "open_clip_model.safetensors")
    preprocess = {"mean": [0.5] * 3, "std": [0.5] * 3, "resize_mode": "shortest"}
    (folder / "open_clip_config.json").write_text(
        json.dumps({"model_cfg": config, "preprocess_cfg": preprocess})
    )
    return f"local-dir:{folder}"


if __name__ == "__main__":
    main()
