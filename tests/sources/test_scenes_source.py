"""Scenes as tables: what they depend on, how they are cut, and what a row holds."""

import hashlib
import io
import pickle

import pyarrow as pa
import pytest
from PIL import Image
from scenes_world import rows, source_params, tables

from pipeline.sources import open_source
from pipeline.sources.base import OUTPUTS
from pipeline.sources.scenes.source import ScenesSource
from pipeline.tables.schemas import SCHEMAS


def everything(source: ScenesSource) -> dict[str, pa.Table]:
    shards = [source.read(shard) for shard in range(source.shard_count())]
    return {name: pa.concat_tables([shard[name] for shard in shards]) for name in OUTPUTS}


def of_image(made: dict[str, pa.Table], image_id: str) -> dict[str, list]:
    return {n: [r for r in t.to_pylist() if r["image_id"] == image_id] for n, t in made.items()}


def test_a_scene_depends_on_its_seed_split_and_number_alone():
    few = everything(ScenesSource(source_params(4, train=9, validation=3, test=2), seed=1))
    many = everything(ScenesSource(source_params(5, train=23, validation=7, test=6), seed=1))
    for image_id in ("train-000000", "train-000008", "validation-000002", "test-000001"):
        assert of_image(few, image_id) == of_image(many, image_id)


def test_another_seed_gives_other_pictures():
    one = ScenesSource(source_params(9, train=9), seed=1).read(0)["images"]
    other = ScenesSource(source_params(9, train=9), seed=2).read(0)["images"]
    assert not set(one["sha256"].to_pylist()) & set(other["sha256"].to_pylist())


def test_the_same_settings_give_the_same_tables():
    one, other = (ScenesSource(source_params(12, train=12), seed=3) for _ in range(2))
    assert one.read(0) == other.read(0)
    assert one.digest() == other.digest()


def test_splits_never_share_a_scene():
    made = everything(ScenesSource(source_params(50, train=50, validation=50, test=50), seed=0))["images"]
    assert len(set(made["sha256"].to_pylist())) == 150
    assert len(set(made["image_id"].to_pylist())) == 150


def test_shards_hold_one_split_each_train_first():
    source = ScenesSource(source_params(4, train=9, validation=3, test=4), seed=1)
    held = [source.read(shard)["images"] for shard in range(source.shard_count())]
    assert [table.num_rows for table in held] == [4, 4, 1, 3, 4]
    assert [table["split"].unique().to_pylist() for table in held] == [
        ["train"], ["train"], ["train"], ["validation"], ["test"],
    ]  # fmt: skip


def test_rows_in_are_the_rows_out_and_nothing_is_rejected():
    source = ScenesSource(source_params(15, train=15), seed=1)
    fresh = ScenesSource(source_params(15, train=15), seed=1)
    made = source.read(0)
    assert source.rows_in(0) == fresh.rows_in(0) == sum(made[name].num_rows for name in OUTPUTS)
    assert made["rejects"].num_rows == 0


@pytest.mark.parametrize(
    "change", [{"train": 10}, {"nouns": 9}, {"overlap": 0.2}, {"captions": 1}, {"shard_size": 7}]
)
def test_the_digest_follows_what_the_tables_are_made_of(change):
    before = source_params(8, train=9)
    after = source_params(change.pop("shard_size", 8), **({"train": 9} | change))
    assert ScenesSource(before, 1).digest() != ScenesSource(after, 1).digest()
    assert ScenesSource(before, 1).digest() != ScenesSource(before, 2).digest()


def test_the_digest_ignores_settings_of_other_sources():
    before = source_params(8, train=9)
    after = before.model_copy(update={"coco": before.coco.model_copy(update={"validation_share": 0.5})})
    assert ScenesSource(before, 1).digest() == ScenesSource(after, 1).digest()


def test_the_source_survives_pickling():
    source = open_source(source_params(3, train=3), seed=1)
    assert pickle.loads(pickle.dumps(source)).read(0) == source.read(0)


@pytest.mark.parametrize("rich", [False, True])
def test_tables_have_their_schemas_and_ids_are_unique(rich):
    for name, key in (("images", "image_id"), ("captions", "caption_id"), ("objects", "object_id"),
                      ("conversations", "conversation_id")):  # fmt: skip
        table = tables(rich)[name]
        assert table.schema == SCHEMAS[name]
        assert len(set(table[key].to_pylist())) == table.num_rows


def test_the_image_column_holds_the_picture_it_describes():
    for row in rows()[:20]:
        data = row.image["image"]["bytes"]
        assert row.image["sha256"] == hashlib.sha256(data).hexdigest()
        with Image.open(io.BytesIO(data)) as picture:
            assert (picture.format, picture.mode) == ("PNG", "RGB")
            assert picture.size == (row.image["width"], row.image["height"]) == (64, 64)


def test_turns_end_with_the_answer_and_boxes_are_where_the_text_says():
    for row in rows(rich=True):
        boxes = [thing["box"] for thing in row.objects]
        for example in row.conversations:
            user, assistant = example["turns"]
            assert (user["role"], assistant["role"]) == ("user", "assistant")
            assert assistant["text"] == example["answer"]
            marked = "<box>" in user["text"] + assistant["text"]
            assert marked == (example["box"] is not None)
            assert not marked or example["box"] in boxes
