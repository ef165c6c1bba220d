"""Profiles: named sets of settings that ``params.yaml`` is switched to.

``profiles/embedded.yaml`` is whole; every other profile is an overlay that holds only what differs from it.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from pipeline import params
from pipeline.errors import UserError

FOLDER = Path("profiles")
BASE = "embedded"


def names(folder: Path = FOLDER) -> list[str]:
    """The profiles that there are, the base first."""
    others = sorted(path.stem for path in folder.glob("*.yaml") if path.stem != BASE)
    return [BASE, *others]


def text(name: str, folder: Path = FOLDER) -> str:
    """``params.yaml`` as the profile has it, comments included; the base byte for byte.

    Raises:
        UserError: there is no such profile, or it sets what does not exist or to a wrong value.
    """
    base = _read(folder / f"{BASE}.yaml")
    if name == BASE:
        return base
    if name not in names(folder):
        raise UserError(f"There is no profile {name!r}; there are {', '.join(names(folder))}.")
    overlay = _read(folder / f"{name}.yaml")
    laid = overlaid(base, {**(YAML().load(overlay) or {}), "profile": name})
    # Where the base's opening lines say what it is, the overlay's say what this is.
    about = "".join(line for line in overlay.splitlines(keepends=True) if line.startswith("#"))
    made = "".join(
        about if line.startswith(f"# This is the {BASE} profile") else line
        for line in laid.splitlines(keepends=True)
    )
    params.parse(params.tree(made), f"profiles/{name}.yaml")
    return made


def overlaid(text: str, overlay: Mapping[str, Any]) -> str:
    """YAML with other values laid over it, key by key; comments and layout are kept."""
    writer = YAML()
    writer.width = 110
    writer.preserve_quotes = True
    writer.representer.add_representer(type(None), lambda dumper, _: dumper.represent_scalar(_NULL, "null"))
    tree = writer.load(text)
    _keep_anchors(tree)
    _lay_over(tree, overlay)
    out = io.StringIO()
    writer.dump(tree, out)
    return out.getvalue()


def _keep_anchors(tree: Mapping[str, Any]) -> None:
    """Write anchors that nothing refers to yet, too: a user may."""
    for value in tree.values():
        if isinstance(value, CommentedMap):
            if value.yaml_anchor():
                value.yaml_set_anchor(value.yaml_anchor().value, always_dump=True)
            _keep_anchors(value)


def switch(name: str, file: Path = params.PARAMS_FILE, folder: Path = FOLDER, force: bool = False) -> None:
    """Make ``file`` the profile's.

    Raises:
        UserError: there is no such profile; or (unless ``force``, which does not read the file) the file
            holds settings that are in no profile and would be lost, or is no YAML.
    """
    new = text(name, folder)
    edited = edits(file, folder) if file.exists() and not force else []
    if edited:
        listed = "\n".join(f"  {key}: {value!r}, not {given!r}" for key, value, given in edited)
        raise UserError(
            f"{file} has settings of your own, which switching to {name} would lose:\n{listed}\n"
            "Keep them elsewhere (git commit, or a profile of your own), or add --force."
        )
    file.write_text(new, encoding="utf-8")


def edits(file: Path = params.PARAMS_FILE, folder: Path = FOLDER) -> list[tuple[str, Any, Any]]:
    """Settings in ``file`` that are not its profile's: key, value found, value of the profile.

    Raises:
        UserError: it is no YAML.
    """
    try:
        found = params.tree(_read(file))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(
            f"{file} is not valid YAML, so what of it would be lost is not known: {error}\n"
            "Mend it, or add --force to replace it as it is."
        ) from error
    label = found.get("profile") if isinstance(found, dict) else None
    if label not in names(folder):
        return [("profile", label, BASE)]
    mine, theirs = dict(_leaves(found)), dict(_leaves(params.tree(text(label, folder))))
    keys = sorted({*mine, *theirs})
    return [(key, mine.get(key), theirs.get(key)) for key in keys if mine.get(key) != theirs.get(key)]


_NULL = "tag:yaml.org,2002:null"


def _lay_over(tree: Any, overlay: Mapping[str, Any]) -> None:
    for key, value in overlay.items():
        if isinstance(value, Mapping) and isinstance(tree.get(key), Mapping):
            _lay_over(tree[key], value)
        else:
            tree[key] = value


def _leaves(tree: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(tree, Mapping) and tree:
        for key, value in tree.items():
            yield from _leaves(value, f"{path}.{key}" if path else str(key))
    else:
        yield path, tree


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise UserError(f"There is no {path}: run the command in the project's root folder.") from error
