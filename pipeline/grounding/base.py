"""The interface of an annotation source: what a new one has to offer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from pipeline.tables.shards import Tables


@dataclass(frozen=True)
class ShardInputs:
    """What an annotation source may look at: the tables of one shard, all about the same images."""

    images: pa.Table
    captions: pa.Table
    phrases: pa.Table
    objects: pa.Table
    root: Path
    """The dataset's root: paths in ``images`` are below it."""


class Annotator(Protocol):
    """An annotation source. Instances are picklable; models are loaded when first used."""

    @property
    def name(self) -> str:
        """What the column ``regions.annotator`` says."""

    def digest(self) -> str:
        """Digest of the settings and of the model: with the same digest the same regions come out."""

    def ground(self, shard: ShardInputs) -> Tables:
        """``regions`` and ``rejects`` of a shard, in the order of its phrases.

        Every phrase has one region or more, or exactly one reject (key ``phrase:<phrase_id>``). Regions of
        a phrase are named ``<phrase_id>/r0``, ``/r1``, ...
        """
