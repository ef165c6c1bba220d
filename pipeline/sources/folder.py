"""A folder of images, captioned by a .txt of the same name beside each or by one table.

Beside: every line of ``photos/cat.txt`` is a caption of ``photos/cat.jpg``. Table: a CSV with a header or a
JSONL file, with columns ``file`` and ``caption``; a file may have several rows.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.errors import UserError
from pipeline.params import SourceParams
from pipeline.sources.index import RowIndex
from pipeline.sources.listing import ListedSource, Listing, existing, in_folders
from pipeline.sources.pictures import file_below
from pipeline.sources.rows import Caption, Listed, printable, split_of
from pipeline.sources.stream import csv_records, json_lines, read_csv, read_json
from pipeline.tables import digests

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")
_TREE = "a folder of images with a .txt of the same name beside each, or a table (source.folder.table)"


def source(params: SourceParams) -> ListedSource:
    """The folder as a source."""
    is_table = params.folder.table is not None
    return ListedSource(params, inputs, _by_table if is_table else _beside, hashes_inputs=is_table)


def inputs(params: SourceParams) -> list[Path]:
    """The table, or the folders."""
    settings = params.folder
    if settings.table is not None:
        if Path(settings.table).suffix not in (".csv", ".jsonl"):
            raise UserError(f"source.folder.table: found {settings.table!r}; it must be a .csv or a .jsonl.")
        return existing(params.path, [settings.table], "source.folder.table", _TREE)
    folders = [params.path / name for name in settings.images if (params.path / name).is_dir()]
    if not folders:
        raise UserError(
            f"source.path is {params.path} and source.folder.images {settings.images}: there is no such "
            f"folder. Expected: {_TREE}."
        )
    return folders


def _walk(folder: Path) -> Iterator[tuple[str, list[str], list[str]]]:
    """As os.walk, in the order of names, without hidden folders; links to folders are not followed."""
    for path, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield path, folders, sorted(names)


def _beside(params: SourceParams) -> Listing:
    """Every picture in the folders, by path; pictures of one name beside one .txt share it."""
    settings, root = params.folder, params.path
    pictures: list[str] = []
    texts: set[str] = set()
    for name in settings.images:
        for folder, _, names in _walk(root / name):
            below = Path(folder).relative_to(root)
            for file in names:
                path = (below / file).as_posix()
                if not file.startswith(".") and Path(file).suffix.lower() in SUFFIXES:
                    pictures.append(path)
                elif file.endswith(".txt"):
                    texts.add(path)
    pictures = list(dict.fromkeys(pictures))
    used = {str(Path(path).with_suffix(".txt")) for path in pictures}
    loose = [
        (f"caption:{printable(path)}", "annotation_without_image", f"there is no picture beside {path}")
        for path in sorted(texts - used)
    ]

    def read(first: int, last: int) -> list[Listed]:
        listed = []
        for path in pictures[first:last]:
            item = _item(params, path, (path,))
            text = str(Path(path).with_suffix(".txt"))
            if text in texts:
                item.captions = [Caption(str(n), line) for n, line in enumerate(_lines(root, text))]
            listed.append(item)
        return listed

    captions = [[printable(path), _digest(root, path)] for path in sorted(texts)]
    return Listing(len(pictures), read, loose, captions, lambda: [(path,) for path in pictures])


def _digest(root: Path, path: str) -> str:
    try:
        return digests.of_file(file_below(root, path))
    except (OSError, UserError):
        return ""


def _lines(root: Path, path: str) -> list[str]:
    """The lines of a text file that hold anything; an empty one if it is empty, no text, or elsewhere."""
    try:
        lines = file_below(root, path).read_bytes().decode("utf-8-sig").splitlines()
    except (OSError, UserError, UnicodeDecodeError):
        return [""]
    return [line for line in lines if line.strip()] or [""]


def _by_table(params: SourceParams) -> Listing:
    """The pictures that the table names, in the order in which it first does."""
    settings = params.folder
    (path,) = inputs(params)
    is_csv = path.suffix == ".csv"
    index, loose = RowIndex(), []
    header: list[str] = []
    for number, element in enumerate(csv_records(path) if is_csv else json_lines(path)):
        row = element.value if isinstance(element.value, dict) else {}
        if is_csv and row:
            header = list(row)
            _check_columns(path, header)
        if isinstance(row.get("file"), str) and row["file"] and "caption" in row:
            index.add(row["file"], (0, element.start, element.end))
        else:
            message = f"{path.name}, row {number}: no file and caption ({str(element.value)[:200]})"
            loose.append((f"caption:{path.stem}/{number}", "row_unreadable", message))

    def read(first: int, last: int) -> list[Listed]:
        listed = []
        with path.open("rb") as file:
            for key, places in index.between(first, last):
                item = _item(params, key, in_folders(settings.images, key))
                for number, (_, start, end) in enumerate(places):
                    row: Any = read_csv(file, start, end, header) if is_csv else read_json(file, start, end)
                    item.captions.append(Caption(str(number), row["caption"] if row else None))
                listed.append(item)
        return listed

    def pictures() -> list[tuple[str, ...]]:
        return [in_folders(settings.images, key) for key in index.keys]

    return Listing(len(index), read, loose, pictures=pictures)


def _check_columns(path: Path, header: list[str]) -> None:
    if "file" not in header or "caption" not in header:
        raise UserError(f"{path} has the columns {', '.join(header)}; it takes `file` and `caption`.")


def _item(params: SourceParams, path: str, tried: tuple[str, ...]) -> Listed:
    settings = params.folder
    split = split_of(path, settings.test_share, settings.validation_share)
    return Listed(path, split, tried, is_captioned=settings.require_captions)
