"""An encoder's preprocessing, read from its own configuration files, as the fields of a `Geometry`.

Follows transformers 5.23 (``image_processing_backends.TorchvisionBackend``, ``LlavaImageProcessor``) and
open_clip 3.3 (``transform.image_transform``).
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from pipeline.errors import UserError

# What a processor does where its file says nothing.
_DEFAULTS: dict[str, dict[str, Any]] = {
    "CLIP": {"size": {"shortest_edge": 224}, "do_center_crop": True, "crop_size": 224},
    "Siglip": {"size": {"height": 224, "width": 224}, "do_center_crop": False},
    "Llava": {"size": {"shortest_edge": 224}, "do_center_crop": True, "crop_size": 224},
}
_KIND = re.compile(r"(CLIP|Siglip|Llava)(?:ImageProcessor(?:Fast|Pil)?|FeatureExtractor)")


def read_encoder(folder: Path) -> dict[str, Any]:
    """`read_settings` of a folder: a vision encoder's, or a whole LLaVA's.

    Raises:
        UserError: a file is missing or broken, the processor is not one of those known, or its settings
            make no input of one size.
    """
    path, found = folder / "preprocessor_config.json", {}
    whole = folder / "processor_config.json"
    if whole.exists() and not path.exists():
        path, found = whole, _read(whole).get("image_processor", {})
    return read_settings(path, found or _read(path), _read(folder / "config.json"))


def read_settings(path: Path, found: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
    """``fit``, ``resize``, ``input``, ``patch`` and ``crop`` of a transformers vision encoder.

    Args:
        path: where the settings come from, for errors.
        found: the image processor's settings.
        config: the model's.

    Raises:
        UserError: the processor is not one of those known, or its settings make no input of one size.
    """
    name = found.get("image_processor_type", found.get("feature_extractor_type"))
    match = _KIND.fullmatch(str(name))
    if match is None:
        raise UserError(
            f"{path}: image_processor_type is {name!r}; known are CLIPImageProcessor, "
            "SiglipImageProcessor and LlavaImageProcessor. Use an encoder with one of these, or teach "
            "pipeline/patches/processor.py another."
        )
    kind = match.group(1)
    settings = {**_DEFAULTS[kind], **{key: value for key, value in found.items() if value is not None}}
    fit, resize = _fit(path, settings, _pads(path, kind, settings, config))
    if settings["do_center_crop"]:
        size = _pair(path, "crop_size", settings["crop_size"])
    elif fit in ("stretch", "pad_to_square"):
        size = resize
    else:
        raise UserError(
            f"{path}: without a centre crop (do_center_crop: false), size {settings['size']} makes inputs of "
            "many sizes, so there is no one patch grid. Set do_center_crop, or size to {height, width}."
        )
    return {
        "fit": fit,
        "resize": resize,
        "input": size,
        "patch": _patch(path, config, size),
        "crop": "down",
    }


def read_open_clip(preprocess: dict[str, Any]) -> dict[str, Any]:
    """``fit``, ``resize``, ``input`` and ``crop`` of an open_clip preprocessing configuration.

    Raises:
        UserError: the resize mode is unknown.
    """
    size = preprocess["size"]
    height, width = (size, size) if isinstance(size, int) else (int(size[0]), int(size[-1]))
    mode = preprocess.get("resize_mode") or "shortest"
    fits = {"squash": "stretch", "longest": "contain"}
    # A square target takes torchvision's Resize, any other open_clip's own ResizeKeepRatio.
    fits["shortest"] = "shorter_side" if height == width else "cover"
    if mode not in fits:
        raise UserError(f"open_clip's resize_mode is {mode!r}; known are {', '.join(sorted(fits))}.")
    return {"fit": fits[mode], "resize": (height, width), "input": (height, width), "crop": "nearest"}


def _pads(path: Path, kind: str, settings: dict[str, Any], config: dict[str, Any]) -> bool:
    """Whether the image is padded to a square first, as LLaVA-1.5 does.

    transformers says so by ``do_pad`` of `LlavaImageProcessor`, the LLaVA authors' own checkpoints by
    ``image_aspect_ratio: pad`` beside a CLIP processor.
    """
    aspect = settings.get("image_aspect_ratio", config.get("image_aspect_ratio"))
    if aspect not in (None, "pad", "square"):
        raise UserError(
            f"{path.parent}: image_aspect_ratio is {aspect!r}, which makes several inputs of one image; "
            "use an encoder with pad or square."
        )
    if kind == "Llava":
        return bool(settings.get("do_pad")) or aspect == "pad"
    if settings.get("do_pad") and settings.get("pad_size"):
        raise UserError(
            f"{path}: do_pad with pad_size {settings['pad_size']} is not supported: remove pad_size, or use "
            "a LlavaImageProcessor with do_pad, which pads to a square."
        )
    return aspect == "pad"


def _fit(path: Path, settings: dict[str, Any], pad: bool) -> tuple[str, tuple[int, int]]:
    if not settings.get("do_resize", True):
        if pad:
            raise UserError(f"{path}: padding to a square needs do_resize: true; found false.")
        return "none", (0, 0)
    size = settings["size"]
    if isinstance(size, int):  # files older than transformers 4.26
        size = {"shortest_edge": size}
    if isinstance(size, dict):
        size = {key: value for key, value in size.items() if value is not None}
        if set(size) == {"shortest_edge"}:
            side = int(size["shortest_edge"])
            return ("pad_to_square" if pad else "shorter_side"), (side, side)
        if set(size) == {"height", "width"}:
            return ("pad_to_square" if pad else "stretch"), _pair(path, "size", size)
    raise UserError(f"{path}: size is {size!r}; known are {{shortest_edge}} and {{height, width}}.")


def _patch(path: Path, config: dict[str, Any], size: tuple[int, int]) -> tuple[int, int]:
    vision = config.get("vision_config", config)
    patch = vision.get("patch_size")
    if not isinstance(patch, int) or not 0 < patch <= min(size):
        raise UserError(
            f"{path.with_name('config.json')}: patch_size is {patch!r}; it has to be a whole number of "
            f"pixels, at most the input's side ({min(size)}). Is this the folder of a CLIP or SigLIP vision "
            "model?"
        )
    expected = vision.get("image_size")
    if isinstance(expected, int) and size != (expected, expected):
        raise UserError(
            f"{path.parent}: {path.name} makes inputs of {size[0]} x {size[1]}, but config.json's "
            f"image_size is {expected}. Give both files of one model."
        )
    return patch, patch


def _pair(path: Path, name: str, value: Any) -> tuple[int, int]:
    if isinstance(value, int):
        return value, value
    if isinstance(value, dict) and {"height", "width"} <= set(value):
        return int(value["height"]), int(value["width"])
    raise UserError(f"{path}: {name} is {value!r}; it has to be a number or {{height, width}}.")


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(
            f"{path} does not exist: it has to be there for the patch grid to be known. Run `dvc repro` to "
            "make the encoder, or mend its path."
        ) from error
    except ValueError as error:
        raise UserError(f"{path} is not valid JSON ({error}): fetch or make the encoder again.") from error
    if not isinstance(found, dict):
        raise UserError(
            f"{path} holds {type(found).__name__}, not an object: fetch or make the encoder again."
        )
    return found
