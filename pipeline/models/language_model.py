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
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from pipeline.errors import UserError
from pipeline.models import chat_template, pretrained, weights
from pipeline.models.chat import ChatFormat, special_tokens
from pipeline.models.vocabulary import IMAGE
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


def load(path: str | Path, template: str | None = None):
    """A causal language model and its tokenizer, from whatever `weights.located` takes (no remote code).

    The tokenizer comes with what training needs of it: a padding token (its end of text where it has none), a
    chat template that takes images, and as its end of text the token that the template ends an answer with
    (instruction models that were never told otherwise end with another one).

    Args:
        path: hub name, folder, GGUF file or package that carries one.
        template: name or file of a chat template, in place of the tokenizer's own.

    Raises:
        UserError: the path holds no causal language model, or one that LLaVA cannot be made of.
    """
    where, options = weights.located(path, "language_model.pretrained.path")
    what = "causal language model"
    model = pretrained.load("language_model", what, where, AutoModelForCausalLM, **options)
    options.pop("quantization_config", None)  # the model's alone
    tokenizer = pretrained.load("language_model", what, where, AutoTokenizer, **options)
    check(model, path)
    if template:
        tokenizer.chat_template = chat_template.named(template)
    prepare(tokenizer)
    return model.eval(), tokenizer


def prepare(tokenizer) -> None:
    """Give a tokenizer what it lacks of padding token, image-taking chat template and end of an answer.

    Raises:
        UserError: it has neither a padding token nor an end of text.
    """
    if tokenizer.pad_token is None:
        if tokenizer.eos_token is None:
            raise UserError(
                "language_model: the tokenizer has neither a padding token nor an end of text; set pad_token "
                "in its tokenizer_config.json"
            )
        tokenizer.pad_token = tokenizer.eos_token
    if tokenizer.chat_template:
        tokenizer.chat_template = chat_template.with_images(tokenizer, IMAGE)
        after = ChatFormat.of(tokenizer, IMAGE).after_assistant
        special = special_tokens(tokenizer)
        ends = [token for token in tokenizer.tokenize(after) if token in special]
        if ends and tokenizer.eos_token not in ends:
            tokenizer.eos_token = ends[0]


@torch.inference_mode()
def check(model: PreTrainedModel, path: str | Path) -> None:
    """Refuse a language model whose logits are not its own head on its decoder's hidden states.

    LLaVA has a place for decoder, word embeddings and a head without bias. What else a model does to its
    logits (Gemma 2 caps them, Granite divides them) would be lost without notice.

    Raises:
        UserError: something would be lost.
    """
    if hasattr(model.config, "text_config"):
        raise UserError(
            f"language_model: {path} is a {model.config.model_type}, which has a vision encoder already; "
            "give a language model alone"
        )
    head, decoder = model.get_output_embeddings(), model.get_decoder()
    if head is None or decoder is None or getattr(head, "bias", None) is not None:
        raise UserError(f"language_model: {path} has no output head without bias, which LLaVA needs")
    ids = torch.arange(4, device=model.device)[None] % head.weight.shape[0]
    mode = model.training
    model.eval()
    expected = model(ids, use_cache=False).logits
    hidden = decoder(inputs_embeds=model.get_input_embeddings()(ids), use_cache=False).last_hidden_state
    model.train(mode)
    found = head(hidden)
    if not torch.allclose(found, expected, rtol=1e-2, atol=1e-3 * float(expected.abs().max())):
        raise UserError(
            f"language_model: {path} ({model.config.model_type}) does more to its logits than its output "
            "head does (as Gemma 2 caps them, and Granite divides them), for which LLaVA has no place; "
            "Llama, Vicuna, Mistral, Qwen, SmolLM, Phi 3, Gemma and Gemma 3 do not"
        )


def word_embeddings(model: PreTrainedModel) -> torch.Tensor:
    """The word embeddings (V, D) as the decoder reads them: with Gemma's factor, where there is one."""
    embed = model.get_input_embeddings()
    weight = embed.get_parameter("weight")
    scale = getattr(embed, "embed_scale", None)
    return weight if scale is None else weight * torch.as_tensor(scale).to(weight)
