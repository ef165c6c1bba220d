"""Which shards an earlier, killed run has finished, and whether they are still what this run would make."""

from __future__ import annotations

import inspect
import json
import shutil
from dataclasses import asdict
from pathlib import Path

import pipeline.tables
from pipeline.tables import dataset, digests
from pipeline.tables.shards import Block, ShardCount, Staging, Tables


def open_staging(block: Block, work: Path) -> Staging:
    """The block's staging area, after dropping shards that other code had made.

    `Staging` tells settings and inputs apart; here the code is: that of the block's own package and of the
    tables, so that mending a stage never leaves it with shards of before and after.
    """
    packages = (inspect.getfile(type(block)), pipeline.tables.__file__)
    code = digests.of_value([digests.of_files(Path(file).parent, "*.py") for file in packages])
    note = work / block.stage / "code"
    if note.exists() and note.read_text(encoding="utf-8") != code:
        shutil.rmtree(note.parent)
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_text(code, encoding="utf-8")
    return Staging(work, block)


def is_done(block: Block, staging: Staging, shard: int) -> bool:
    """Whether the shard was finished and all of it is there.

    A run that was killed while it moved the finished tables to their places leaves markers without parts.
    """
    files = [staging.folder / name / dataset.PART.format(shard) for name in (*block.outputs, "rejects")]
    return staging.has(shard) and all(file.exists() for file in (*files, _count_file(staging, shard)))


def keep(staging: Staging, shard: int, tables: Tables, count: ShardCount) -> None:
    """Keep a finished shard and its count; the count first, as the shard is done once it is committed."""
    staging.folder.mkdir(parents=True, exist_ok=True)
    _count_file(staging, shard).write_text(json.dumps(asdict(count)), encoding="utf-8")
    staging.commit(shard, tables)


def read_count(staging: Staging, shard: int) -> ShardCount:
    """Rows of a finished shard."""
    return ShardCount(**json.loads(_count_file(staging, shard).read_text(encoding="utf-8")))


def _count_file(staging: Staging, shard: int) -> Path:
    return staging.folder / f"shard-{shard:05d}.json"
