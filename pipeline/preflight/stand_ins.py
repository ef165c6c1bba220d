"""Tiny models in the place of a profile's: the same architectures, random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoTokenizer,
    CLIPVisionConfig,
    LlamaConfig,
    PretrainedConfig,
    PreTrainedTokenizerFast,
)

from pipeline.models import encoder as encoders
from pipeline.models.weights import located
from pipeline.params import TrainedEncoderParams, TrainedLanguageModelParams
from pipeline.preflight.weights import Weights

WIDTH, HEADS, SIDE = 32, 2, 4
"""Width of the models, attention heads, patches along a side of the image."""


def encoder(folder: Path, config: PretrainedConfig | None, layers: list[int]) -> str:
    """A vision tower of a config's family (CLIP's, if there is none), as deep as is read from it."""
    vision: Any = getattr(config, "vision_config", config) or CLIPVisionConfig()
    depth = max(2, *(layer if layer >= 0 else -layer for layer in layers))
    size = SIDE * vision.patch_size
    small = type(vision)(
        hidden_size=WIDTH, intermediate_size=2 * WIDTH, num_hidden_layers=depth, num_attention_heads=HEADS,
        image_size=size, patch_size=vision.patch_size,
    )  # fmt: skip
    torch.manual_seed(0)
    AutoModel.from_config(small).save_pretrained(folder)
    if vision.model_type.startswith("siglip"):
        from transformers import SiglipImageProcessor

        SiglipImageProcessor(size={"height": size, "width": size}).save_pretrained(folder)
    else:
        encoders.image_processor(size).save_pretrained(folder)
    return str(folder)


def language_model(folder: Path, path: str, found: Weights) -> str:
    """A causal language model of a config's family (Llama's, if there is none), and a tokenizer."""
    tokenizer = real_tokenizer(path) if found.finding.state == "ok" else made_tokenizer()
    config: Any = found.config or LlamaConfig()
    changes = {
        "hidden_size": WIDTH, "intermediate_size": 2 * WIDTH, "num_hidden_layers": 2,
        "num_attention_heads": HEADS, "num_key_value_heads": HEADS, "head_dim": WIDTH // HEADS,
        "vocab_size": max(len(tokenizer), tokenizer.vocab_size), "layer_types": None,
        "pad_token_id": tokenizer.pad_token_id, "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }  # fmt: skip
    kept = {key: value for key, value in config.to_dict().items() if key not in ("dtype", "architectures")}
    torch.manual_seed(0)
    small = type(config)(**{**kept, **{key: value for key, value in changes.items() if key in kept}})
    AutoModelForCausalLM.from_config(small).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def real_tokenizer(path: str):
    """The tokenizer of a model that is on this machine."""
    place, options = located(path, "language_model.pretrained.path")
    options.pop("quantization_config", None)
    return AutoTokenizer.from_pretrained(place, local_files_only=True, **options)


def made_tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer of single bytes, with Llama's special tokens and no chat template."""
    special = ["<unk>", "<s>", "</s>"]
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: number for number, token in enumerate([*special, *letters])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>",
        clean_up_tokenization_spaces=False,
    )  # fmt: skip


def encoder_config(settings: TrainedEncoderParams, image_size: int) -> CLIPVisionConfig:
    """The config of the encoder that a profile trains."""
    return CLIPVisionConfig(
        hidden_size=settings.width, intermediate_size=4 * settings.width, num_hidden_layers=settings.layers,
        num_attention_heads=max(1, settings.width // encoders.HEAD_WIDTH), image_size=image_size,
        patch_size=settings.patch_size,
    )  # fmt: skip


def language_model_config(settings: TrainedLanguageModelParams, words: int = 400) -> PretrainedConfig:
    """The config of the language model that a profile trains, for a vocabulary of about so many words."""
    from pipeline.models import language_model as language_models

    with torch.device("meta"):
        return language_models.build(settings, _Words(words), 0).config  # type: ignore[arg-type]


class _Words:
    """As much of a tokenizer as a config is made from."""

    pad_token_id, bos_token_id, eos_token_id = 0, 1, 2

    def __init__(self, count: int) -> None:
        self._count = count

    def __len__(self) -> int:
        return self._count
