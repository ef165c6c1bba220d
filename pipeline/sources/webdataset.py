"""WebDataset shards: .tar files whose members of one name are a sample.

``000017.jpg`` (or .jpeg, .png, .webp) is the picture, ``000017.txt`` its caption; without a .txt,
``000017.json`` has the caption, or a list of them, under a key. A name ends at the first dot of its last
part. Members of a sample stand together; other kinds of member are passed over. Nothing is ever unpacked:
pictures are read from where they lie in the tar, and kept as bytes in the table ``images``.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

from pipeline.errors import UserError
from pipeline.params import SourceParams
from pipeline.sources.index import Place, RowIndex
from pipeline.sources.listing import ListedSource, Listing
from pipeline.sources.reasons import UnusableRowError
from pipeline.sources.rows import Caption, Listed, Reject, printable, split_of
from pipeline.sources.stream import CutShortError

KINDS = {"jpg": 0, "jpeg": 0, "png": 0, "webp": 0, "txt": 1, "json": 2}
_PICTURE, _TEXT, _JSON = 0, 1, 2
_BLOCK = 512
_TREE = "00000.tar, 00001.tar, ... of <name>.jpg (.png, .webp) with <name>.txt or <name>.json"


def source(params: SourceParams) -> ListedSource:
    """The tars as a source."""
    # The listing covers names, sizes and texts: hashing the pictures too would read all of the dataset.
    return ListedSource(params, inputs, listing, hashes_inputs=False)


def inputs(params: SourceParams) -> list[Path]:
    """The tars, by name."""
    pattern = params.webdataset.shards
    if Path(pattern).is_absolute() or ".." in Path(pattern).parts:
        raise UserError(f"source.webdataset.shards: found {pattern!r}; it must lie below source.path.")
    found = sorted(path for path in params.path.glob(pattern) if path.is_file())
    if not found:
        raise UserError(
            f"source.path is {params.path}, and no file there is named like source.webdataset.shards, "
            f"{pattern!r}. Expected: {_TREE}."
        )
    return found


def listing(params: SourceParams) -> Listing:
    """The samples, in the order of the tars."""
    settings = params.webdataset
    paths = inputs(params)
    index = RowIndex()
    loose: list[Reject] = []
    digest = hashlib.sha256()
    for number, path in enumerate(paths):
        _index(number, path, index, loose, digest.update)

    def read(first: int, last: int) -> list[Listed]:
        listed = []
        for key, places in index.between(first, last):
            split = split_of(key, settings.test_share, settings.validation_share)
            item = Listed(key, split, is_captioned=settings.require_captions)
            members = {place[0] % 3: (paths[place[0] // 3], place) for place in places}
            item.content = _reader(*members[_PICTURE])
            if _TEXT in members:
                text = _reader(*members[_TEXT])().decode("utf-8", "surrogateescape")
                item.captions.append(Caption("0", text.strip()))
            elif _JSON in members:
                _add_captions(item, _reader(*members[_JSON])(), settings.caption)
            listed.append(item)
        return listed

    return Listing(len(index), read, loose, digest.hexdigest())


def _reader(path: Path, place: Place) -> Callable[[], bytes]:
    def read() -> bytes:
        try:
            with path.open("rb") as file:
                file.seek(place[1])
                return file.read(place[2] - place[1])
        except OSError as error:
            message = f"{path.name} cannot be read: {error.strerror}"
            raise UnusableRowError("image_missing", message) from error

    return read


def _add_captions(item: Listed, data: bytes, key: str) -> None:
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        message = f"the .json of {item.image_id} is no JSON object"
        item.rejects.append((f"caption:{item.image_id}/c0", "row_unreadable", message))
        return
    given = content.get(key)
    texts = given if isinstance(given, list) else [given]
    item.captions = [Caption(str(number), text) for number, text in enumerate(texts)]


def _index(
    number: int, path: Path, index: RowIndex, loose: list[Reject], note: Callable[[bytes], object]
) -> None:
    """Note a tar's samples; ``note`` is fed what the digest has to cover."""
    sample: dict[int, tuple[int, int]] = {}
    current = ""

    def close() -> None:
        if _PICTURE in sample and current not in index:
            for kind, (start, end) in sample.items():
                index.add(current, (number * 3 + kind, start, end))
        elif _PICTURE in sample:
            message = f"{path.name}: the name is taken by an earlier sample, which is kept"
            loose.append((f"image:{printable(current)}", "duplicate_image_id", message))
            loose.extend(_of(sample, current, "image_rejected", message))
        else:
            message = f"{path.name}: no picture stands beside it"
            loose.extend(_of(sample, current, "annotation_without_image", message))

    try:
        for member in _members(path):
            head, _, last = member.name.rpartition("/")
            name, _, suffix = last.partition(".")
            key, kind = f"{head}/{name}" if head else name, KINDS.get(suffix.lower())
            note(repr((member.name, member.size, member.mtime)).encode("utf-8", "surrogatepass"))
            if kind is None or member.isdir() or not name:
                continue
            if key != current:
                close()
                sample, current = {}, key
            if not member.isfile():
                message = f"{path.name}: {member.name!r} is a link, not a file"
                kept = "image" if kind == _PICTURE else "caption"
                loose.append((f"{kept}:{printable(key)}", "row_unreadable", message))
            elif kind in sample and kind != _JSON:
                message = f"{path.name}: the sample has another {suffix}; the first is kept"
                what, reason = "caption", "duplicate_annotation_id"
                if kind == _PICTURE:
                    what, reason = "image", "duplicate_image_id"
                loose.append((f"{what}:{printable(key)}", reason, message))
            else:
                sample[kind] = (member.offset_data, member.offset_data + member.size)
                if kind != _PICTURE:
                    note(_reader(path, (0, *sample[kind]))())
    except CutShortError as error:
        loose.append((f"file:{path.name}", "file_cut_short", str(error)))
    close()


def _of(sample: dict[int, tuple[int, int]], key: str, reason: str, message: str) -> list[Reject]:
    """The reject of the caption of a sample that has no place, if it has one."""
    has_caption = _TEXT in sample or _JSON in sample
    return [(f"caption:{printable(key)}/c0", reason, message)] if has_caption else []


def _members(path: Path) -> Iterator[tarfile.TarInfo]:
    """The members of a tar that are whole, in order.

    Raises:
        CutShortError: the tar is cut short, damaged or compressed; what stands before was given.
    """
    size = path.stat().st_size
    offset = 0
    try:
        with tarfile.open(path, "r:") as tar:
            while member := tar.next():
                tar.members = []  # type: ignore[attr-defined]  # tarfile keeps all of them, which are many
                if member.offset_data + (member.size if member.isfile() else 0) > size:
                    raise CutShortError(path, member.offset, f"{member.name!r} goes on past the end")
                yield member
                offset = tar.offset
            offset = tar.offset
    except (tarfile.TarError, OSError, ValueError, OverflowError, EOFError) as error:
        if isinstance(error, CutShortError):
            raise
        raise CutShortError(path, offset, f"{error}; .tar.gz has to be unpacked to .tar first") from error
    with path.open("rb") as file:
        file.seek(offset)
        if file.read(_BLOCK) != bytes(_BLOCK):  # tarfile takes any end for the end
            raise CutShortError(path, offset, "the mark of the end is missing")
