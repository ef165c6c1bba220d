"""Ingest as a block: a source's shards as tables."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from pipeline.params import SourceParams
from pipeline.sources import open_source
from pipeline.sources.base import OUTPUTS, Source
from pipeline.tables import digests
from pipeline.tables.dataset import Provenance
from pipeline.tables.shards import Tables


@dataclass(frozen=True)
class IngestBlock:
    """Reads a source shard by shard. Implements `pipeline.tables.shards.Block`.

    The unit of work is anything the source lists: an image, a caption, an object or a conversation.
    """

    params: SourceParams
    seed: int
    stage: str = "ingest"
    outputs: tuple[str, ...] = OUTPUTS

    @cached_property
    def _source(self) -> Source:
        return open_source(self.params, self.seed)

    def shard_count(self) -> int:
        """Shards of `SourceParams.shard_size` images."""
        return self._source.shard_count()

    def provenance(self) -> Provenance:
        """The settings in use and the source's own digest; settings of the other sources do not count."""
        used = {
            "name": self.params.name,
            "shard_size": self.params.shard_size,
            "settings": getattr(self.params, self.params.name).digest(),
        }
        return Provenance(params=digests.of_value(used), inputs={"source": self._source.digest()})

    def rows_in(self, shard: int) -> int:
        """Rows that the source lists for the shard."""
        return self._source.rows_in(shard)

    def process(self, shard: int) -> Tables:
        """The tables `OUTPUTS` and ``rejects`` of one shard."""
        return self._source.read(shard)
