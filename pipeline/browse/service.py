"""What the page asks for, over datasets that stages may replace while it is open."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.browse import facets, gallery, listing, scene, store
from pipeline.browse.grid import Grids, similarity_colours
from pipeline.browse.index import Filters, Index
from pipeline.browse.pictures import Encoded, Pictures, image_row
from pipeline.browse.scene import Member
from pipeline.errors import UserError
from pipeline.inspection import expressions
from pipeline.params import PatchWordsParams
from pipeline.tables.schemas import SCHEMAS

LOOK_EVERY = 2.0
"""Seconds between looks at whether a stage has replaced a table."""
MOST_WORDS = 60


class Opened:
    """The datasets as they were when they were opened."""

    def __init__(self, data: Path, compare: Mapping[str, Path], root: Path) -> None:
        self.index = Index(store.load(data))
        self.grids = Grids(data)
        self.members = [Member(data.name or str(data), self.index.store, self.grids)]
        if self.members[0].name in compare:
            raise UserError(
                f"The dataset itself is called {data.name!r}, after its folder: give what it is compared with"
                " another NAME."
            )
        for name, path in compare.items():
            grids = Grids(path)
            self.members.append(
                Member(name, store.load(path), self.grids if grids.geometry is None else grids)
            )
        self.pictures = Pictures(root)

    def signature(self) -> tuple[store.Signature, ...]:
        """Equal while no table has been replaced."""
        return tuple(member.store.signature for member in self.members)

    @cached_property
    def words(self) -> list[tuple[str, int]]:
        """Lemmas and their rows, most first."""
        return facets.words(self.index.store)

    @cached_property
    def reject_rows(self) -> list[dict[str, Any]]:
        """Rejects by stage and reason."""
        return facets.rejects(self.index.store)


def looks_of_arms(opened: store.Store) -> dict[str, dict[str, Any]]:
    """Title, mark and colours (on light and dark) of the arms whose maps there are, as the report has them.

    Their order is that of ``metrics.json``; arms that it lacks come last.
    """
    from pipeline.report import arms

    found = sorted({name.partition("/")[0] for name in opened.maps})
    try:
        reported = json.loads((opened.folder / "metrics.json").read_text(encoding="utf-8"))["arms"]
    except (OSError, ValueError, KeyError):  # not reported yet
        reported = []
    looks = arms.looks([*(arm for arm in reported if arm in found), *found])
    return {
        arm: {"name": arm, "title": look.title, "mark": look.mark, "colours": [look.colour, look.dark]}
        for arm, look in looks.items()
    }


class Service:
    """Answers to the page, as JSON values and pictures."""

    def __init__(self, data: Path, root: Path, compare: Mapping[str, Path], params: PatchWordsParams) -> None:
        """Open the datasets.

        Raises:
            UserError: a folder is missing or holds no datasets, or two sources have one name.
        """
        self._data, self._root, self._compare, self._params = data, root, dict(compare), params
        self._opened = Opened(data, compare, root)
        self._looked = time.monotonic()
        self._lock = threading.Lock()

    @property
    def now(self) -> Opened:
        """The datasets, opened again if a stage has replaced a table."""
        with self._lock:
            if time.monotonic() - self._looked > LOOK_EVERY:
                paths = (self._data, *self._compare.values())
                if self._opened.signature() != tuple(store.signature(path) for path in paths):
                    self._opened = Opened(self._data, self._compare, self._root)
                self._looked = time.monotonic()
            return self._opened

    def about(self) -> dict[str, Any]:
        """The dataset: its tables, what can be filtered by, what it is compared with."""
        opened = self.now
        index = opened.index
        return {
            "folder": str(self._data),
            "images": index.store.tables["images"].num_rows,
            "tables": facets.tables(index.store),
            "splits": facets.splits(index),
            "annotators": facets.annotators(index.store),
            "rejects": opened.reject_rows,
            "columns": expressions.names(SCHEMAS["patch_words"]),
            "compare": {
                member.name: {"folder": str(member.store.folder), "problems": member.store.problems}
                for member in opened.members[1:]
            },
            "grid_problem": opened.grids.problem,
            "problem": index.store.problems.get("images"),
        }

    def words(self, starting: str, limit: int) -> list[dict[str, Any]]:
        """The most frequent lemmas that start so, with the rows of ``patch_words`` that carry them."""
        wanted = starting.strip().lower()
        found = [(word, rows) for word, rows in self.now.words if word.startswith(wanted)]
        return [{"word": word, "rows": rows} for word, rows in found[: min(limit, MOST_WORDS)]]

    def gallery(self, filters: Filters, offset: int, limit: int) -> dict[str, Any]:
        """A stretch of the gallery (`gallery.page`)."""
        opened = self.now
        return gallery.page(opened.index, opened.grids, filters, offset, limit)

    def image(self, image_id: str, filters: Filters) -> dict[str, Any]:
        """One image (`scene.build`), and where it stands among those that the filters leave.

        Raises:
            UserError: there is no such image.
        """
        opened = self.now
        index = opened.index
        here = store.matching(index.store.table("images"), "image_id", [image_id])
        if not len(here):
            raise UserError(
                f"The dataset has no image {image_id!r}: mend the link, or look for it in the gallery."
            )
        row = int(here[0])
        found = scene.build(image_row(index.store, row), index.rejects_of(row), opened.members, self._params)
        images = index.select(filters).images
        place = int(np.searchsorted(images, row))
        inside = place < len(images) and images[place] == row
        after = place + 1 if inside else place
        found["row"] = row
        found["place"] = {
            "number": place if inside else None,
            "of": len(images),
            "previous": self._id(opened, images, place - 1),
            "next": self._id(opened, images, after),
        }
        return found

    def similarity(self, phrase_id: str) -> dict[str, Any]:
        """Names of a phrase's similarity maps, the limits of their colours, and where each map is highest."""
        opened = self.now
        maps = {
            name: found[0]
            for name, table in opened.index.store.maps.items()
            if (found := store.rows(table, "phrase_id", [phrase_id]))
        }
        values = {name: np.asarray(row["similarity"]) for name, row in maps.items()}
        looks = looks_of_arms(opened.index.store)
        return {
            "low": min((float(each.min()) for each in values.values()), default=None),
            "high": max((float(each.max()) for each in values.values()), default=None),
            "colours": similarity_colours(),
            "maps": [
                {
                    "name": name,
                    "arm": looks[name.partition("/")[0]],
                    "finetuned": name.endswith("_finetuned"),
                    "similarity": row["similarity"],
                    "coverage": row["coverage"],
                    "peak": int(values[name].argmax()),
                }
                for name, row in maps.items()
            ],
        }

    def similarity_picture(self, phrase_id: str, name: str) -> Encoded:
        """One of them, drawn."""
        opened = self.now
        return opened.pictures.similarity(opened.index.store, opened.grids, phrase_id, name)

    def overlay(self, phrase_id: str) -> Encoded:
        """A phrase on its patches, drawn to keep."""
        opened = self.now
        return opened.pictures.overlay(opened.index.store, opened.grids, phrase_id)

    def thumbnail(self, row: int, of: str) -> Encoded:
        """A small picture, if its digest begins with ``of``."""
        opened = self.now
        return opened.pictures.thumbnail(opened.index.store, row, of)

    def picture(self, row: int, of: str) -> Encoded:
        """A picture to look at, if its digest begins with ``of``."""
        opened = self.now
        return opened.pictures.view(opened.index.store, row, of)

    def rejects(self, stage: str, reason: str, offset: int, limit: int) -> dict[str, Any]:
        """What the stages left out (`listing.rejects`)."""
        return listing.rejects(self.now.index, stage, reason, offset, limit)

    @staticmethod
    def _id(opened: Opened, images: np.ndarray, place: int) -> str | None:
        return opened.index.image_ids[int(images[place])].as_py() if 0 <= place < len(images) else None
