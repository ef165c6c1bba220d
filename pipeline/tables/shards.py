"""How a stage's work is cut into shards, done, and committed, wherever the shards run.

A *block* knows how to do a stage's work for one shard and nothing of threads, clusters or schedulers. The
*staging* area holds finished shards until all are there, so that a killed stage picks up where it was, and
the datasets under ``data/`` appear whole or not at all.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from pipeline.tables import dataset, digests
from pipeline.tables.dataset import Provenance

Tables = dict[str, pa.Table]


class Block(Protocol):
    """A stage's work on shards. Instances are picklable, so that shards can run in other processes."""

    @property
    def stage(self) -> str:
        """The stage's name, as in ``dvc.yaml``."""

    @property
    def outputs(self) -> tuple[str, ...]:
        """The tables that it makes, ``rejects`` aside."""

    def shard_count(self) -> int:
        """How many shards there are."""

    def provenance(self) -> Provenance:
        """Digests of the parameters and inputs: two blocks with the same make the same tables."""

    def rows_in(self, shard: int) -> int:
        """How many rows (the stage's unit of work) the shard takes in."""

    def process(self, shard: int) -> Tables:
        """The tables of one shard: ``outputs`` and ``rejects``."""


@dataclass(frozen=True)
class ShardCount:
    """What became of one shard."""

    rows_in: int
    rows_out: Mapping[str, int]
    rejected: Mapping[str, int]
    """Rejects by reason."""


class Staging:
    """Where finished shards wait until the stage is done.

    The folder's name carries the digest of the parameters and inputs, so shards that an earlier run left
    are taken up only if they are what this run would make.
    """

    def __init__(self, root: Path, block: Block) -> None:
        self._made_from = block.provenance()
        key = digests.of_value([self._made_from.params, dict(self._made_from.inputs)])
        self._stage_root = root / block.stage
        self.folder = self._stage_root / key
        self._tables = (*block.outputs, "rejects")

    def has(self, shard: int) -> bool:
        """Whether the shard is done: its marker is written after all of its parts."""
        return self._marker(shard).exists()

    def commit(self, shard: int, tables: Tables) -> None:
        """Keep a finished shard."""
        for name in self._tables:
            dataset.write_part(self.folder / name, shard, tables[name], name, self._made_from)
        self._marker(shard).touch()

    def table(self, name: str, shard: int) -> pa.Table:
        """A finished shard's table."""
        return dataset.read_part(self.folder / name / dataset.PART.format(shard))

    def publish(self, targets: Mapping[str, Path]) -> None:
        """Move the finished datasets to their places, a folder at a time, and clear the staging area."""
        for name in self._tables:
            target = targets[name]
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.exists():
                shutil.rmtree(target)
            os.replace(self.folder / name, target)
        shutil.rmtree(self._stage_root)

    def _marker(self, shard: int) -> Path:
        return self.folder / f"shard-{shard:05d}.done"


def count(block: Block, shard: int, tables: Tables) -> ShardCount:
    """Rows in, out and rejected of a finished shard."""
    reasons = (
        tables["rejects"].column("reason").value_counts().to_pylist() if tables["rejects"].num_rows else []
    )
    return ShardCount(
        rows_in=block.rows_in(shard),
        rows_out={name: tables[name].num_rows for name in block.outputs},
        rejected={entry["values"]: entry["counts"] for entry in reasons},
    )
