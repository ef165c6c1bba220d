"""The interface of a dataset format: what a new one has to offer, and what ingest gives back."""

from __future__ import annotations

from typing import Protocol

from pipeline.tables.shards import Tables

OUTPUTS = ("images", "captions", "objects", "conversations")


class Source(Protocol):
    """A dataset format. Instances are picklable and cheap to make; big indices are read when first used."""

    def shard_count(self) -> int:
        """How many shards of `SourceParams.shard_size` images the dataset has; at least one."""

    def digest(self) -> str:
        """Digest of what the tables are made from (settings, seed, annotation files, names of images)."""

    def rows_in(self, shard: int) -> int:
        """Images, captions, objects and conversations listed for the shard: what comes out or is rejected."""

    def read(self, shard: int) -> Tables:
        """The tables `OUTPUTS` and ``rejects`` of one shard, rows in a defined order."""
