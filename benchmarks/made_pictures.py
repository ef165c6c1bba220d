"""Pictures with phrases, and a CLIP with random weights to ground them: for benchmarks of annotation."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.grounding.base import ShardInputs
from pipeline.tables import schemas

PHRASES = ("a red ball", "two cats", "the wooden table")


def shard(numbers: Iterable[int]) -> ShardInputs:
    """Smooth random pictures, each started by its number, with the same phrases each."""
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


def save_model(folder: Path, layers: int, width: int, patch: int) -> str:
    """A CLIP in the layout that open_clip's ``local-dir:`` reads, for pictures of 224 x 224 pixels."""
    import torch
    from open_clip import CLIP
    from safetensors.torch import save_file

    torch.manual_seed(0)
    vision = {"image_size": 224, "layers": layers, "width": width, "patch_size": patch}
    text = {"context_length": 77, "vocab_size": 49408, "width": 512, "heads": 8, "layers": layers}
    config = {"embed_dim": 512, "vision_cfg": vision, "text_cfg": text}
    folder.mkdir(parents=True)
    save_file(CLIP(**config).state_dict(), folder / "open_clip_model.safetensors")
    preprocess = {"mean": [0.5] * 3, "std": [0.5] * 3, "resize_mode": "shortest"}
    (folder / "open_clip_config.json").write_text(
        json.dumps({"model_cfg": config, "preprocess_cfg": preprocess})
    )
    return f"local-dir:{folder}"
