"""The stage ground over shards, and the registry of annotation sources."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from made_phrases import phrase, shard, thing

from pipeline import params
from pipeline.errors import UserError
from pipeline.grounding import open_annotator
from pipeline.grounding.block import GroundBlock
from pipeline.grounding.dataset import DatasetAnnotator
from pipeline.tables import dataset
from pipeline.tables.dataset import Provenance

GROUND = params.load(Path(__file__).parents[2] / "params.yaml").ground


def block(root: Path, label: str = "dog") -> GroundBlock:
    folders = {name: root / name for name in ("images", "captions", "phrases", "objects")}
    for index in range(2):
        rows = [phrase("a/- dog", image_id=f"{index}{n}") for n in range(3)]
        inputs = shard(rows, [thing(label, image_id=f"{index}0")])
        for name, folder in folders.items():
            dataset.write_part(folder, index, getattr(inputs, name), name, Provenance())
    return GroundBlock(annotator=open_annotator(GROUND), root=root, **folders)


def test_each_shard_is_grounded_on_its_own(tmp_path):
    work = pickle.loads(pickle.dumps(block(tmp_path)))
    assert (work.stage, work.outputs, work.shard_count()) == ("ground", ("regions",), 2)
    for index in range(2):
        tables = work.process(index)
        assert work.rows_in(index) == 3
        assert tables["regions"]["region_id"].to_pylist() == [f"{index}0/c0/p0/r0"]
        assert tables["rejects"]["key"].to_pylist() == [f"phrase:{index}{n}/c0/p0" for n in (1, 2)]


def test_provenance_follows_the_inputs_and_the_annotation_source(tmp_path):
    one, same, other = (
        block(tmp_path / name, label).provenance()
        for name, label in (("a", "dog"), ("b", "dog"), ("c", "cat"))
    )
    assert one == same
    assert {name for name in one.inputs if one.inputs[name] != other.inputs[name]} == {"objects"}
    assert one.params == open_annotator(GROUND).digest()


def test_settings_of_a_source_that_is_not_in_use_change_nothing():
    changed = GROUND.open_clip.model_copy(update={"threshold": 0.123})
    assert open_annotator(GROUND.model_copy(update={"open_clip": changed})).digest() == (
        open_annotator(GROUND).digest()
    )


def test_the_setting_chooses_the_source():
    assert isinstance(open_annotator(GROUND), DatasetAnnotator)
    with pytest.raises(UserError, match=r"ground\.source: found 'guess'.*dataset, open_clip"):
        open_annotator(GROUND.model_copy(update={"source": "guess"}))
