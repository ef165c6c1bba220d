"""What a form sets: values for ``params.yaml``, written into it or handed to an experiment."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline import params, profiles

Edits = Mapping[str, Any]
"""Dotted keys of ``params.yaml`` and their new values."""


def edited(edits: Edits, profile: str | None = None, file: Path = params.PARAMS_FILE) -> str:
    """``params.yaml`` with a form's values, comments and layout kept.

    Args:
        edits: what the form sets.
        profile: the profile to start from; none: the file as it is.
        file: the settings of the workspace.

    Raises:
        UserError: there is no such profile or setting, or a value is wrong.
    """
    text = profiles.text(profile, file.parent / profiles.FOLDER) if profile else file.read_text("utf-8")
    if not edits:
        return text
    made = profiles.overlaid(text, _nested(edits))
    params.parse(tree(made), f"{file.name} with the form's values")
    return made


def overrides(old: str, new: str) -> list[str]:
    """What `dvc exp run -S` takes to get from one ``params.yaml`` to another.

    In Hydra's grammar: ``key=value`` for what is changed, ``+key=value`` for what is new, ``~key`` for what
    is gone.
    """
    return list(_changes(tree(old), tree(new)))


def with_changes(text: str, edits: Edits) -> list[str]:
    """As `overrides`: what gets from a ``params.yaml`` to the same with ``edits``."""
    before = tree(text)
    after = copy.deepcopy(before)
    for key, value in edits.items():
        *path, last = key.split(".")
        inner = after
        for name in path:
            inner = inner.setdefault(name, {})
        inner[last] = value
    return list(_changes(before, after))


def _changes(before: Any, after: Any, path: str = "") -> Iterator[str]:
    for key in sorted(before.keys() - after.keys()):
        yield from _gone(before[key], f"{path}{key}")
    for key, value in after.items():
        if key not in before:
            yield f"+{path}{key}={written(value)}"
        elif before[key] != value:
            if _is_section(before[key]) and _is_section(value):
                yield from _changes(before[key], value, f"{path}{key}.")
            elif isinstance(before[key], Mapping):
                # Hydra would add another mapping to it, and refuse a list.
                yield f"~{path}{key}"
                yield f"+{path}{key}={written(value)}"
            else:
                yield f"{path}{key}={written(value)}"


def _gone(value: Any, key: str) -> Iterator[str]:
    if value is None:
        yield f"{key}=0"  # Hydra takes what is null for what is not there
    yield f"~{key}"


def tree(text: str) -> Any:
    """The settings in a ``params.yaml``'s text."""
    return params.tree(text)


def leaves(tree: Any, path: str = "") -> dict[str, Any]:
    """Every value of nested settings by its dotted key; lists, and mappings of file names, are values."""
    if not _is_section(tree):
        return {path: tree}
    found: dict[str, Any] = {}
    for key, value in tree.items():
        found |= leaves(value, f"{path}.{key}" if path else str(key))
    return found


def _is_section(value: Any) -> bool:
    """Whether its keys are names of settings, and not of files."""
    return isinstance(value, Mapping) and bool(value) and all(str(key).isidentifier() for key in value)


def _nested(edits: Edits) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for key, value in edits.items():
        *path, last = key.split(".")
        inner = nested
        for name in path:
            inner = inner.setdefault(name, {})
        inner[last] = value
    return nested


def written(value: Any) -> str:
    """A value in Hydra's grammar: JSON but for strings, whose only escapes are of quotes."""
    if isinstance(value, str):
        # Backslashes count as they are, but for those before a quote, which are doubled.
        inner = re.sub(r"(\\*)'", r"\1\1\'", value)
        return "'" + re.sub(r"(\\+)$", r"\1\1", inner) + "'"
    if isinstance(value, list):
        return "[" + ",".join(written(one) for one in value) + "]"
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{written(one)}" for key, one in value.items()) + "}"
    return json.dumps(value)
