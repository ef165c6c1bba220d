"""Annotation files of any size, read as a stream: where each row lies, and one row at a time.

What is kept of a file is where its rows begin and end (byte offsets), so that a shard reads its own rows and
nothing else.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

_PIECE = 1 << 20  # bytes read at a time
_LARGEST = 1 << 26  # bytes of one row of a JSON file; what is larger is taken for damage
_GOES_ON = 4  # a number may go on for so many characters ("e+1") before it reads as another number
_SPACE = " \t\n\r"


class Element(NamedTuple):
    """An element of a list in a JSON file, a line of a JSONL file or a record of a CSV file."""

    list_name: str
    """The key that the list is under; empty for a file that is one list, and for lines."""
    start: int
    end: int
    """The element's bytes in the file."""
    value: Any
    """None if it cannot be read."""


class CutShortError(ValueError):
    """From ``offset`` (bytes) on, the file cannot be read."""

    def __init__(self, path: Path, offset: int, found: str) -> None:
        super().__init__(
            f"{path.name} cannot be read from byte {offset} on ({found}): fetch or copy it again"
        )
        self.offset = offset


def json_elements(path: Path, kinds: dict[str, str] | None = None) -> Iterator[Element]:
    """The elements of a JSON file's lists, in order: of the list that it is, or of the object's lists.

    ``kinds`` is filled with the object's keys and the first character of each one's value: ``[`` is a list.

    Raises:
        CutShortError: the file is cut short or damaged; everything before was given.
    """
    with path.open("rb") as file:
        window = _Window(path, file)
        first = window.next_mark()
        if first == "[":
            yield from _elements(window, "")
        elif first == "{":
            if window.next_mark() == "}":
                return
            window.back()
            while True:
                name = window.value()[2]
                window.expect(":")
                mark = window.next_mark()
                if kinds is not None:
                    kinds[str(name)] = mark
                if mark == "[":
                    yield from _elements(window, str(name))
                else:
                    window.back()
                    window.value()
                if window.expect(",}") == "}":
                    return
        else:
            raise window.cut("it starts with neither [ nor {")


def json_lines(path: Path) -> Iterator[Element]:
    """The lines of a JSONL file; blank ones are passed over."""
    with path.open("rb") as file:
        start = 0
        for line in file:
            end = start + len(line)
            if line.strip():
                yield Element("", start, end, _parse(line))
            start = end


def csv_records(path: Path) -> Iterator[Element]:
    """The records of a CSV file with a header, as dicts; one with too few or too many columns is None."""
    with path.open("rb") as file:
        place = 0

        def lines() -> Iterator[str]:
            nonlocal place
            for line in file:
                place += len(line)
                yield line.decode("utf-8-sig" if place == len(line) else "utf-8", "surrogateescape")

        reader = csv.reader(lines())
        header: list[str] | None = None
        record: list[str] | None
        start = 0
        while True:
            try:
                record = next(reader)
            except StopIteration:
                return
            except csv.Error:  # a NUL character, a field larger than the module takes
                record = None
            if header is None:
                header = record or []
            elif record is None or len(record) != len(header):
                if record != []:  # a blank line
                    yield Element("", start, place, None)
            else:
                yield Element("", start, place, dict(zip(header, record, strict=True)))
            start = place


def read_json(file: BinaryIO, start: int, end: int) -> Any:
    """The JSON value at some bytes of a file; None if it cannot be read."""
    file.seek(start)
    return _parse(file.read(end - start))


def read_csv(file: BinaryIO, start: int, end: int, header: Sequence[str]) -> dict[str, str] | None:
    """The record at some bytes of a CSV file; None if it does not fit the header."""
    file.seek(start)
    text = file.read(end - start).decode("utf-8", "surrogateescape")
    try:
        record = next(csv.reader(io.StringIO(text, newline="\n")), [])
    except csv.Error:
        return None
    return dict(zip(header, record, strict=True)) if len(record) == len(header) else None


def _parse(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _elements(window: _Window, name: str) -> Iterator[Element]:
    if window.next_mark() == "]":
        return
    window.back()
    while True:
        yield Element(name, *window.value())
        if window.expect(",]") == "]":
            return


class _Window:
    """The part of a JSON file that is being read.

    Bytes are taken for Latin-1 characters: JSON's own marks are ASCII, so places in the text are places in
    the file, whatever the strings hold.
    """

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._path, self._file = path, file
        self._text, self._base, self._at = "", 0, 0
        self._decoder = json.JSONDecoder()
        if file.read(3) != b"\xef\xbb\xbf":  # a byte order mark, which Windows programs put first
            file.seek(0)
        self._base = file.tell()

    def cut(self, found: str) -> CutShortError:
        """The error that says that nothing can be read from here on."""
        return CutShortError(self._path, self._base + self._at, found)

    def next_mark(self) -> str:
        """The next character that is no space, passed."""
        while True:
            while self._at < len(self._text):
                mark = self._text[self._at]
                self._at += 1
                if mark not in _SPACE:
                    return mark
            if not self._more():
                raise self.cut("it ends here")

    def back(self) -> None:
        """Take back the mark that was passed last."""
        self._at -= 1

    def expect(self, marks: str) -> str:
        """The next mark, which has to be one of some."""
        mark = self.next_mark()
        if mark not in marks:
            self.back()
            raise self.cut(f"it goes on with {mark!r} where {' or '.join(marks)} belongs")
        return mark

    def value(self) -> tuple[int, int, Any]:
        """The value that comes next: first byte, one past its last byte, and itself."""
        self.next_mark()
        self.back()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                # Damage well inside the text is damage; at its end it may be that more has to be read.
                is_open = error.msg.startswith("Unterminated") or error.pos >= len(self._text) - 16
                if not is_open or len(self._text) - self._at > _LARGEST or not self._more():
                    raise self.cut(error.msg) from error
                continue
            except RecursionError as error:
                raise self.cut("it is nested too deeply") from error
            if end > len(self._text) - _GOES_ON and self._more():
                continue
            text, start = self._text[self._at : end], self._base + self._at
            self._at = end
            # Letters beyond ASCII were read as Latin-1: read them for what they are.
            return start, self._base + end, value if text.isascii() else _parse(text.encode("latin-1"))

    def _more(self) -> bool:
        """Read on, more each time that one value asks for it; False at the end of the file."""
        data = self._file.read(max(_PIECE, len(self._text) - self._at))
        if not data:
            return False
        self._text = self._text[self._at :] + data.decode("latin-1")
        self._base += self._at
        self._at = 0
        return True
