"""Parquet: the very table, the rows of some splits, and pictures a few at a time."""

from __future__ import annotations

import shutil
from pathlib import Path

import made_run
import pyarrow.parquet as pq
import pytest
from test_round_trips import ROWS, export, read

from pipeline.errors import UserError
from pipeline.export import parquet, pictures
from pipeline.sources.pictures import load_picture
from pipeline.tables import dataset
from pipeline.tables.schemas import SPLITS


@pytest.mark.parametrize("table", list(ROWS))
def test_parquet_gives_the_very_table_back(made: Path, tmp_path: Path, table: str) -> None:
    export(made, table, "parquet", tmp_path / "out", "--images", "reference")
    expected = dataset.read(made / table)
    found = pq.read_table(tmp_path / "out")
    assert found.equals(expected) and found.schema.metadata == expected.schema.metadata


def test_parquet_holds_pictures_where_they_are_copied(made: Path, tmp_path: Path) -> None:
    export(made, "images", "parquet", tmp_path / "out")
    rows = pq.read_table(tmp_path / "out").to_pylist()
    assert [row["image"]["bytes"] for row in rows] == [made_run.picture(name) for name in made_run.SIZES]
    found = read(
        "parquet",
        tmp_path / "out",
        files="*.parquet",
        image="image",
        caption=None,
        id="image_id",
        require_captions=False,
    )
    assert [row["image_id"] for row in found["images"]] == list(made_run.SIZES)
    for row in found["images"]:
        assert load_picture(row["image"], tmp_path, row["image_id"]).size == made_run.SIZES[row["image_id"]]


SPLIT = {row["image_id"]: row["split"] for row in ROWS["images"]}


@pytest.mark.parametrize("table", [name for name, rows in ROWS.items() if rows and "image_id" in rows[0]])
def test_parquet_holds_the_rows_of_the_splits_that_are_asked_for(
    made: Path, tmp_path: Path, table: str
) -> None:
    for splits in (("test",), ("train",), ("validation",), ("train", "test")):
        options = [word for split in splits for word in ("--split", split)]
        told = export(
            made, table, "parquet", tmp_path / "out", "--images", "reference", "--overwrite", *options
        )
        expected = dataset.read(made / table).to_pylist()
        expected = [row for row in expected if SPLIT[row["image_id"]] in splits]
        assert pq.read_table(tmp_path / "out").to_pylist() == expected
        assert (f"{len(expected)} rows" if expected else "nothing") in told


def test_parquet_of_splits_needs_the_images_of_the_same_run(made: Path, tmp_path: Path) -> None:
    alone = tmp_path / "data"
    shutil.copytree(made / "objects", alone / "objects")
    with pytest.raises(UserError, match="needs the dataset images"):
        export(alone, "objects", "parquet", tmp_path / "out", "--split", "test")
    made_run.write(alone, {"images": [row for row in made_run.rows()["images"] if row["image_id"] != "791"]})
    with pytest.raises(UserError, match=r"'791' has rows.*not of one run"):
        export(alone, "objects", "parquet", tmp_path / "out", "--split", "test")
    assert not (tmp_path / "out").exists()


def test_parquet_holds_few_pictures_in_memory_at_a_time(tmp_path: Path, monkeypatch) -> None:
    (first,) = [row for row in made_run.rows()["images"] if row["image_id"] == "791"]
    rows = [first | {"image_id": str(number), "split": SPLITS[number % 2]} for number in range(11)]
    made_run.PART_OF.update({row["image_id"]: 0 for row in rows})
    data = made_run.write(tmp_path / "data", {"images": rows})
    monkeypatch.setattr(parquet, "LARGE_ROW_GROUP", 3)
    waiting = []
    content, write_table = pictures.content, pq.ParquetWriter.write_table

    def counted(*given) -> bytes:
        waiting.append(given)
        assert len(waiting) <= 3
        return content(*given)

    def written(*given) -> None:
        write_table(*given)
        waiting.clear()

    monkeypatch.setattr(pictures, "content", counted)
    monkeypatch.setattr(pq.ParquetWriter, "write_table", written)
    for options, expected in (((), rows), (("--split", SPLITS[0]), rows[::2])):
        export(data, "images", "parquet", tmp_path / "out", "--overwrite", *options)
        found = pq.read_table(tmp_path / "out").to_pylist()
        assert [row["image_id"] for row in found] == [row["image_id"] for row in expected]
        assert {row["image"]["bytes"] for row in found} == {made_run.picture("791")}
