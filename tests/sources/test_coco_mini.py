"""Real photographs: what COCO's own reader makes of the annotations is what the tables hold."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from coco_folders import COMMITTED, params, read_all
from pycocotools.coco import COCO

from pipeline.sources.coco import CocoSource
from pipeline.tables import masks

COCO_MINI = Path(__file__).parents[2] / "../shared/data/coco-mini"


@pytest.mark.skipif(not COCO_MINI.is_dir(), reason="needs the 120 COCO photographs in ../shared/data")
def test_coco_mini_comes_through_whole():
    coco = COMMITTED.coco
    source = CocoSource(params(COCO_MINI, share=coco.validation_share, **coco.splits))
    tables = read_all(source)
    assert [len(tables[name]) for name in ("images", "captions", "objects", "rejects")] == [120, 600, 1052, 0]
    splits = Counter(row["split"] for row in tables["images"])
    assert splits["test"] == 40 and splits["train"] + splits["validation"] == 80
    sets = [COCO(file) for file in (COCO_MINI / "annotations").glob("instances_*.json")]
    told = {f"{row['image_id']}/o{row['id']}": (coco, row) for coco in sets for row in coco.anns.values()}
    for row in tables["objects"]:
        coco, annotation = told[row["object_id"]]
        x, y, width, height = annotation["bbox"]
        assert row["label"] == coco.cats[annotation["category_id"]]["name"]
        assert np.allclose(row["box"], [x, y, x + width, y + height], atol=0.02)
        assert (masks.decode(row["mask"]) == coco.annToMask(annotation)).all()
