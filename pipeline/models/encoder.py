"""The vision encoder: the embedded profile's small CLIP, and the towers of transformers that can be loaded.

Shapes: B images, N patches, W width of the tower.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn
from transformers import AutoConfig, AutoImageProcessor, AutoModel

from pipeline.errors import UserError
from pipeline.models import pretrained
from pipeline.params import TrainedEncoderParams

# CLIP's own normalisation (Radford et al., 2021), which open_clip and transformers share.
PIXEL_MEAN = (0.48145466, 0.4578275, 0.40821073)
PIXEL_STD = (0.26862954, 0.26130258, 0.27577711)
TEXT_CONTEXT = 40
HEAD_WIDTH = 32

# Model types of transformers, whole models and towers alone, with the tokens before the patches.
_CLASS_TOKENS = {"clip": 1, "clip_vision_model": 1, "siglip": 0, "siglip_vision_model": 0}
USABLE = (
    "CLIP, SigLIP and SigLIP 2 of one input size can be used (encoder.name: pretrained), and any ViT of "
    "open_clip's own (encoder.name: open_clip)"
)
"""Which encoders can be used, for errors."""


def open_clip_config(params: TrainedEncoderParams, image_size: int, vocabulary: int, eos: int) -> dict:
    """The architecture, in the form of open_clip's ``model_cfg``.

    The image embedding is the mean of the patch tokens, so that captions reach every patch; no patch is ever
    given a label.
    """
    return {
        "embed_dim": params.embed_dim,
        "vision_cfg": {
            "image_size": image_size,
            "patch_size": params.patch_size,
            "width": params.width,
            "layers": params.layers,
            "head_width": HEAD_WIDTH,
            "pool_type": "avg",
            "pos_embed_type": "sin_cos_2d",
        },
        "text_cfg": {
            "context_length": TEXT_CONTEXT,
            "vocab_size": vocabulary,
            "hf_tokenizer_name": "local",
            "tokenizer_kwargs": {"clean": "whitespace"},
            "width": params.width,
            "heads": params.width // HEAD_WIDTH,
            "layers": params.layers,
            "pool_type": "eos",
            "eos_id": eos,
            "pad_id": 0,
        },
    }


def image_processor(image_size: int):
    """A trained encoder's preprocessing: shorter side resized, centre crop, CLIP's mean and std."""
    from transformers import CLIPImageProcessor

    return CLIPImageProcessor(
        size={"shortest_edge": image_size},
        crop_size={"height": image_size, "width": image_size},
        image_mean=list(PIXEL_MEAN),
        image_std=list(PIXEL_STD),
    )


def save_open_clip(model: nn.Module, config: dict, tokenizer, folder: Path) -> None:
    """Save a trained open_clip model in its ``local-dir`` layout, tokenizer included."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    preprocess = {"mean": list(PIXEL_MEAN), "std": list(PIXEL_STD), "interpolation": "bicubic"}
    (folder / "open_clip_config.json").write_text(
        json.dumps({"model_cfg": config, "preprocess_cfg": preprocess}, indent=2) + "\n"
    )
    weights = {name: value.contiguous() for name, value in model.state_dict().items()}
    save_file(weights, folder / "open_clip_model.safetensors")
    tokenizer.save_pretrained(folder)


def load(path: str | Path):
    """A vision tower and its image processor, frozen, from a folder or a hub name (remote code stays off).

    Returns:
        (model, processor). The model's hidden states are (B, `class_tokens` + N, W), in float32.

    Raises:
        UserError: the path holds no vision model, or one whose tokens are not a fixed grid of patches.
    """
    config = pretrained.load("encoder", "vision model", path, AutoConfig)
    if config.model_type not in _CLASS_TOKENS:
        raise UserError(
            f"encoder: {path} holds a {config.model_type} model; {USABLE}. "
            "SigLIP 2 comes in both forms: take a checkpoint that names its size, not a NaFlex one"
        )
    # float32 whatever the file holds: the tower is frozen, and half precision is the caller's to ask for.
    model = pretrained.load("encoder", "vision model", path, AutoModel, dtype=torch.float32)
    processor = pretrained.load("encoder", "image processor", path, AutoImageProcessor)
    tower = model.vision_model if hasattr(config, "vision_config") else model
    return tower.eval().requires_grad_(False), processor


def class_tokens(config) -> int:
    """Tokens that a tower of this configuration puts before its patches: CLIP one, SigLIP none."""
    return _CLASS_TOKENS[config.model_type]


def patch_count(config) -> int:
    """N, the patches of a tower's square input; a remainder that fills no patch is seen by none."""
    return (config.image_size // config.patch_size) ** 2


@torch.inference_mode()
def patch_tokens(tower: nn.Module, pixels: torch.Tensor, layers: Sequence[int]) -> torch.Tensor:
    """Patch tokens (B, N, W * layers) of some hidden states side by side, for pixels (B, 3, H, W).

    A class token is dropped, as ``vision_feature_select_strategy: default`` does in LLaVA.
    """
    hidden = tower(pixel_values=pixels, output_hidden_states=True).hidden_states
    first = class_tokens(tower.config)
    return torch.cat([hidden[layer][:, first:] for layer in layers], dim=-1)
