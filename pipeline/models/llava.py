"""The multimodal model: transformers' own LLaVA, assembled from an encoder and a language model.

What is saved is what ``LlavaForConditionalGeneration.from_pretrained`` and ``AutoProcessor.from_pretrained``
load. Shapes: B images, N vision tokens, W width of the encoder, D width of the language model.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch
from torch import nn
from transformers import (
    AutoConfig,
    AutoProcessor,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedModel,
)

from pipeline.errors import UserError
from pipeline.models import adapters, first_weights, pretrained
from pipeline.models import encoder as encoders
from pipeline.models import language_model as language_models
from pipeline.models.vocabulary import IMAGE
from pipeline.params import ProjectorParams


def assemble(
    encoder_path: Path | str, language_model_path: Path | str, projector: ProjectorParams, seed: int
) -> tuple[LlavaForConditionalGeneration, LlavaProcessor]:
    """Encoder and language model with an untrained projector between them, and the processor.

    The projector's weights depend on the seed alone, so arms start from the same ones.
    """
    tower, image_processor = encoders.load(encoder_path)
    decoder, tokenizer = language_models.load(language_model_path)
    add_image_token(tokenizer)
    # Some models have more rows than their tokenizer has words (Qwen): none of them is cut off.
    if len(tokenizer) > decoder.get_input_embeddings().num_embeddings:
        decoder.resize_token_embeddings(len(tokenizer))
    config = configure(tower.config, decoder.config, tokenizer, projector)
    model = untrained(config, seed)
    give(model.model.vision_tower, tower)
    give(model.model.language_model, decoder.get_decoder())
    give(model.lm_head, decoder.get_output_embeddings())
    model.tie_weights()
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    processor = LlavaProcessor(
        image_processor=image_processor,
        tokenizer=tokenizer,
        patch_size=tower.config.patch_size,
        vision_feature_select_strategy=config.vision_feature_select_strategy,
        chat_template=tokenizer.chat_template,
        image_token=IMAGE,
        num_additional_image_tokens=encoders.class_tokens(tower.config),
    )
    return model, processor


def untrained(config: LlavaConfig, seed: int) -> LlavaForConditionalGeneration:
    """A model whose projector has the first weights of a seed; its other weights are yet to be given."""
    return first_weights.of_part(
        lambda: LlavaForConditionalGeneration(config), "model.multi_modal_projector", seed
    )


def give(part: nn.Module, source: nn.Module) -> None:
    """Assign a module's weights to another of its shape, in the latter's precision; none is copied."""
    dtypes = {name: value.dtype for name, value in part.state_dict().items()}
    weights = {name: value.to(dtypes.get(name, value.dtype)) for name, value in source.state_dict().items()}
    part.load_state_dict(weights, assign=True)


def add_image_token(tokenizer) -> None:
    """Make sure that the tokenizer has the token that stands for a vision token."""
    if IMAGE not in tokenizer.get_vocab():
        # Beside those that there are: the plain call would make them ordinary words.
        tokenizer.add_special_tokens(
            {"additional_special_tokens": [IMAGE]}, replace_extra_special_tokens=False
        )


def configure(tower_config, text_config, tokenizer, projector: ProjectorParams) -> LlavaConfig:
    """The model's configuration, of its parts' and the projector's settings."""
    # "default" drops the class token that CLIP has, "full" keeps all there is: SigLIP's patches.
    select: Literal["default", "full"] = "default" if encoders.class_tokens(tower_config) else "full"
    config = LlavaConfig(
        vision_config=tower_config,
        text_config=text_config,
        image_token_index=tokenizer.convert_tokens_to_ids(IMAGE),
        projector_hidden_act="gelu" if projector.kind == "mlp" else "linear",
        vision_feature_select_strategy=select,
        vision_feature_layer=projector.feature_layers,
        image_seq_length=encoders.patch_count(tower_config),
        tie_word_embeddings=text_config.tie_word_embeddings,
    )
    config.pad_token_id = tokenizer.pad_token_id
    return config


def load(folder: Path | str) -> tuple[LlavaForConditionalGeneration, LlavaProcessor]:
    """A saved model and its processor (no remote code).

    Raises:
        UserError: the folder holds another model, or not all weights of this one.
    """
    config = pretrained.load("model", "LLaVA", folder, AutoConfig)
    if config.model_type != "llava":
        raise UserError(
            f"{folder} holds a {config.model_type} model, not a LLaVA: name a checkpoint of the stages "
            "pretrain or finetune, or one of llava-hf"
        )
    model, told = pretrained.load(
        "model", "LLaVA", folder, LlavaForConditionalGeneration, output_loading_info=True
    )
    if told["missing_keys"]:
        some = ", ".join(sorted(told["missing_keys"])[:3])
        raise UserError(
            f"{folder} lacks {len(told['missing_keys'])} weights of the model that its config.json describes "
            f"({some}): it is not a whole checkpoint"
        )
    return model, pretrained.load("model", "processor", folder, AutoProcessor)


def save(
    model: LlavaForConditionalGeneration,
    processor: LlavaProcessor,
    folder: Path,
    weights: dict[str, torch.Tensor] | None = None,
) -> None:
    """Save model and processor as one transformers folder; ``weights`` are those of a sharded model."""
    model.save_pretrained(folder, state_dict=weights)
    processor.save_pretrained(folder)


def project(model: LlavaForConditionalGeneration, features_BNW: torch.Tensor) -> torch.Tensor:
    """Vision tokens (B, N, D): encoder features through the projector, as the patch loss's adapter has it."""
    return adapters.of(model).project(model, features_BNW)


def halve_frozen(model: LlavaForConditionalGeneration, dtype: torch.dtype) -> None:
    """Hold the weights of the language model, none of which is trained, in ``dtype``.

    Buffers stay as they are: rotary frequencies need their precision. So does the encoder, whose features are
    those that a cache would hold.
    """
    for part in (model.model.language_model, model.lm_head):
        for value in part.parameters():
            value.data = value.data.to(dtype)


def decoder_of(model: LlavaForConditionalGeneration) -> PreTrainedModel:
    """The language model without its head."""
    return model.model.language_model


def prefix_embeddings(
    model: LlavaForConditionalGeneration, before_image: torch.Tensor, tokens_BND: torch.Tensor
) -> torch.Tensor:
    """Embeddings (B, P, D) of what turns share: the ids before the image (1-D), then its vision tokens."""
    opening = model.get_input_embeddings()(before_image).to(tokens_BND.dtype)
    return torch.cat([opening.expand(tokens_BND.shape[0], -1, -1), tokens_BND], dim=1)
