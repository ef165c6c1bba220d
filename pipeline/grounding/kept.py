"""What a model said, kept on disk by what it was asked: an image's content, texts, the model.

An annotation model is the slow part of the pipeline, so what it says is kept before any threshold is applied.
New images alone go through the model when a dataset grows, none do when a threshold is changed, and a killed
stage loses one batch at most. A folder ``<root>/<digest>`` holds what one model said under the settings that
it sees: an SQLite file, and ``about.json``, which says what the digest stands for.

SQLite's own locks and journal make this safe with several processes and a kill at any moment. The journal is
the classic one, which works on a network disk that has working locks, as NFS 4 and Lustre do.

    python -m pipeline.grounding.kept                   # what is kept, and how large it is
    python -m pipeline.grounding.kept --most-gb 20      # deletes what was not used for longest
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import get_ident
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from pipeline.console import run_command, run_options
from pipeline.errors import UserError
from pipeline.tables import digests

FOLDER = "annotations"  # below the folder where stages keep unfinished work
FILE = "kept.sqlite"
ABOUT = "about.json"
# Raise it when a change of code alters what is kept, or what a model is given.
VERSION = 1
_TABLE = "CREATE TABLE IF NOT EXISTS kept (key BLOB PRIMARY KEY, value BLOB NOT NULL)"
_WAIT_SECONDS = 120  # for another process's batch to be written
_KEYS = 500  # in a query; SQLite takes 999 at least

Unit = TypeVar("Unit")


@dataclass(frozen=True)
class Kept:
    """One folder of kept values: bytes by 16-byte keys (see `key`)."""

    folder: Path

    def read(self, keys: Iterable[bytes]) -> dict[bytes, bytes]:
        """The values that there are."""
        wanted = list(dict.fromkeys(keys))
        found: dict[bytes, bytes] = {}
        with self._connection() as connection:
            for first in range(0, len(wanted), _KEYS):
                some = wanted[first : first + _KEYS]
                marks = ", ".join("?" * len(some))
                found.update(connection.execute(f"SELECT key, value FROM kept WHERE key IN ({marks})", some))
        return found

    def add(self, values: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
        """Keep some values, all or none, and return what is kept under their keys.

        Where another process was first, its value stays and is returned: every shard sees the same.
        """
        with self._connection() as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany("INSERT OR IGNORE INTO kept VALUES (?, ?)", values.items())
            connection.execute("COMMIT")
        return self.read(values)

    def __len__(self) -> int:
        with self._connection() as connection:
            return int(connection.execute("SELECT count(*) FROM kept").fetchone()[0])

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        # One for each use: connections cannot be pickled or handed to another thread, and cost 0.1 ms.
        file = self.folder / FILE
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(file, timeout=_WAIT_SECONDS, isolation_level=None)) as connection:
                connection.execute(_TABLE)
                yield connection
        except sqlite3.OperationalError as error:
            if "locked" in str(error):  # it may pass: the stage tries the shard again
                raise TimeoutError(f"{file} was in use for more than {_WAIT_SECONDS} s") from error
            raise UserError(
                f"{file} cannot be used ({error}). Free some space or mend the permissions, and run the same"
                " command again: what was kept so far stays."
            ) from error
        except sqlite3.DatabaseError as error:
            raise UserError(
                f"{file} is damaged ({error}). Delete {self.folder}: its images go through the model again."
            ) from error


def open_kept(root: Path | None, about: Mapping[str, Any]) -> Kept | None:
    """The folder for what a model says; ``about`` is all that decides it but for image and texts.

    Without ``root`` nothing is kept.
    """
    if root is None:
        return None
    described = {"version": VERSION, **about}
    folder = root / digests.of_value(described)
    if not (folder / ABOUT).exists():
        folder.mkdir(parents=True, exist_ok=True)
        partial = folder / f"{ABOUT}.{os.getpid()}-{get_ident()}"  # shards run in threads, too
        partial.write_text(json.dumps(described, indent=2, default=str) + "\n", encoding="utf-8")
        os.replace(partial, folder / ABOUT)
    os.utime(folder)  # when it was last used
    return Kept(folder)


def key(sha256: str, *asked: Any) -> bytes:
    """Key of an image's content and what is asked about it (JSON-like values).

    Raises:
        ValueError: there is no digest of the image, so its results could not be told from another's.
    """
    if not sha256:
        raise ValueError("an image without its sha256 has no results that could be kept")
    return hashlib.sha256(json.dumps([sha256, *asked]).encode()).digest()[:16]


def recall(
    kept: Kept | None,
    units: Sequence[Unit],
    key_of: Callable[[Unit], bytes],
    make: Callable[[list[Unit]], Iterator[dict[Unit, bytes]]],
) -> dict[Unit, bytes]:
    """The value of each unit of work: the kept one, or the one that is made now and then kept.

    Args:
        kept: where; None: every value is made, and goes when the caller lets it go.
        units: what values are wanted for, without repetitions.
        key_of: a unit's key; not called without ``kept``.
        make: from the units that have no value to their values, a batch at a time; a unit may come out
            without one. Each batch is kept before the next is asked for.
    """
    if kept is None:
        made: dict[Unit, bytes] = {}
        for batch in make(list(units)):
            made |= batch
        return made
    keys = {unit: key_of(unit) for unit in units}
    known = kept.read(keys.values())
    for batch in make([unit for unit in units if keys[unit] not in known]):
        known |= kept.add({keys[unit]: value for unit, value in batch.items()})
    return {unit: known[own] for unit, own in keys.items() if own in known}


def listing(root: Path) -> list[tuple[Path, dict[str, Any], int]]:
    """Folders of kept values, the last used first: the folder, what it holds, bytes on disk."""
    folders = sorted((file.parent for file in root.glob(f"*/{ABOUT}")), key=_last_used, reverse=True)
    return [
        (
            folder,
            json.loads((folder / ABOUT).read_text(encoding="utf-8")),
            sum(file.stat().st_size for file in folder.iterdir()),
        )
        for folder in folders
    ]


def prune(root: Path, most_bytes: int) -> list[Path]:
    """Delete folders, those that were not used for longest first, until ``most_bytes`` hold the rest."""
    deleted, total = [], 0
    for folder, _, size in listing(root):
        total += size
        if total > most_bytes:
            shutil.rmtree(folder)
            deleted.append(folder)
    return deleted


def _last_used(folder: Path) -> tuple[int, str]:
    return folder.stat().st_mtime_ns, folder.name


def main() -> None:
    """List what is kept, and delete what was not used for longest, if a size is given."""

    def command(
        most_gb: Annotated[float | None, typer.Option(min=0, help="Delete until no more is left.")] = None,
        root: Annotated[Path, typer.Option(help="Folder of the kept values.")] = Path(".work") / FOLDER,
    ) -> None:
        if most_gb is not None:
            for folder in prune(root, int(most_gb * 1e9)):
                print(f"deleted {folder}")
        table = Table("source", "settings", "values", "MB", "folder", box=None, pad_edge=False)
        for folder, about, size in listing(root):
            settings = ", ".join(f"{name} {value}" for name, value in about.get("settings", {}).items())
            table.add_row(
                str(about.get("source")),
                settings,
                f"{len(Kept(folder)):,}",
                f"{size / 1e6:,.1f}",
                folder.name,
            )
        Console().print(table)

    run_options(command)


if __name__ == "__main__":
    run_command(main)
