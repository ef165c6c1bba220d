"""What a process of its own does to a folder that others write to at the same time."""

from pathlib import Path

from pipeline.grounding import kept
from pipeline.grounding.kept import Kept


def write(folder: str, who: int) -> list[bytes]:
    """Three hundred values that every writer has, ten at a time; what is kept under their keys."""
    store, found = Kept(Path(folder)), []
    for first in range(0, 300, 10):
        keys = [kept.key("a" * 64, number) for number in range(first, first + 10)]
        found += store.add({one: b"%d" % who for one in keys}).values()
    return found
