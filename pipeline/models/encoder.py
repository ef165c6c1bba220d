"""The vision encoder: a small CLIP of open_clip's, its tower as transformers' CLIP vision model, and loading.

Shapes: B images, N patches, W width of the tower.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn
from transformers import AutoConfig, AutoImageProcessor, AutoModel, CLIPVisionConfig, CLIPVisionModel

from pipeline.errors import UserError
from pipeline.params import TrainedEncoderParams

if TYPE_CHECKING:
    from open_clip.transformer import VisionTransformer

# CLIP's own normalisation (Radford et al., 2021), which open_clip and transformers share.
PIXEL_MEAN = (0.48145466, 0.4578275, 0.40821073)
PIXEL_STD = (0.26862954, 0.26130258, 0.27577711)
TEXT_CONTEXT = 40
HEAD_WIDTH = 32


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


def to_transformers(
    visual: VisionTransformer, image_size: int, patch_size: int, projection: int
) -> CLIPVisionModel:
    """An open_clip ``VisionTransformer`` as transformers' ``CLIPVisionModel``, weights and all.

    Hidden states are equal to open_clip's before its final layer norm (a test holds them to 1e-5).
    """
    blocks = visual.transformer.resblocks
    width = visual.conv1.out_channels
    quick = type(blocks[0].mlp.gelu).__name__ == "QuickGELU"
    model = CLIPVisionModel(
        CLIPVisionConfig(
            hidden_size=width,
            intermediate_size=blocks[0].mlp.c_fc.out_features,
            projection_dim=projection,
            num_hidden_layers=len(blocks),
            num_attention_heads=blocks[0].attn.num_heads,
            image_size=image_size,
            patch_size=patch_size,
            hidden_act="quick_gelu" if quick else "gelu",
        )
    )
    state = {
        "embeddings.class_embedding": visual.class_embedding,
        "embeddings.patch_embedding.weight": visual.conv1.weight,
        "embeddings.position_embedding.weight": visual.positional_embedding,
        "pre_layrnorm.weight": visual.ln_pre.weight,
        "pre_layrnorm.bias": visual.ln_pre.bias,
        "post_layernorm.weight": visual.ln_post.weight,
        "post_layernorm.bias": visual.ln_post.bias,
    }
    for index, block in enumerate(blocks):
        here = f"encoder.layers.{index}."
        for part in ("weight", "bias"):
            joined = getattr(block.attn, f"in_proj_{part}").chunk(3)
            for name, value in zip("qkv", joined, strict=True):
                state[f"{here}self_attn.{name}_proj.{part}"] = value
            state[f"{here}self_attn.out_proj.{part}"] = getattr(block.attn.out_proj, part)
            state[f"{here}layer_norm1.{part}"] = getattr(block.ln_1, part)
            state[f"{here}layer_norm2.{part}"] = getattr(block.ln_2, part)
            state[f"{here}mlp.fc1.{part}"] = getattr(block.mlp.c_fc, part)
            state[f"{here}mlp.fc2.{part}"] = getattr(block.mlp.c_proj, part)
    prefix = "vision_model." if any(k.startswith("vision_model.") for k in model.state_dict()) else ""
    model.load_state_dict(
        {prefix + key: value.detach().clone() for key, value in state.items()}, strict=False
    )
    missing = set(model.state_dict()) - {prefix + key for key in state} - {f"{prefix}embeddings.position_ids"}
    if missing:
        raise RuntimeError(f"these weights of the CLIP tower were not converted: {sorted(missing)}")
    return model.eval()


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
        (model, processor). The model's hidden states are (B, N + 1, W) with a class token first (CLIP).

    Raises:
        UserError: the path holds no vision model, or one that is not CLIP's.
    """
    try:
        config = AutoConfig.from_pretrained(path)
        model = AutoModel.from_pretrained(path)
        processor = AutoImageProcessor.from_pretrained(path)
    except (OSError, ValueError) as error:
        raise UserError(f"encoder: no vision model could be loaded from {path}: {error}") from error
    if not config.model_type.startswith("clip"):
        raise UserError(
            f"encoder: {path} holds a {config.model_type} model; only CLIP vision models can be used, whose "
            "tokens start with a class token and whose images are resized by the shorter side and cropped"
        )
    tower = model.vision_model if hasattr(config, "vision_config") else model
    return tower.eval().requires_grad_(False), processor


@torch.inference_mode()
def patch_tokens(tower: nn.Module, pixels: torch.Tensor, layers: Sequence[int]) -> torch.Tensor:
    """Patch tokens (B, N, W * layers) of some hidden states side by side, for pixels (B, 3, H, W).

    The class token is dropped, as ``vision_feature_select_strategy: default`` does in LLaVA.
    """
    hidden = tower(pixel_values=pixels, output_hidden_states=True).hidden_states
    return torch.cat([hidden[layer][:, 1:] for layer in layers], dim=-1)
