"""`shared_prefix`: turns read together equal turns read alone, values and gradients."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, Lfm2Config, Lfm2ForCausalLM

from pipeline.models import shared_prefix
from pipeline.models.shared_prefix import read_prefix, read_turns

SIZE = {
    "vocab_size": 30, "hidden_size": 24, "intermediate_size": 32, "num_hidden_layers": 3,
    "num_attention_heads": 4, "num_key_value_heads": 2,
}  # fmt: skip
KINDS = ["lfm2", "lfm2_attention_first", "llama", "qwen2"]
# Windows of four tokens: shorter than image and turn together, so that turns lose sight of the image.
FAMILIES = {
    "gemma": {"head_dim": 8},
    "gemma2": {"head_dim": 8, "sliding_window": 4, "query_pre_attn_scalar": 8, "attn_logit_softcapping": 2.0},
    "gemma3_text": {
        "head_dim": 8, "sliding_window": 4, "layer_types": ["sliding_attention", "full_attention"] * 2,
        "num_hidden_layers": 4, "query_pre_attn_scalar": 8,
    },
    "mistral": {"sliding_window": 4, "head_dim": 8},
    "olmo2": {},
    "phi3": {"sliding_window": 4, "pad_token_id": 0},
    "qwen2_sliding": {"use_sliding_window": True, "sliding_window": 4, "max_window_layers": 1},
    "qwen3": {"head_dim": 8},
    "smollm3": {"pad_token_id": 0, "no_rope_layers": [1, 0, 1]},
}  # fmt: skip
UNSHARED = {
    "gpt2": {"n_embd": 24, "n_layer": 2, "n_head": 2},
    "gpt_neox": {"num_key_value_heads": 4},
}


def decoder_of(kind, seed=0, **others):
    """A decoder with weights large enough for attention to prefer some tokens over others."""
    torch.manual_seed(seed)
    if not kind.startswith("lfm2"):
        settings = (FAMILIES | UNSHARED).get(kind, {})
        model = AutoModelForCausalLM.from_config(
            AutoConfig.for_model(kind.removesuffix("_sliding"), **(SIZE | settings | others))
        )
    else:
        layers = ["conv", "full_attention", "conv"] if kind == "lfm2" else ["full_attention", "conv", "conv"]
        model = Lfm2ForCausalLM(
            Lfm2Config(**SIZE, layer_types=layers, conv_L_cache=3, block_auto_adjust_ff_dim=False)
        )
    for value in model.parameters():
        if value.ndim > 1:
            value.data.normal_(0, 0.3)
    return model.get_decoder().eval()


def alone(decoder, prefix, turns):
    """Each turn in a pass of its own, behind its image: slow and plain."""
    rows = []
    for image, group in zip(prefix, turns, strict=True):
        for turn in group:
            whole = torch.cat([image, turn])[None]
            rows.append(decoder(inputs_embeds=whole, use_cache=False).last_hidden_state[0, len(image) :])
    return torch.stack(rows).view(turns.shape)


def made_inputs(batch=2, turns=3, prefix=5, length=4):
    generator = torch.Generator().manual_seed(7)
    make = lambda *shape: torch.randn(*shape, 24, generator=generator).requires_grad_()  # noqa: E731
    return make(batch, prefix), make(batch, turns, length), torch.randn(batch, turns, length, 24)


@pytest.mark.parametrize("kind", [*KINDS, *FAMILIES, *UNSHARED])
@pytest.mark.parametrize("shape", [(2, 3, 5, 4), (1, 1, 2, 2), (3, 2, 1, 5)], ids=str)
def test_turns_are_as_if_each_stood_alone_behind_its_image(kind, shape):
    decoder = decoder_of(kind)
    prefix, turns, _ = made_inputs(*shape)
    found = read_turns(decoder, read_prefix(decoder, prefix), turns)
    torch.testing.assert_close(found, alone(decoder, prefix, turns), atol=2e-5, rtol=1e-4)


def test_every_family_that_shares_is_tested_and_none_other_does():
    assert {decoder_of(kind).config.model_type for kind in (*KINDS, *FAMILIES)} == shared_prefix.FAMILIES
    for kind in UNSHARED:
        decoder = decoder_of(kind)
        assert isinstance(read_prefix(decoder, torch.zeros(1, 2, 24)), shared_prefix.Unshared)


@pytest.mark.parametrize("kind", ["gemma2", "gemma3_text", "mistral", "phi3", "qwen2_sliding"])
@torch.no_grad()
def test_a_window_hides_the_start_of_the_image(kind):
    """Otherwise the windows of these models would not be tested at all."""
    prefix, turns, _ = made_inputs(prefix=9)
    narrow, wide = (decoder_of(kind, sliding_window=size) for size in (4, 100))
    seen, whole = (read_turns(decoder, read_prefix(decoder, prefix), turns) for decoder in (narrow, wide))
    assert (whole - seen).abs().max() > 0.01


@pytest.mark.parametrize("kind", [*KINDS, "gemma2", "mistral", "gpt2"])
def test_gradients_are_too(kind):
    decoder = decoder_of(kind)
    prefix, turns, direction = made_inputs()
    wanted = [prefix, turns, *decoder.parameters()]
    outputs = read_turns(decoder, read_prefix(decoder, prefix), turns), alone(decoder, prefix, turns)
    gradients = [
        torch.autograd.grad((hidden * direction).sum(), wanted, allow_unused=True) for hidden in outputs
    ]
    assert gradients[1][0].abs().max() > 0.1  # the turns do depend on the image
    for ours, theirs in zip(*gradients, strict=True):
        assert (ours is None) == (theirs is None)
        if ours is not None:
            torch.testing.assert_close(ours, theirs, atol=1e-4 * max(1, theirs.abs().max()), rtol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_two_groups_of_turns_share_one_reading_of_the_image(kind):
    """Batches are cut by length: the second group must find the image as the first did."""
    decoder = decoder_of(kind)
    prefix, turns, _ = made_inputs()
    cache = read_prefix(decoder, prefix)
    first = read_turns(decoder, cache, turns[:, :1, :2])
    second = read_turns(decoder, cache, turns[:, 1:])
    torch.testing.assert_close(first, alone(decoder, prefix, turns[:, :1, :2]), atol=2e-5, rtol=1e-4)
    torch.testing.assert_close(second, alone(decoder, prefix, turns[:, 1:]), atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_padding_on_the_right_changes_nothing_before_it(kind):
    decoder = decoder_of(kind)
    prefix, turns, _ = made_inputs(length=6)
    other = turns.clone()
    other[..., 4:, :] = 9.0
    cache = read_prefix(decoder, prefix)
    padded, plain = read_turns(decoder, cache, other), read_turns(decoder, cache, turns)
    torch.testing.assert_close(padded[..., :4, :], plain[..., :4, :])


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_turns_do_not_see_each_other_nor_another_image(kind):
    decoder = decoder_of(kind)
    prefix, turns, _ = made_inputs()
    before = read_turns(decoder, read_prefix(decoder, prefix), turns)
    other_turns, other_prefix = turns.clone(), prefix.clone()
    other_turns[0, 1], other_prefix[1] = 3.0, -2.0
    after = read_turns(decoder, read_prefix(decoder, other_prefix), other_turns)
    torch.testing.assert_close(after[0, [0, 2]], before[0, [0, 2]])
    assert (after[1] - before[1]).abs().max() > 0.01


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_reduced_precision_is_close(kind):
    decoder = decoder_of(kind)
    prefix, turns, _ = made_inputs()
    exact = alone(decoder, prefix, turns)
    with torch.autocast("cpu", torch.bfloat16):
        found = read_turns(decoder, read_prefix(decoder, prefix), turns)
        theirs = alone(decoder, prefix, turns)
    error = (found.float() - exact).abs().mean()
    assert error < 2 * (theirs.float() - exact).abs().mean() + 1e-3
    assert error < 0.05 * exact.abs().mean()


@pytest.mark.parametrize("kind", ["lfm2", "llama"])
def test_the_attention_is_the_usual_one_again_afterwards(kind):
    decoder = decoder_of(kind)
    prefix, turns, _ = made_inputs()
    usual = decoder.config._attn_implementation
    cache = read_prefix(decoder, prefix)
    read_turns(decoder, cache, turns)
    assert decoder.config._attn_implementation == usual != shared_prefix._NAME
    with pytest.raises(RuntimeError):
        read_turns(decoder, cache, torch.zeros(2, 3, 4, 7))  # no width of this model
    assert decoder.config._attn_implementation == usual
