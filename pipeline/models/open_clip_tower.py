"""Vision transformers of open_clip as transformers' CLIP vision models, weights and preprocessing.

What LLaVA reads of a tower are hidden states between its blocks, so pooling and the layer norm behind the
last block play no part: towers that differ in these alone can be converted. Layer scale is folded into the
weights before it. What transformers' CLIP has no place for is refused by name.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModel

from pipeline.errors import UserError
from pipeline.models.encoder import USABLE

if TYPE_CHECKING:
    from open_clip.transformer import VisionTransformer

_RESAMPLE = {"nearest": 0, "lanczos": 1, "bilinear": 2, "bicubic": 3}  # Pillow's numbers


def load(name: str, weights: str | None) -> tuple[CLIPVisionModel, CLIPImageProcessor]:
    """The vision tower of an open_clip model and its preprocessing, both in transformers' form.

    Args:
        name: ``ViT-L-14``, or ``local-dir:FOLDER`` or ``hf-hub:OWNER/NAME``, which bring their weights.
        weights: open_clip's name of the weights (``openai``), or a file; None with a folder or a hub name.

    Raises:
        UserError: there is no such model, no weights, or its tower is none that can be converted.
    """
    import open_clip

    if weights is None and ":" not in name:
        tags = ", ".join(open_clip.list_pretrained_tags_by_model(name)) or "none: is the name right?"
        raise UserError(
            f"encoder.open_clip: {name} has no weights without `pretrained`: name one of open_clip's "
            f"({tags}), or a file"
        )
    try:
        # Weights are read as tensors alone (open_clip's own default, which must not change under us), no text
        # tower is fetched besides, and a folder without weights is an error rather than a random model.
        model = open_clip.create_model(
            name, weights, weights_only=True, pretrained_text=False, require_pretrained=True
        )
    except Exception as error:  # open_clip raises whatever its parts do
        raise UserError(f"encoder.open_clip: {name} ({weights}) cannot be loaded: {error}") from error
    reason = unlike_clip(model.visual)
    if reason:
        raise UserError(f"encoder.open_clip: {name} cannot be converted: {reason}; {USABLE}")
    preprocess = model.visual.preprocess_cfg
    return convert(model.visual, int(model.visual.output_dim)), image_processor(preprocess)


def unlike_clip(visual: nn.Module) -> str:
    """What keeps a tower of open_clip's from being converted, in words; empty where nothing does."""
    from open_clip.transformer import CustomResidualAttentionBlock, VisionTransformer

    if not isinstance(visual, VisionTransformer):
        kind = "timm's" if type(visual).__name__ == "TimmModel" else f"a {type(visual).__name__}"
        return f"its vision tower is {kind}, not open_clip's own vision transformer"
    if isinstance(visual.ln_pre, nn.Identity):
        return "its tower has no layer norm before the first block, which CLIP's has"
    if len(set(visual.image_size)) > 1 or len(set(visual.patch_size)) > 1:
        return f"its input ({visual.image_size}) and patches ({visual.patch_size}) have to be square"
    blocks = visual.transformer.resblocks
    if not len(blocks):
        return "its tower has no blocks"
    if any(isinstance(block, CustomResidualAttentionBlock) for block in blocks):
        return "its blocks are not CLIP's (attention with norms or scales of its own)"
    if _activation(blocks[0].mlp.gelu) is None:
        return f"its activation {blocks[0].mlp.gelu} is none of CLIP's"
    return ""


def convert(visual: VisionTransformer, projection: int) -> CLIPVisionModel:
    """An open_clip ``VisionTransformer`` as transformers' ``CLIPVisionModel``, in evaluation mode.

    Hidden states equal open_clip's, from before the first block to behind the last (a test holds them to
    1e-5). The pooled output need not: open_clip pools in several ways, and LLaVA uses none.

    Args:
        visual: one for which `unlike_clip` is empty.
        projection: width of the shared image-text space, kept in the configuration.
    """
    blocks = visual.transformer.resblocks
    model = CLIPVisionModel(
        CLIPVisionConfig(
            hidden_size=visual.conv1.out_channels,
            intermediate_size=blocks[0].mlp.c_fc.out_features,
            projection_dim=projection,
            num_hidden_layers=len(blocks),
            num_attention_heads=blocks[0].attn.num_heads,
            image_size=visual.image_size[0],
            patch_size=visual.patch_size[0],
            hidden_act=_activation(blocks[0].mlp.gelu) or "",
            layer_norm_eps=visual.ln_pre.eps,
        )
    )
    state = {
        "embeddings.class_embedding": visual.class_embedding,
        "embeddings.patch_embedding.weight": visual.conv1.weight,
        "embeddings.position_embedding.weight": visual.positional_embedding,
        "pre_layrnorm.weight": visual.ln_pre.weight,
        "pre_layrnorm.bias": visual.ln_pre.bias,
    }
    after = visual.ln_post if visual.ln_post.weight.shape == visual.ln_pre.weight.shape else None
    for part, usual in (("weight", torch.ones), ("bias", torch.zeros)):
        value = usual(visual.conv1.out_channels) if after is None else getattr(after, part)
        state[f"post_layernorm.{part}"] = value
    for index, block in enumerate(blocks):
        here = f"encoder.layers.{index}."
        for part in ("weight", "bias"):
            joined = getattr(block.attn, f"in_proj_{part}").chunk(3)
            for letter, value in zip("qkv", joined, strict=True):
                state[f"{here}self_attn.{letter}_proj.{part}"] = value
            state[f"{here}self_attn.out_proj.{part}"] = _scaled(block.ls_1, block.attn.out_proj, part)
            state[f"{here}layer_norm1.{part}"] = getattr(block.ln_1, part)
            state[f"{here}layer_norm2.{part}"] = getattr(block.ln_2, part)
            state[f"{here}mlp.fc1.{part}"] = getattr(block.mlp.c_fc, part)
            state[f"{here}mlp.fc2.{part}"] = _scaled(block.ls_2, block.mlp.c_proj, part)
    prefix = "vision_model." if any(k.startswith("vision_model.") for k in model.state_dict()) else ""
    model.load_state_dict(
        {prefix + key: value.detach().clone() for key, value in state.items()}, strict=False
    )
    missing = set(model.state_dict()) - {prefix + key for key in state} - {f"{prefix}embeddings.position_ids"}
    if missing:
        raise RuntimeError(f"these weights of the CLIP tower were not converted: {sorted(missing)}")
    return model.eval()


def image_processor(preprocess: dict[str, Any]) -> CLIPImageProcessor:
    """open_clip's preprocessing (a model's ``preprocess_cfg``) as transformers'.

    Sizes agree; where an odd number of rows or columns is cropped, open_clip's window may lie a pixel of the
    input further. Patch words follow the processor that is saved.

    Raises:
        UserError: images are padded (``resize_mode: longest``), which transformers' processor does not do.
    """
    size = preprocess["size"]
    height, width = (size, size) if isinstance(size, int) else (int(size[0]), int(size[-1]))
    mode = preprocess.get("resize_mode") or "shortest"
    if mode == "longest" or (mode == "shortest" and height != width):
        raise UserError(
            f"encoder.open_clip: preprocessing with resize_mode {mode!r} to {height} x {width} has no "
            "counterpart in transformers; take a model with resize_mode shortest or squash"
        )
    squash = mode == "squash"
    return CLIPImageProcessor(
        size={"height": height, "width": width} if squash else {"shortest_edge": height},
        do_center_crop=not squash,
        crop_size={"height": height, "width": width},
        resample=_RESAMPLE.get(preprocess.get("interpolation", "bicubic"), 3),
        image_mean=list(preprocess["mean"]),
        image_std=list(preprocess["std"]),
    )


def _activation(layer: nn.Module | partial) -> str | None:
    """transformers' name of a block's activation."""
    if type(layer).__name__ == "QuickGELU":
        return "quick_gelu"
    if isinstance(layer, nn.GELU):
        return "gelu" if layer.approximate == "none" else "gelu_pytorch_tanh"
    return None


def _scaled(scale: nn.Module, layer: nn.Linear, part: str) -> torch.Tensor:
    """A layer's weight or bias with the layer scale behind it folded in: g * (W x + b) = (g W) x + g b."""
    value = getattr(layer, part)
    if isinstance(scale, nn.Identity):
        return value
    gamma = scale.get_parameter("gamma")
    return value * (gamma[:, None] if part == "weight" else gamma)
