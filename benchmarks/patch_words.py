"""How fast regions become patches: `python -m benchmarks.patch_words`.

Regions a second of the stage's own functions, on one core, beside a plain loop that draws each region in
pixels (pycocotools), resizes and crops it as the image is, and pools it to patches (torch) - which is what
the exact coverage stands in for. Sizes of images and boxes are drawn like COCO's; the grid is CLIP ViT-L/14
at 336 px, 24 x 24.
"""

from __future__ import annotations

import os

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from pycocotools import mask as coco
from rich.console import Console
from rich.table import Table

from pipeline.params import PatchWordsParams
from pipeline.patches.block import patch_words
from pipeline.patches.coverage import box_coverage, mask_coverage
from pipeline.patches.geometry import Geometry
from pipeline.tables import masks, schemas

GEOMETRY = Geometry("shorter_side", (336, 336), (336, 336), (14, 14))
SIZES = np.array([[640, 480], [640, 427], [480, 640], [500, 375], [612, 612]])
REGIONS, MASKS, LOOP = 30_000, 4_000, 400  # 30,000: what 2,000 images with five captions make


def draw_boxes(count: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Boxes (count, 4) with their images' width and height, (count,) each."""
    rng = np.random.default_rng(seed)
    size = SIZES[rng.integers(0, len(SIZES), count)]
    area = np.exp(rng.normal(np.log(0.011), 1.9, (count, 1)))  # COCO's: median 1.1 %, mean 7 % of the image
    share = np.sqrt(area * rng.uniform(0.5, 2.0, (count, 2))).clip(0.02, 1.0)
    corner = rng.random((count, 2)) * (1 - share)
    boxes = np.concatenate([corner * size, (corner + share) * size], axis=1).astype(np.float32)
    return boxes, size[:, 0], size[:, 1]


def draw_masks(boxes: np.ndarray, width: np.ndarray, height: np.ndarray) -> list[dict[str, Any]]:
    """The ellipse in each box."""
    found = []
    for (x0, y0, x1, y1), w, h in zip(boxes, width, height, strict=True):
        x = (np.arange(w) + 0.5 - (x0 + x1) / 2) / (x1 - x0)
        y = (np.arange(h) + 0.5 - (y0 + y1) / 2) / (y1 - y0)
        found.append(masks.encode(x[None] ** 2 + y[:, None] ** 2 < 0.25))
    return found


def pooled(pixels: np.ndarray) -> torch.Tensor:
    """The plain way: a mask's pixels through the image's own resize and crop, averaged over each patch."""
    height, width = pixels.shape
    scale = 336 / min(height, width)
    size = (336, int(width * scale)) if height <= width else (int(height * scale), 336)
    mask_11HW = torch.from_numpy(pixels)[None, None].float()
    resized = torch.nn.functional.interpolate(mask_11HW, size, mode="bilinear", antialias=True)
    top, left = (size[0] - 336) // 2, (size[1] - 336) // 2
    return torch.nn.functional.avg_pool2d(resized[..., top : top + 336, left : left + 336], 14)[0, 0]


def plain_box(box: np.ndarray, width: int, height: int) -> torch.Tensor:
    """A box drawn by pycocotools, then as a mask."""
    x0, y0, x1, y1 = (float(edge) for edge in box)
    return pooled(coco.decode(coco.frPyObjects([[x0, y0, x1, y0, x1, y1, x0, y1]], height, width))[..., 0])


def tables(boxes: np.ndarray, width: np.ndarray, height: np.ndarray) -> tuple[pa.Table, pa.Table, pa.Table]:
    """Images, phrases and regions: an image a region, a phrase a region."""
    n = len(boxes)
    ids = pa.array([str(i) for i in range(n)])
    text = pa.array(["a red ball"] * n)
    words = pa.array(
        [[{"text": "ball", "lemma": "ball", "role": "head", "start": 6, "end": 10}]] * n,
        schemas.SCHEMAS["phrases"].field("words").type,
    )
    image = pa.table({"image_id": ids, "width": width, "height": height, "split": pa.array(["train"] * n)})
    phrase = pa.table({"phrase_id": ids, "image_id": ids, "text": text, "words": words})
    region = pa.table(
        {
            "region_id": ids,
            "phrase_id": ids,
            "image_id": ids,
            "box": pa.FixedSizeListArray.from_arrays(pa.array(boxes.ravel()), 4),
            "mask": pa.nulls(n, schemas.MASK),
            "score": pa.array(np.ones(n, np.float32)),
            "annotator": text,
        }
    )
    return image, phrase, region


def rate(work: Callable[[], Any], count: int, repeats: int = 3) -> float:
    """Rows a second of processor time, of the best run: what else the machine does counts less."""
    best = np.inf
    for _ in range(repeats):
        start = time.process_time()
        work()
        best = min(best, time.process_time() - start)
    return count / best


def main() -> None:
    """Measure and print."""
    torch.set_num_threads(1)
    boxes, width, height = draw_boxes(REGIONS, seed=0)
    few = slice(0, MASKS)
    values = draw_masks(boxes[few], width[few], height[few])
    params = PatchWordsParams(min_coverage=0.1, min_score=0.0, use="boxes")
    made = tables(boxes, width, height)
    in_loop = list(zip(boxes[:LOOP], width[:LOOP].tolist(), height[:LOOP].tolist(), strict=True))

    loop_boxes = rate(lambda: [plain_box(*row) for row in in_loop], LOOP, 1)
    loop_masks = rate(lambda: [pooled(masks.decode(v).astype(np.uint8)) for v in values[:LOOP]], LOOP, 1)
    rows = [
        ("boxes: coverage", rate(lambda: box_coverage(boxes, width, height, GEOMETRY), REGIONS), loop_boxes),
        ("boxes: the whole table", rate(lambda: patch_words(*made, GEOMETRY, params), REGIONS), loop_boxes),
        ("masks: coverage", rate(lambda: mask_coverage(values, GEOMETRY), MASKS), loop_masks),
    ]
    elements = len(box_coverage(boxes, width, height, GEOMETRY).patches) / REGIONS
    table = Table("what", "regions/s", "plain loop, regions/s", "ratio")
    for what, ours, loop in rows:
        table.add_row(what, f"{ours:,.0f}", f"{loop:,.0f}", f"{ours / loop:,.0f}")
    Console().print(
        f"{REGIONS:,} boxes, {elements:.0f} patches each; {MASKS:,} masks; processor time of one core", table
    )


if __name__ == "__main__":
    main()
