"""The language model: a small causal LM of transformers' own LFM2 architecture, or any that is pretrained.

LFM2 (Liquid AI) mixes short convolutions and attention by layer. The convolutions hand each token the two
before it, which lets a model of this size look a phrase up in its context; a plain Llama of the same size
needs far longer to learn that.
"""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    Lfm2Config,
    Lfm2ForCausalLM,
    PreTrainedTokenizerFast,
)

from pipeline.errors import UserError
from pipeline.params import TrainedLanguageModelParams

CONVOLUTION = 3  # tokens that a short convolution sees


def build(
    params: TrainedLanguageModelParams, tokenizer: PreTrainedTokenizerFast, seed: int
) -> Lfm2ForCausalLM:
    """An untrained language model for a tokenizer's vocabulary.

    Input embeddings and output head are not tied, as in Vicuna: tying would pull the input embeddings, the
    targets of the patch loss, towards what predicts them.
    """
    config = Lfm2Config(
        vocab_size=len(tokenizer),
        hidden_size=params.width,
        intermediate_size=params.hidden,
        block_auto_adjust_ff_dim=False,
        num_hidden_layers=len(params.layers),
        num_attention_heads=params.heads,
        num_key_value_heads=params.heads,
        layer_types=list(params.layers),
        conv_L_cache=CONVOLUTION,
        tie_word_embeddings=False,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    torch.manual_seed(seed)
    return Lfm2ForCausalLM(config)


def load(path: str | Path):
    """A causal language model and its tokenizer from a folder, a hub name or a GGUF file (no remote code).

    Raises:
        UserError: the path holds no causal language model.
    """
    file = Path(path)
    gguf = file.suffix == ".gguf" and file.exists()
    where, options = (file.parent, {"gguf_file": file.name}) if gguf else (path, {})
    try:
        model = AutoModelForCausalLM.from_pretrained(where, **options)
        return model, AutoTokenizer.from_pretrained(where, **options)
    except (OSError, ValueError) as error:
        raise UserError(
            f"language_model: no causal language model could be loaded from {path}: {error}"
        ) from error
