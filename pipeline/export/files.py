"""Files that are written as rows come: JSON objects of long lists, JSON lists and lines."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO


def dumps(value: Any) -> str:
    """JSON on one line, letters as they are."""
    return json.dumps(value, ensure_ascii=False)


class JsonObject:
    """A JSON object whose members are long lists or long objects, written side by side and joined at the end.

    The file appears when the block ends without an error.
    """

    def __init__(self, path: Path, members: Sequence[str], **rest: Any) -> None:
        self._path = path
        self._rest = rest
        path.parent.mkdir(parents=True, exist_ok=True)
        self._files = {
            name: path.with_name(f"{path.name}.{name}").open("w", encoding="utf-8") for name in members
        }
        self._marks: dict[str, str] = {}

    def add(self, member: str, value: Any, key: str | None = None) -> None:
        """Append a value to a list, or under its key to an object."""
        file = self._files[member]
        file.write(",\n" if member in self._marks else "\n")
        self._marks[member] = "[]" if key is None else "{}"
        file.write(dumps(value) if key is None else f"{dumps(key)}: {dumps(value)}")

    def set(self, name: str, value: Any) -> None:
        """A short member, written at the end."""
        self._rest[name] = value

    def __enter__(self) -> JsonObject:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for file in self._files.values():
            file.close()
        if kind is None:
            with self._path.open("w", encoding="utf-8") as whole:
                self._join(whole)
        for file in self._files.values():
            Path(file.name).unlink()

    def _join(self, whole: TextIO) -> None:
        head = [f"{dumps(name)}: {dumps(value)}" for name, value in self._rest.items()]
        whole.write("{" + ",\n".join(head))
        for place, (name, file) in enumerate(self._files.items()):
            marks = self._marks.get(name, "[]")
            whole.write(f"{',' if head or place else ''}\n{dumps(name)}: {marks[0]}")
            with Path(file.name).open(encoding="utf-8") as part:
                shutil.copyfileobj(part, whole)
            whole.write(f"\n{marks[1]}")
        whole.write("}\n")


class JsonList:
    """A JSON list, a value a line."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("w", encoding="utf-8")
        self._file.write("[")
        self._mark = "\n"

    def add(self, value: Any) -> None:
        """Append a value."""
        self._file.write(f"{self._mark}{dumps(value)}")
        self._mark = ",\n"

    def __enter__(self) -> JsonList:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.write("\n]\n")
        self._file.close()


class JsonLines:
    """A JSON value a line."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("w", encoding="utf-8")

    def add(self, value: Any) -> None:
        """Append a value."""
        self._file.write(f"{dumps(value)}\n")

    def __enter__(self) -> JsonLines:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
