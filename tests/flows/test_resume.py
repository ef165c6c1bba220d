"""Finished shards are taken up only while they are what this run would make, and all there."""

from pathlib import Path

import pytest
from toy_block import ToyBlock

from flows import resume
from pipeline.tables import shards


@pytest.fixture
def block(tmp_path: Path) -> ToyBlock:
    return ToyBlock(tmp_path)


def keep(block: ToyBlock, work: Path, shard: int) -> shards.Staging:
    staging = resume.open_staging(block, work)
    tables = block.process(shard)
    resume.keep(staging, shard, tables, shards.count(block, shard, tables))
    return staging


def test_a_kept_shard_is_done_and_knows_its_count(block, tmp_path):
    staging = keep(block, tmp_path / "work", 1)
    again = resume.open_staging(block, tmp_path / "work")
    assert again.folder == staging.folder
    assert [resume.is_done(block, again, shard) for shard in range(3)] == [False, True, False]
    count = resume.read_count(again, 1)
    assert (count.rows_in, count.rows_out, count.rejected) == (10, {"captions": 7}, {"empty": 1, "odd": 2})


def test_shards_of_other_code_are_dropped(block, tmp_path, monkeypatch):
    keep(block, tmp_path / "work", 1)
    monkeypatch.setattr(resume.digests, "of_files", lambda *_: "other code")
    again = resume.open_staging(block, tmp_path / "work")
    assert not resume.is_done(block, again, 1)
    assert not again.folder.exists()


def test_a_run_killed_while_it_published_does_its_shards_again(block, tmp_path):
    staging = keep(block, tmp_path / "work", 0)
    (staging.folder / "captions").rename(tmp_path / "published")
    assert staging.has(0)
    assert not resume.is_done(block, staging, 0)


@pytest.mark.parametrize("name", ["captions", "rejects"])
def test_a_shard_without_one_of_its_parts_is_not_done(block, tmp_path, name):
    staging = keep(block, tmp_path / "work", 0)
    next((staging.folder / name).iterdir()).unlink()
    assert not resume.is_done(block, staging, 0)
