"""Datasets on disk: the same rows give the same bytes, and nothing half-written is ever taken for whole."""

import os
import resource
import subprocess
import sys
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.dataset as pads
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import UserError
from pipeline.tables import dataset, schemas
from pipeline.tables.dataset import PART, Provenance

MADE_FROM = Provenance(params="0123", inputs={"images": "4567"})


def captions(count: int, first: int = 0) -> pa.Table:
    rows = [
        {"caption_id": f"{i}/c0", "image_id": str(i), "text": f"a red cup and {i} kites"}
        for i in range(first, first + count)
    ]
    return schemas.from_rows("captions", rows)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two parts, of three and two captions."""
    for index, table in enumerate((captions(3), captions(2, first=3))):
        dataset.write_part(tmp_path / "captions", index, table, "captions", MADE_FROM)
    return tmp_path / "captions"


def test_what_is_written_is_what_is_read(folder):
    assert dataset.read(folder).to_pylist() == captions(5).to_pylist()
    assert dataset.count_rows(folder) == 5
    assert [table.num_rows for table in dataset.iter_parts(folder)] == [3, 2]
    assert dataset.read(folder, ["text"]).column_names == ["text"]


def test_a_dataset_says_what_made_it(folder):
    assert dataset.provenance(folder) == MADE_FROM


def test_every_part_carries_the_documentation_of_its_columns(folder):
    schema = dataset.read_part(folder / PART.format(1)).schema
    assert all(field.metadata[b"doc"] for field in schema)


def test_bytes_do_not_depend_on_how_the_rows_were_gathered(tmp_path):
    pieces = pa.concat_tables([captions(2), captions(0), captions(3, first=2)])
    assert pieces.column("text").num_chunks > 1
    reordered = pieces.select(["text", "image_id", "caption_id"])
    written = [
        dataset.write_part(tmp_path / str(n), 0, table, "captions", MADE_FROM).read_bytes()
        for n, table in enumerate((captions(5), pieces, reordered))
    ]
    assert written[0] == written[1] == written[2]


def test_wrong_columns_are_refused(tmp_path):
    with pytest.raises(ValueError, match="captions"):
        dataset.write_part(tmp_path, 0, captions(1).drop_columns(["text"]), "captions", MADE_FROM)
    assert not list(tmp_path.iterdir())


def test_other_tools_open_a_dataset_as_it_is(folder, tmp_path):
    expected = captions(5).column("text").to_pylist()
    assert pads.dataset(folder, format="ipc").to_table().column("text").to_pylist() == expected
    assert pl.scan_ipc(folder / "*.arrow").collect()["text"].to_list() == expected
    database = duckdb.connect()
    database.register("captions", dataset.scan(folder))
    rows = database.sql("select text from captions order by caption_id").fetchall()
    assert [text for (text,) in rows] == expected
    import datasets

    files = [str(path) for path in dataset.parts(folder)]
    loaded = datasets.load_dataset(
        "arrow", data_files=files, split="train", cache_dir=str(tmp_path / "cache")
    )
    assert loaded["text"][:] == expected


@given(share=st.floats(0, 1, exclude_max=True))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
def test_a_part_cut_short_anywhere_is_refused_by_name(folder, tmp_path, share):
    whole = (folder / PART.format(0)).read_bytes()
    cut = tmp_path / PART.format(0)
    cut.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(UserError, match=PART.format(0)) as caught:
        dataset.read_part(cut)
    assert "delete it and run `dvc repro`" in str(caught.value)


def test_what_is_no_dataset_is_refused(folder, tmp_path):
    with pytest.raises(UserError, match=r"There is no dataset at .*nowhere"):
        dataset.read(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"holds no part-\*\.arrow files"):
        dataset.read(tmp_path / "empty")
    with pytest.raises(UserError, match="does not exist"):
        dataset.read_part(folder / PART.format(7))


def test_a_missing_part_in_the_middle_is_noticed(folder):
    (folder / PART.format(0)).unlink()
    with pytest.raises(UserError, match=PART.format(0)):
        dataset.read(folder)


def _rewrite(path: Path, metadata: dict[bytes, bytes]) -> None:
    table = captions(1).replace_schema_metadata(metadata)
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)


def test_foreign_arrow_files_and_other_schema_versions_are_refused(folder):
    part = folder / PART.format(0)
    _rewrite(part, {})
    with pytest.raises(UserError, match="not one of this project's datasets"):
        dataset.read_part(part)
    _rewrite(part, {b"patchwords.schema_version": b"0"})
    with pytest.raises(UserError, match="schema version 0, this code reads"):
        dataset.read_part(part)


@contextmanager
def small_disk():
    """The kernel refuses files above 1 kB, as a full disk would.

    For a few lines only: it refuses pytest's own log too, where that is a file.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_leaves_what_was_there_and_nothing_half_written(folder):
    part = folder / PART.format(0)
    before = part.read_bytes()
    with small_disk(), pytest.raises(UserError, match=r"Could not write .*part-00000\.arrow"):
        dataset.write_part(folder, 0, captions(5000), "captions", MADE_FROM)
    assert part.read_bytes() == before
    assert [path.name for path in sorted(folder.iterdir())] == [PART.format(0), PART.format(1)]


def test_a_process_killed_while_it_writes_leaves_no_part(tmp_path):
    program = f"""
import os, sys
from pathlib import Path
from pipeline.tables import dataset, schemas
os.fsync = lambda _: os._exit(9)  # killed after the last byte, before the file has its name
rows = [{{"caption_id": "1/c0", "image_id": "1", "text": "a cup"}}]
dataset.write_part(Path({str(tmp_path)!r}), 0, schemas.from_rows("captions", rows), "captions",
                   dataset.Provenance())
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=Path(__file__).parents[2], check=False)
    assert done.returncode == 9
    assert [path.suffix for path in tmp_path.iterdir()] == [".partial"]
    with pytest.raises(UserError, match="holds no part"):
        dataset.parts(tmp_path)
    # The next run writes over what was left.
    dataset.write_part(tmp_path, 0, captions(1), "captions", MADE_FROM)
    assert os.listdir(tmp_path) == [PART.format(0)]


@given(
    texts=st.lists(st.text(), max_size=20),
    cuts=st.lists(st.integers(0, 20), max_size=3),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
def test_any_text_in_any_parts_comes_back_in_order(tmp_path_factory, texts, cuts):
    folder = tmp_path_factory.mktemp("any")
    rows = [{"caption_id": str(i), "image_id": "0", "text": text} for i, text in enumerate(texts)]
    whole = schemas.from_rows("captions", rows)
    edges = [0, *sorted(min(cut, len(rows)) for cut in cuts), len(rows)]
    for index, (start, end) in enumerate(pairwise(edges)):
        dataset.write_part(folder, index, whole.slice(start, end - start), "captions", MADE_FROM)
    assert dataset.read(folder).column("text").to_pylist() == texts
