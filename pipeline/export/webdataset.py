"""WebDataset shards, as `pipeline.sources.webdataset` reads them: ``SPLIT-00000.tar``, a sample an image.

``NAME.png`` is the picture, ``NAME.json`` its captions (``caption``, a list) and its rows of the exported
table under the table's name. Members carry no clock or owner, so that the same rows give the same bytes.
"""

from __future__ import annotations

import io
import tarfile
from contextlib import ExitStack
from pathlib import Path

from pipeline.errors import UserError
from pipeline.export import pictures
from pipeline.export.files import dumps
from pipeline.export.job import Item, Job
from pipeline.inspection.cells import plain

SAMPLES = 1_000
"""Images a shard."""


def write(job: Job) -> None:
    """Write the shards.

    Raises:
        UserError: pictures are not to be copied.
    """
    if not job.is_copy:
        raise UserError("A WebDataset holds its pictures: give --images copy.")
    table = job.table.name
    names = () if table == "images" else (table,)
    with ExitStack() as stack:
        shards: dict[str, _Shards] = {}
        for item in job.items(*names, optional=("captions",)):
            split = item.image["split"]
            if split not in shards:
                shards[split] = stack.enter_context(_Shards(job.out, split))
            shards[split].add(item, table)
            job.report.written["samples"] += 1


class _Shards:
    """The shards of one split, one open at a time."""

    def __init__(self, folder: Path, split: str) -> None:
        self._folder, self._split = folder, split
        self._samples = 0
        self._tar: tarfile.TarFile | None = None

    def add(self, item: Item, table: str) -> None:
        if self._samples % SAMPLES == 0:
            self._close()
            path = self._folder / f"{self._split}-{self._samples // SAMPLES:05d}.tar"
            self._tar = tarfile.open(path, "w", format=tarfile.PAX_FORMAT)  # noqa: SIM115
        self._samples += 1
        assert item.content is not None
        name = pictures.safe_name(item.image["image_id"]).replace(".", "%2E")  # it ends at the first dot
        image = {key: item.image[key] for key in ("image_id", "width", "height", "split", "sha256")}
        told = image | {"caption": [row["text"] for row in item.rows.get("captions", ())]}
        if table in item.rows:
            told[table] = plain(item.rows[table])
        self._put(f"{name}{pictures.ending(item.content)}", item.content)
        self._put(f"{name}.json", dumps(told).encode())

    def _put(self, name: str, content: bytes) -> None:
        assert self._tar is not None
        member = tarfile.TarInfo(name)
        member.size = len(content)
        self._tar.addfile(member, io.BytesIO(content))
        self._tar.members = []  # type: ignore[attr-defined]  # tarfile keeps all of them, which are many

    def _close(self) -> None:
        if self._tar is not None:
            self._tar.close()

    def __enter__(self) -> _Shards:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()
