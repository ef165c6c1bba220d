"""What a form sets: values for ``params.yaml``, written into it or handed to an experiment."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

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
    """What `dvc exp run -S` takes to get from one ``params.yaml`` to another: a ``key=value`` a change."""
    before, after = leaves(tree(old)), leaves(tree(new))
    return [f"{key}={written(value)}" for key, value in after.items() if before.get(key) != value]


def tree(text: str) -> Any:
    """The settings in a ``params.yaml``'s text."""
    return yaml.safe_load(text)


def leaves(tree: Any, path: str = "") -> dict[str, Any]:
    """Every value of nested settings by its dotted key; lists, and mappings of file names, are values."""
    if not isinstance(tree, Mapping) or not tree or not all(str(key).isidentifier() for key in tree):
        return {path: tree}
    found: dict[str, Any] = {}
    for key, value in tree.items():
        found |= leaves(value, f"{path}.{key}" if path else str(key))
    return found


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
