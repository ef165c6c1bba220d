"""Phrases and regions become the patch-word table, and none is lost."""

import json
import pickle

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import UserError
from pipeline.params import PatchWordsParams
from pipeline.patches.block import PatchWordsBlock, patch_words
from pipeline.patches.geometry import Geometry
from pipeline.tables import dataset, masks, schemas
from pipeline.tables.dataset import Provenance
from pipeline.tables.dense import dense_coverage
from pipeline.tables.shards import count

GRID = Geometry("shorter_side", (4, 4), (4, 4), (2, 2))  # 2 x 2 patches of 2 x 2 pixels
ANY = PatchWordsParams(min_coverage=0.0, min_score=0.0, use="masks")
BOXES = PatchWordsParams(min_coverage=0.0, min_score=0.0, use="boxes")


def images(**sizes):
    """image_id = (width, height)."""
    return schemas.from_rows(
        "images",
        [
            {
                "image_id": name,
                "image": {"bytes": b"", "path": None},
                "sha256": "",
                "width": width,
                "height": height,
                "split": "test" if name == "b" else "train",
            }
            for name, (width, height) in sizes.items()
        ],
    )


def phrases(*names):
    """``a/p0``: phrase p0 of image a."""
    word = {"text": "Dogs", "lemma": "dog", "role": "head", "start": 0, "end": 4}
    return schemas.from_rows(
        "phrases",
        [
            {
                "phrase_id": name,
                "caption_id": f"{name[0]}/c0",
                "image_id": name[0],
                "text": f"the dogs of {name}",
                "start": 0,
                "end": 4,
                "is_plural": True,
                "words": [word] * int(name[-1]),
            }
            for name in names
        ],
    )


def regions(*rows):
    """(phrase_id, box, mask or None, score)."""
    return schemas.from_rows(
        "regions",
        [
            {
                "region_id": f"{phrase}/r{i}",
                "phrase_id": phrase,
                "image_id": phrase[0],
                "box": box,
                "mask": None if mask is None else masks.encode(np.array(mask, bool)),
                "score": score,
                "annotator": "people",
            }
            for i, (phrase, box, mask, score) in enumerate(rows)
        ],
    )


LEFT = np.tile([True, True, False, False], (4, 1))


def made(regions_, params=ANY, phrases_=("a/p0", "a/p1", "b/p2"), geometry=GRID):
    return patch_words(images(a=(4, 4), b=(8, 4)), phrases(*phrases_), regions_, geometry, params)


def test_a_row_by_hand():
    out = made(regions(("b/p2", [3, 0, 6, 2], None, 0.5)))
    # 8 x 4 pixels, columns 2 to 6 seen: the box covers columns 1 to 4 of the input, rows 0 to 2.
    assert out["patch_words"].to_pylist() == [
        {
            "image_id": "b",
            "phrase_id": "b/p2",
            "split": "test",
            "region_ids": ["b/p2/r0"],
            "phrase": "the dogs of b/p2",
            "words": [{"text": "Dogs", "lemma": "dog", "role": "head"}] * 2,
            "grid": [2, 2],
            "patches": [0, 1],
            "coverage": [0.5, 1.0],
            "score": 0.5,
            "annotator": "people",
        }
    ]
    assert out["rejects"].num_rows == 0


def test_rows_come_in_the_order_of_the_phrases_with_their_regions_united():
    out = made(
        regions(
            ("b/p2", [2, 0, 6, 4], None, 0.1),
            ("a/p1", [0, 0, 2, 2], None, 0.2),
            ("a/p0", [2, 2, 4, 4], None, 0.9),
            ("a/p1", [1, 0, 3, 2], None, 0.7),
        )
    )["patch_words"]
    assert out.column("phrase_id").to_pylist() == ["a/p0", "a/p1", "b/p2"]
    assert out.column("region_ids").to_pylist() == [["a/p0/r2"], ["a/p1/r1", "a/p1/r3"], ["b/p2/r0"]]
    assert out.column("patches").to_pylist() == [[3], [0, 1], [0, 1, 2, 3]]
    assert out.column("coverage").to_pylist() == [[1.0], [1.0, 0.5], [1.0] * 4]
    assert out.column("score").to_pylist() == [np.float32(0.9), np.float32(0.7), np.float32(0.1)]


def test_masks_are_used_where_there_are_any_and_boxes_elsewhere():
    mixed = regions(("a/p0", [0, 0, 4, 4], LEFT, 1.0), ("a/p0", [1, 2, 3, 4], None, 1.0))
    # The mask has patches 0 and 2; the box adds half of patch 3, and nothing to patch 2.
    assert made(mixed)["patch_words"].column("patches").to_pylist() == [[0, 2, 3]]
    assert made(mixed)["patch_words"].column("coverage").to_pylist() == [[1.0, 1.0, 0.5]]
    assert made(mixed, BOXES)["patch_words"].column("coverage").to_pylist() == [[1.0] * 4]
    two = regions(("a/p0", [0, 0, 4, 4], LEFT, 1.0), ("a/p0", [0, 0, 4, 4], LEFT.T, 1.0))
    assert made(two)["patch_words"].column("patches").to_pylist() == [[0, 1, 2]]


def test_masked_boxed_and_mixed_phrases_keep_their_places():
    out = made(
        regions(
            ("a/p0", [0, 0, 4, 4], LEFT, 1.0),
            ("a/p0", [2, 0, 4, 2], None, 1.0),
            ("a/p1", [2, 2, 4, 4], None, 1.0),
            ("b/p2", [0, 0, 8, 4], np.repeat([[True] * 4 + [False] * 4], 4, axis=0), 1.0),
        )
    )["patch_words"]
    assert out.column("patches").to_pylist() == [[0, 1, 2], [3], [0, 2]]


def test_regions_below_the_least_score_are_left_out():
    found = regions(("a/p0", [0, 0, 2, 2], None, 0.3), ("a/p0", [0, 0, 4, 4], None, 0.2))
    params = PatchWordsParams(min_coverage=0.0, min_score=0.3, use="masks")
    row = made(found, params)["patch_words"].to_pylist()[0]
    assert (row["patches"], row["region_ids"], row["score"]) == ([0], ["a/p0/r0"], np.float32(0.3))


def test_every_reject_has_its_reason():
    params = PatchWordsParams(min_coverage=0.3, min_score=0.5, use="masks")
    out = made(
        regions(
            ("a/p0", [0, 0, 4, 4], None, 0.4),
            ("a/p1", [0, 0, 1, 1], None, 0.5),
            ("b/p2", [0, 0, 2, 4], None, 0.5),
        ),
        params,
    )
    assert out["patch_words"].num_rows == 0
    rejects = out["rejects"].to_pylist()
    assert [(row["stage"], row["key"], row["reason"]) for row in rejects] == [
        ("patch_words", "phrase:a/p0", "below_min_score"),
        ("patch_words", "phrase:a/p1", "below_min_coverage"),
        ("patch_words", "phrase:b/p2", "outside_view"),
    ]


def test_a_patch_with_exactly_the_least_coverage_counts():
    # 7 of 10 columns: 0.7, a little less than 0.7 when stored as float32, and so is the setting then.
    geometry = Geometry("stretch", (10, 10), (10, 10), (10, 10))
    params = PatchWordsParams(min_coverage=0.7, min_score=0.0, use="masks")
    tables = images(a=(10, 10)), phrases("a/p0"), regions(("a/p0", [0, 0, 7, 10], None, 1.0))
    assert patch_words(*tables, geometry, params)["patch_words"].num_rows == 1


def test_phrases_without_regions_are_no_rows_and_no_rejects():
    out = made(regions())
    assert {name: table.num_rows for name, table in out.items()} == {"patch_words": 0, "rejects": 0}
    for name, table in out.items():
        assert table.schema.equals(schemas.SCHEMAS[name])


def test_tables_that_do_not_belong_together_are_refused():
    with pytest.raises(UserError, match=r"'a/p9'.*dvc repro"):
        made(regions(("a/p9", [0, 0, 1, 1], None, 1.0)))
    with pytest.raises(UserError, match="'c'"):
        made(regions(("c/p0", [0, 0, 1, 1], None, 1.0)), phrases_=("c/p0",))
    with pytest.raises(UserError, match=r"Region b/p2/r0: its mask is 4 x 4 pixels, but its image is 8 x 4"):
        made(regions(("b/p2", [0, 0, 1, 1], LEFT, 1.0)))


@st.composite
def worlds(draw):
    phrase = st.sampled_from(["a/p0", "a/p1", "a/p2", "b/p0", "b/p1"])
    box = st.lists(st.integers(-1, 9), min_size=4, max_size=4)
    seed = draw(st.integers(0, 99))
    rows = draw(st.lists(st.tuples(phrase, box, st.booleans(), st.sampled_from([0.2, 0.6])), max_size=12))
    rng = np.random.default_rng(seed)
    return [
        (name, box_, rng.random((4, 4 if name[0] == "a" else 8)) < 0.3 if masked else None, score)
        for name, box_, masked, score in rows
    ]


@settings(max_examples=60, deadline=None)
@given(
    worlds(), st.sampled_from([0.0, 0.3]), st.sampled_from([0.0, 0.5]), st.sampled_from(["masks", "boxes"])
)
def test_every_phrase_with_a_region_comes_out_or_is_rejected(rows, min_coverage, min_score, use):
    params = PatchWordsParams(min_coverage=min_coverage, min_score=min_score, use=use)
    names = ["a/p0", "a/p1", "a/p2", "b/p0", "b/p1"]
    out = made(regions(*rows), params, names)
    kept = out["patch_words"].column("phrase_id").to_pylist()
    rejected = [key.removeprefix("phrase:") for key in out["rejects"].column("key").to_pylist()]
    assert sorted(kept + rejected) == sorted({row[0] for row in rows})
    assert kept == [name for name in names if name in kept]
    # Together as each alone.
    for row in out["patch_words"].to_pylist():
        alone = made(regions(*[r for r in rows if r[0] == row["phrase_id"]]), params, names)["patch_words"]
        assert alone.to_pylist()[0]["patches"] == row["patches"]
        assert alone.to_pylist()[0]["coverage"] == row["coverage"]
        assert len(row["patches"]) == len(row["coverage"]) > 0
        assert all(max(min_coverage - 1e-7, 0) <= share <= 1 for share in row["coverage"])


@pytest.fixture
def block(tmp_path):
    tables = {
        "images": images(a=(4, 4), b=(8, 4)),
        "phrases": phrases("a/p0", "a/p1", "b/p2"),
        "regions": regions(
            ("a/p0", [0, 0, 2, 2], None, 1.0),
            ("b/p2", [0, 0, 2, 4], None, 1.0),
            ("a/p0", [0, 0, 3, 3], None, 1.0),
        ),
    }
    for name, table in tables.items():
        dataset.write_part(tmp_path / name, 0, table, name, Provenance())
    encoder = tmp_path / "encoder"
    encoder.mkdir()
    clip = {"image_processor_type": "CLIPImageProcessor", "size": {"shortest_edge": 4}, "crop_size": 4}
    (encoder / "preprocessor_config.json").write_text(json.dumps(clip))
    (encoder / "config.json").write_text(json.dumps({"patch_size": 2, "image_size": 4}))
    return PatchWordsBlock(tmp_path / "images", tmp_path / "phrases", tmp_path / "regions", encoder, ANY)


def test_the_block_counts_phrases_in_and_out(block):
    assert block.shard_count() == 1
    tables = block.process(0)
    counted = count(block, 0, tables)
    assert (counted.rows_in, counted.rows_out, counted.rejected) == (
        2,
        {"patch_words": 1},
        {"outside_view": 1},
    )


def test_the_block_works_in_another_process_and_gives_the_same_bytes(block, tmp_path):
    for i, one in enumerate((block, pickle.loads(pickle.dumps(block)))):
        tables = one.process(0)
        dataset.write_part(tmp_path / str(i), 0, tables["patch_words"], "patch_words", one.provenance())
    first, second = (dataset.parts(tmp_path / str(i))[0].read_bytes() for i in (0, 1))
    assert first == second


def test_provenance_follows_what_matters_and_nothing_else(block):
    before = block.provenance()
    (block.encoder / "model.safetensors").write_bytes(b"other weights, same geometry")
    assert PatchWordsBlock(**_fields(block)).provenance() == before
    (block.encoder / "config.json").write_text(json.dumps({"patch_size": 4, "image_size": 4}))
    changed = PatchWordsBlock(**_fields(block)).provenance()
    assert {name for name in before.inputs if before.inputs[name] != changed.inputs[name]} == {"geometry"}


def _fields(block):
    return {name: getattr(block, name) for name in ("images", "phrases", "regions", "encoder", "params")}


def test_dense_coverage():
    rows = made(
        regions(("a/p0", [0, 0, 3, 2], None, 1.0), ("b/p2", [4, 2, 6, 4], None, 1.0)),
    )["patch_words"]
    assert dense_coverage(rows).tolist() == [[1.0, 0.5, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]]
    assert dense_coverage(rows.slice(1)).tolist() == [[0.0, 0.0, 0.0, 1.0]]
    assert dense_coverage(rows.slice(0, 0)).shape == (0, 0)
    other = rows.set_column(
        rows.schema.get_field_index("grid"),
        rows.schema.field("grid"),
        pa.array([[1, 4], [2, 2]], rows.schema.field("grid").type),
    )
    with pytest.raises(ValueError, match="several grids"):
        dense_coverage(other)
