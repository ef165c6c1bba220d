"""What makes a `Source` of a format that lists its images: shards, counts, digests.

A format offers two functions: which files its listing is made from, and the `Listing` itself.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.errors import UserError
from pipeline.params import SourceParams
from pipeline.sources import files, rows
from pipeline.sources.rows import Listed, Reject
from pipeline.tables import digests
from pipeline.tables.shards import Tables

_making = threading.Lock()
_made: dict[tuple, Any] = {}
"""The listing that was used last: it is made once a process, and again when its files change."""


@dataclass
class Listing:
    """What a dataset lists; small, however large the dataset is."""

    images: int
    """How many."""
    read: Callable[[int, int], list[Listed]]
    """The images from one number up to another, in order, with all about them."""
    loose: list[Reject] = field(default_factory=list)
    """Rows that belong to no image; they go with the first shard."""
    inputs: Any = None
    """What the digest has to cover beside the listing's files and the pictures: a JSON-like value."""
    pictures: Callable[[], Iterable[Sequence[str]]] = tuple
    """For each image the paths where its picture may lie; none where pictures lie in the listing's files."""


@dataclass(frozen=True)
class ListedSource:
    """A format that lists its images; implements `pipeline.sources.base.Source`."""

    params: SourceParams
    inputs: Callable[[SourceParams], list[Path]]
    """The files that the listing is made from; UserError with the expected tree if they are not there."""
    make: Callable[[SourceParams], Listing]
    hashes_inputs: bool = True
    """Whether the digest covers the content of `inputs`; if not, `Listing.inputs` has to stand for it."""

    def shard_count(self) -> int:
        """How many shards there are; at least one."""
        return max(1, -(-self._listing().images // self.params.shard_size))

    def digest(self) -> str:
        """Digest of the settings, the listing's files, and the pictures' names and sizes in bytes."""
        # A run starts here, perhaps long after the last one of the same process: list anew.
        name, root, listing = self.params.name, self.params.path, self._listing(is_new=True)
        settings = [self.params.shard_size, getattr(self.params, name).model_dump(mode="json")]
        read = []
        if self.hashes_inputs:
            read = [[path.name, digests.of_file(path)] for path in self.inputs(self.params)]
        pictures = [
            [*map(rows.printable, tried), files.size_in_bytes(root, tried)] for tried in listing.pictures()
        ]
        return digests.of_value([name, settings, read, listing.inputs, pictures])

    def rows_in(self, shard: int) -> int:
        """Images, captions, objects and conversations that are listed for the shard, usable or not."""
        return len(self._loose(shard)) + sum(item.rows() for item in self._items(shard))

    def read(self, shard: int) -> Tables:
        """The tables of one shard, in the order in which the dataset lists its images."""
        return rows.tables_of(self._items(shard), self._loose(shard), self.params.path)

    def _items(self, shard: int) -> list[Listed]:
        listing, size = self._listing(), self.params.shard_size
        first = shard * size
        return listing.read(first, min(first + size, listing.images))

    def _loose(self, shard: int) -> list[Reject]:
        return self._listing().loose if shard == 0 else []

    def _listing(self, is_new: bool = False) -> Listing:
        used = [path.stat() for path in self.inputs(self.params)]
        stamps = tuple((stat.st_mtime_ns, stat.st_size) for stat in used)
        asked = (self.params.model_dump_json(), stamps)
        with _making:  # threads that ask at the same time wait for one listing instead of making their own
            if is_new or asked not in _made:
                _made.clear()
                _made[asked] = self.make(self.params)
            return _made[asked]


def existing(root: Path, names: Iterable[str], setting: str, tree: str) -> list[Path]:
    """The files below the root that a setting names.

    Raises:
        UserError: one is not there; the message shows the tree that is expected.
    """
    paths = [root / name for name in names]
    for path in paths:
        if not path.is_file():
            there = ", ".join(sorted(entry.name for entry in root.iterdir())[:12]) if root.is_dir() else ""
            raise UserError(
                f"source.path is {root} and {setting} names {path.relative_to(root)}, which is not there. "
                f"Expected: {tree}. Found in {root}: {there or 'nothing'}."
            )
    if not paths:
        raise UserError(f"{setting} names no file below {root}. Expected: {tree}.")
    return paths


def in_folders(folders: Sequence[str], name: Any) -> tuple[str, ...]:
    """Where a picture may lie: in each of some folders below the root. Empty if it has no name."""
    if not isinstance(name, str) or not name:
        return ()
    return tuple(name if folder == "." else f"{folder}/{name}" for folder in folders)
