"""What annotation sources that run a pretrained model share: device, precision, errors, digest."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from threading import RLock
from typing import Any, TypeVar

from pipeline.errors import UserError
from pipeline.tables import digests

# Shards may run in threads: one of them loads a model, and models and their tokenizers serve one at a time
# (a fast tokenizer that two threads use at once raises "Already borrowed").
LOCK = RLock()

Loaded = TypeVar("Loaded")


def device() -> str:
    """``cuda`` where there is one, otherwise ``cpu``."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def half_precision() -> AbstractContextManager[Any]:
    """Half precision where it pays: on a GPU."""
    import torch

    return torch.autocast("cuda", dtype=torch.float16) if device() == "cuda" else nullcontext()


def digest_of(place: str | None) -> str:
    """Digest of a file's or a folder's content; of anything else, such as a hub name, its name."""
    path = Path(place or "")
    if place and path.is_dir():
        return digests.of_files(path)
    return digests.of_file(path) if place and path.is_file() else str(place)


def load(setting: str, place: str, advice: str, loader: Callable[[], Loaded]) -> Loaded:
    """What the loader gives, with an error that names the setting.

    Raises:
        UserError: the loader failed: no such folder, no network, files of another model.
    """
    try:
        return loader()
    except UserError:
        raise
    except Exception as error:  # the loaders of several libraries raise whatever they do
        raise UserError(f"{setting}: {place!r} cannot be loaded ({error}). {advice}") from error


def check_architecture(setting: str, place: str, found: str, wanted: tuple[str, ...]) -> None:
    """Refuse a model of another architecture.

    Raises:
        UserError: ``found`` is none of ``wanted``.
    """
    if found not in wanted:
        raise UserError(
            f"{setting}: {place!r} is a model of type {found!r}; this source runs {' or '.join(wanted)}."
        )


def check_template(setting: str, template: str) -> None:
    """Refuse a template of a text without a place for the phrase.

    Raises:
        UserError: there is no ``{}``.
    """
    if "{}" not in template:
        raise UserError(f"{setting}: found {template!r}; it needs {{}} where the phrase goes.")
