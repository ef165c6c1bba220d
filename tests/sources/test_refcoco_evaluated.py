"""From RefCOCO's files to accuracy at IoU 0.5: testA and testB apart, unread answers wrong."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from format_folders import Sample, made, opened

from pipeline import params as parameters
from pipeline.evaluation.answers import choose, score
from pipeline.evaluation.scores import measure
from pipeline.evaluation.world import World
from pipeline.models.boxes import BoxFormat
from pipeline.report import kinds
from pipeline.tables import dataset
from pipeline.tables.dataset import Provenance
from pipeline.training import text

PROFILE = Path(__file__).parents[2] / "profiles/embedded.yaml"
REFS = "refcoco/refs(unc).p"
BOX = (2.0, 3.0, 8.0, 7.0)  # of every sample


@pytest.mark.parametrize("name", ["llava", "llava_padded", "qwen", "qwen_thousandths"])
def test_splits_of_refcoco_are_scored_apart(tmp_path, name):
    root, data, boxes = tmp_path / "refcoco", tmp_path / "data", BoxFormat(name)
    made("refcoco", root, [Sample(str(k), captions=["left dog", "the dog"]) for k in range(12)])
    refs = pickle.loads((root / REFS).read_bytes())
    for k, ref in enumerate(refs):
        ref["split"] = ("testA", "testB", "train")[k % 3]
    (root / REFS).write_bytes(pickle.dumps(refs))
    source = opened("refcoco", root, shard_size=5)
    for shard in range(source.shard_count()):
        for table, rows in source.read(shard).items():
            dataset.write_part(data / table, shard, rows, table, Provenance())
    images = dataset.read(data / "images")
    rows = choose([row for part in text.conversations(data, "test", boxes) for row in part], 100)
    assert {row["kind"] for row in rows} == {"testA", "testB"}
    assert len(rows) == 16  # two sentences of each of eight images
    world = World(text.sizes_of(images), {}, {row["image_id"]: [] for row in images.to_pylist()})

    # What a model would say: the box right for testA; for testB shifted too far, or nothing that is a box.
    def said(row, number):
        shifted = tuple(edge + 4 for edge in BOX)
        box = BOX if row["kind"] == "testA" else shifted
        right = boxes.render(box, *world.sizes[row["image_id"]])
        return "on the left" if row["kind"] == "testB" and number % 2 else right

    predictions = score(rows, [said(row, number) for number, row in enumerate(rows)], world, boxes)
    settings = parameters.load(PROFILE).evaluate
    found = measure(predictions, world).estimates(settings, 0)
    assert (found["referring.accuracy"].value, found["referring.accuracy"].n) == (0.5, 16)
    assert found["referring.unread"].value == 0.25
    by_kind = {row.metric.title: row.arms["arm"] for row in kinds.rows({"arm": predictions}, 100, 0)}
    assert {name: (one.value, one.n) for name, one in by_kind.items()} == {"testA": (1, 8), "testB": (0, 8)}
