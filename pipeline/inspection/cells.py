"""A row's values in a few characters each, for a terminal."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

SHOWN_PATCHES = 5
SHOWN_DIGITS = 12
_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")


def bytes_in_words(count: int) -> str:
    """A number of bytes as people say it: ``301.4 MiB``."""
    size = float(count)
    for unit in _UNITS:
        if size < 1024 or unit == _UNITS[-1]:
            break
        size /= 1024
    return f"{int(size)} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"


def number(value: float) -> str:
    """A number with no more digits than it needs, at most three after the point."""
    if float(value).is_integer():
        return f"{int(value):,}"
    return f"{value:.3f}".rstrip("0").rstrip(".") or "0"


def shown(row: Mapping[str, Any], root: Path | None = None) -> dict[str, str]:
    """A row as short texts by column.

    Ids that nest in the row's own are shortened to what they add (``r0``); of patches the first few are
    given, then how many more; of coverage and similarity the smallest and the largest.

    Args:
        row: a row of one of the tables.
        root: the folder below which pictures lie, to say which are missing; None: do not look.
    """
    own = next((row[name] for name in ("phrase_id", "region_id", "object_id") if name in row), None)
    return {name: _cell(name, value, own, root) for name, value in row.items()}


def _cell(name: str, value: Any, own: str | None, root: Path | None) -> str:
    if value is None:
        return "–"
    if name == "image":
        return picture(value, root)
    if name == "sha256":
        return f"{value[:SHOWN_DIGITS]}…"
    if name == "mask":
        return mask(value)
    if name in ("box", "predicted_box"):
        return box(value)
    # Of patch_labels they are words alone, one a patch.
    if name == "words" and all(isinstance(each, Mapping) for each in value):
        return " ".join(word["text"] for word in value)
    if name == "turns":
        return " / ".join(turn["text"] for turn in value)
    if name in ("grid", "shape"):
        return " × ".join(map(str, value))
    if name == "region_ids":
        return " ".join(each.removeprefix(f"{own}/") for each in value)
    if name == "phrase" and not isinstance(value, str):
        return " ".join(
            f"{span['caption_id'].rsplit('/')[-1]}:{span['start']}–{span['end']}" for span in value
        )
    if isinstance(value, bytes):
        return bytes_in_words(len(value))
    if isinstance(value, float):
        return f"{value:.2f}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return _several(value)
    return str(value)


def _several(values: Sequence[Any]) -> str:
    if len(values) > 1 and all(isinstance(each, float) for each in values):
        return f"{min(values):.2f} to {max(values):.2f}"
    texts = list(map(str, values))
    if len(texts) <= SHOWN_PATCHES + 1:
        return " ".join(texts)
    return f"{' '.join(texts[:SHOWN_PATCHES])} +{len(texts) - SHOWN_PATCHES}"


def box(value: Sequence[float]) -> str:
    """A box as its corners, x0,y0–x1,y1 in pixels."""
    x0, y0, x1, y1 = (number(round(edge, 1)).replace(",", "") for edge in value)
    return f"{x0},{y0}–{x1},{y1}"


def mask(value: Mapping[str, Any]) -> str:
    """A mask as the number of its pixels."""
    from pipeline.tables import masks

    return f"{masks.area(dict(value)):,} px"


def picture(value: Mapping[str, Any], root: Path | None = None) -> str:
    """A value of the ``image`` column: how many bytes, or which path, and whether that is missing."""
    if value.get("bytes") is not None:
        return bytes_in_words(len(value["bytes"]))
    path = value.get("path") or ""
    is_missing = root is not None and not (root / path).is_file()
    return f"{path} (missing)" if is_missing else path


def plain(value: Any) -> Any:
    """A value that JSON can hold: masks' runs as COCO's text, other bytes in base64."""
    if isinstance(value, Mapping):
        if set(value) == {"size", "counts"} and value["counts"] is not None:
            return {"size": list(value["size"]), "counts": value["counts"].decode("ascii")}
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    return value
