"""On real annotations, exact coverage is what the encoder's own processor makes of the mask, bar its blur."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.patches.coverage import mask_coverage
from pipeline.patches.geometry import Geometry
from pipeline.tables import masks

COCO = Path(__file__).parents[2] / "../shared/data/coco-mini/annotations/instances_val2017.json"


@pytest.mark.skipif(not COCO.exists(), reason="needs ../shared/data/coco-mini")
@pytest.mark.parametrize("fit", ["shorter_side", "pad_to_square", "stretch"])
def test_coverage_is_the_processed_masks_mean_over_each_patch(fit):
    from transformers import CLIPImageProcessor, LlavaImageProcessor, SiglipImageProcessor

    processor = {
        "shorter_side": CLIPImageProcessor(
            size={"shortest_edge": 336}, crop_size={"height": 336, "width": 336}
        ),
        "pad_to_square": LlavaImageProcessor(
            size={"shortest_edge": 336},
            crop_size={"height": 336, "width": 336},
            do_pad=True,
            image_mean=[0.0] * 3,
        ),
        "stretch": SiglipImageProcessor(size={"height": 336, "width": 336}),
    }[fit]
    geometry = Geometry(fit, (336, 336), (336, 336), (14, 14))
    found = json.loads(COCO.read_text())
    sizes = {image["id"]: (image["height"], image["width"]) for image in found["images"]}
    objects = [row for row in found["annotations"] if not row["iscrowd"]][:40]
    values = [masks.from_polygons(row["segmentation"], *sizes[row["image_id"]]) for row in objects]
    coverage = mask_coverage(values, geometry)
    for i, value in enumerate(values):
        image = Image.fromarray(np.repeat(masks.decode(value)[..., None] * np.uint8(255), 3, axis=2))
        made = processor(images=[image], return_tensors="np", do_normalize=False, resample=2)
        pooled = made["pixel_values"][0, 0].reshape(24, 14, 24, 14).mean(axis=(1, 3)).ravel()
        exact = np.zeros(576)
        part = slice(coverage.offsets[i], coverage.offsets[i + 1])
        exact[coverage.patches[part]] = coverage.values[part]
        # The filter carries up to about half an input pixel, of 14, over a patch's border.
        assert np.abs(exact - pooled).max() < 0.05
        assert exact.sum() == pytest.approx(pooled.sum(), rel=0.02, abs=0.02)
