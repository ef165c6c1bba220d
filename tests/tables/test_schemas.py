"""Schemas: the one place where a column is defined, and each says what it holds."""

import pyarrow as pa
import pytest

from pipeline.tables import schemas
from pipeline.tables.schemas import SCHEMAS


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_table_and_column_is_documented(name):
    assert SCHEMAS[name].metadata[b"doc"]
    assert all(field.metadata and field.metadata[b"doc"] for field in SCHEMAS[name])


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_table_starts_with_the_id_of_its_rows_and_ids_are_strings(name):
    ids = [field for field in SCHEMAS[name] if field.name.endswith("_id")]
    assert all(field.type == pa.string() and not field.nullable for field in ids)


@pytest.mark.parametrize("name", SCHEMAS)
def test_boxes_and_masks_have_one_type_everywhere(name):
    for field in SCHEMAS[name]:
        if field.name in ("box", "predicted_box"):
            assert field.type == schemas.BOX
        if field.name == "mask":
            assert field.type == schemas.MASK


def test_rows_that_do_not_fit_are_refused():
    with pytest.raises((pa.ArrowInvalid, pa.ArrowTypeError)):
        schemas.from_rows("captions", [{"caption_id": "1/c0", "image_id": 1, "text": ["a", "cup"]}])


def test_boxes_are_float32_whatever_they_were():
    row = {
        "region_id": "r", "phrase_id": "p", "image_id": "i", "box": [0, 1, 2.5, 3], "mask": None,
        "score": 1, "annotator": "dataset",
    }  # fmt: skip
    box = schemas.from_rows("regions", [row]).column("box")
    assert box.type == pa.list_(pa.float32(), 4)
    assert box.to_pylist() == [[0.0, 1.0, 2.5, 3.0]]
