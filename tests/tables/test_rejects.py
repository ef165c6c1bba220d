"""Rejects: each with its stage, its key, a reason that the stage has listed, and a sentence."""

import pytest

from pipeline.tables import schemas
from pipeline.tables.rejects import Rejects

REASONS = {"image_missing": "the file is not there", "caption_empty": "the caption has no words"}


def test_rejects_come_out_in_the_order_in_which_they_came():
    rejects = Rejects("ingest", REASONS)
    rejects.add("image:790", "image_missing", "looked for val/790.jpg")
    rejects.add("caption:3/c1", "caption_empty")
    assert len(rejects) == 2
    assert rejects.table().to_pylist() == [
        {
            "stage": "ingest", "key": "image:790", "reason": "image_missing",
            "message": "looked for val/790.jpg",
        },
        {
            "stage": "ingest", "key": "caption:3/c1", "reason": "caption_empty",
            "message": "the caption has no words",
        },
    ]  # fmt: skip


def test_no_rejects_are_an_empty_table_of_the_same_columns():
    table = Rejects("ingest", REASONS).table()
    assert (table.num_rows, table.schema) == (0, schemas.SCHEMAS["rejects"])


def test_a_reason_that_the_stage_has_not_listed_is_a_defect():
    with pytest.raises(KeyError, match="odd"):
        Rejects("ingest", REASONS).add("image:790", "odd")
