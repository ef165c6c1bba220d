"""Reading other people's models: weights as safetensors or plain tensors, never code.

Remote code is off: a folder that brings its own classes is refused unless transformers has the class itself,
and then transformers' is taken. Torch files are read with ``weights_only=True``, so a pickle that holds
anything but tensors is refused and nothing of it runs.
"""

from __future__ import annotations

import pickle
from typing import Any

from pipeline.errors import UserError

_WEIGHTS = {"weights_only": True}


def load(setting: str, what: str, place: Any, auto: Any, **options: Any) -> Any:
    """What an ``Auto...`` class of transformers makes of a hub name or a folder, without running its code.

    Args:
        setting: the setting that named the place, for the error.
        what: what is looked for, in words.
        place: hub name or folder.
        auto: a class with ``from_pretrained``.
        options: passed on.

    Raises:
        UserError: there is no such model, it needs code of its own, or its weights are no plain tensors.
    """
    if "Model" in auto.__name__ or "ForC" in auto.__name__:
        options = {**_WEIGHTS, **options}
    try:
        return auto.from_pretrained(place, trust_remote_code=False, **options)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{setting}: the weights in {place} hold more than tensors and were not read ({_first(error)}). "
            "Give them as safetensors."
        ) from error
    except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
        advice = ""
        if "trust_remote_code" in str(error):
            advice = " Code that comes with a model is never run: use a model that transformers knows."
        raise UserError(
            f"{setting}: no {what} could be loaded from {place}: {_first(error)}{advice}"
        ) from error


def _first(error: Exception) -> str:
    """An error's text as one paragraph, no longer than a screen."""
    return " ".join(str(error).split())[:600]
