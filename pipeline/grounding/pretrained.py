"""What annotation sources that run a pretrained model share: loading, device, precision, errors, digest."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from pipeline.errors import UserError
from pipeline.tables import digests

if TYPE_CHECKING:
    import numpy as np
    import torch

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


class Parts(NamedTuple):
    """A detector of transformers' and what makes its input."""

    model: Any
    tokenizer: Any
    processor: Any


def load_detector(setting: str, place: str, kinds: tuple[str, ...], advice: str) -> Parts:
    """A detector of transformers' from the hub or a folder, ready to run.

    Raises:
        UserError: it cannot be loaded, or is a model of another kind than ``kinds``.
    """

    def loader() -> Parts:
        from transformers import (
            AutoConfig,
            AutoImageProcessor,
            AutoModelForZeroShotObjectDetection,
            AutoTokenizer,
        )

        check_architecture(setting, place, AutoConfig.from_pretrained(place).model_type, kinds)
        model = AutoModelForZeroShotObjectDetection.from_pretrained(place)
        return Parts(
            model.eval().to(device()),
            AutoTokenizer.from_pretrained(place),
            AutoImageProcessor.from_pretrained(place),
        )

    return load(setting, place, advice, loader)


def outputs(logits: torch.Tensor, boxes: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """A detector's logits as probabilities, and its boxes, float32 and of each image in a batch."""
    return logits.float().sigmoid().cpu().numpy(), boxes.float().cpu().numpy()


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
