"""Several turns behind one image, the image read once.

The image's vision tokens run through the language model once; each turn then goes on from what the model
holds of the image (keys and values of attention, states of short convolutions). Turns do not see each other:
every one is computed as if it stood alone behind its image, and a test holds the two equal. Keys and values
of the image are never copied for its turns, which halves the time of a step on a CPU.

That needs to know what a family of models does in its attention. Families whose turns were held against the
plain computation are listed below; any other is computed the plain way, the image read again for each turn.

Shapes: B images, T turns an image, P tokens of the prefix, L tokens of a turn, D width of the model,
H attention heads, G heads of keys and values, E width of a head.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from transformers import AttentionInterface, PreTrainedModel
from transformers.cache_utils import Cache, DynamicCache

_NAME = "shared_prefix"
FAMILIES = frozenset(
    {
        "gemma", "gemma2", "gemma3_text", "lfm2", "llama", "mistral", "olmo2", "phi3", "qwen2", "qwen3",
        "smollm3",
    }
)  # fmt: skip
"""Model types of transformers that are computed the shared way: a test holds each to the plain one."""


@dataclass(frozen=True)
class Unshared:
    """A prefix that is read again for each turn: embeddings (B, P, D)."""

    embeds: torch.Tensor


def shares(decoder: PreTrainedModel) -> bool:
    """Whether turns behind a prefix are computed the shared way."""
    return decoder.config.model_type in FAMILIES


def read_prefix(decoder: PreTrainedModel, prefix_BPD: torch.Tensor) -> Cache | Unshared:
    """What a decoder (a language model without its head) holds after a prefix of embeddings."""
    return read_prefix_states(decoder, prefix_BPD)[0] if shares(decoder) else Unshared(prefix_BPD)


def read_prefix_states(
    decoder: PreTrainedModel, prefix_BPD: torch.Tensor, share: bool = True
) -> tuple[Cache | Unshared, torch.Tensor]:
    """As `read_prefix`, and the prefix's hidden states (B, P, D) in the last layer, after its norm.

    Without ``share`` no keys and values are kept, as layers that are recomputed, sharded or compiled want it.
    """
    if not (share and shares(decoder)):
        states = decoder(inputs_embeds=prefix_BPD, use_cache=False).last_hidden_state
        return Unshared(prefix_BPD), states
    cache = DynamicCache(config=decoder.config)
    read = decoder(inputs_embeds=prefix_BPD, past_key_values=cache, use_cache=True)
    return cache, read.last_hidden_state


def read_turns(decoder: PreTrainedModel, prefix: Cache | Unshared, embeds_BTLD: torch.Tensor) -> torch.Tensor:
    """Hidden states (B, T, L, D) of T turns an image, each behind its image alone. Pad turns on the right.

    Gradients flow into the prefix. Turns have two tokens or more.
    """
    batch, turns, length, width = embeds_BTLD.shape
    if isinstance(prefix, Unshared):
        behind = prefix.embeds.unsqueeze(1).expand(-1, turns, -1, -1)
        whole = torch.cat([behind, embeds_BTLD.to(behind.dtype)], dim=2).flatten(0, 1)
        hidden = decoder(inputs_embeds=whole, use_cache=False).last_hidden_state
        return hidden[:, behind.shape[2] :].view(batch, turns, length, width)
    usual = decoder.config._attn_implementation
    decoder.config._attn_implementation = _NAME
    try:
        hidden = decoder(
            inputs_embeds=embeds_BTLD.reshape(batch * turns, length, width),
            # A mask of four dimensions is taken as it is; the attention below makes its own.
            attention_mask=embeds_BTLD.new_zeros(1, 1, 1, 1),
            past_key_values=_Turns(prefix, turns),
            use_cache=True,
        ).last_hidden_state
    finally:
        decoder.config._attn_implementation = usual
    return hidden.view(batch, turns, length, width)


def read_behind(
    decoder: PreTrainedModel, prefix_BPD: torch.Tensor, groups: Sequence[torch.Tensor], share: bool = True
) -> Iterator[torch.Tensor]:
    """Hidden states of groups of turns (B, T, L, D), each turn behind its image (B, P, D) alone.

    With ``share`` the image is read once for all turns. Without, or where there is but one turn an image,
    image and turn are one sequence in one pass of the decoder: its own attention kernels, and layers that may
    be recomputed, sharded or compiled.
    """
    several = len(groups) > 1 or groups[0].shape[1] > 1
    prefix = read_prefix(decoder, prefix_BPD) if share and several else Unshared(prefix_BPD)
    yield from (read_turns(decoder, prefix, group) for group in groups)


class _Turns(DynamicCache):
    """The cache that turns see: the prefix's length and states; keys and values stay with the prefix."""

    def __init__(self, prefix: Cache, turns: int) -> None:
        super().__init__()
        self._prefix = prefix
        self._turns = turns

    def get_seq_length(self, layer_idx: int = 0) -> int:
        return self._prefix.get_seq_length()

    def update(self, key_states, value_states, layer_idx, *args, **kwargs):
        layer = self._prefix.layers[layer_idx]
        return (layer.keys, key_states), (layer.values, value_states)

    def get_conv_state(self, layer_idx: int, state_idx: int = 0) -> torch.Tensor:
        state = self._prefix.get_conv_state(layer_idx, state_idx=state_idx)
        assert state is not None  # the prefix was read
        return state

    def update_conv_state(self, conv_states, layer_idx, state_idx=0, **kwargs) -> torch.Tensor:
        state = self.get_conv_state(layer_idx, state_idx)
        repeated = state.unsqueeze(1).expand(-1, self._turns, -1, -1).flatten(0, 1)
        return torch.cat([repeated, conv_states], dim=-1)

    def is_recording_past(self, layer_idx: int) -> bool:
        return False


def _attend(
    module, query, key, value, attention_mask, scaling=None, dropout=0.0, sliding_window=None, softcap=None,
    **kwargs,
):  # fmt: skip
    """Attention of turns to their image (all of it) and to themselves (causally); one softmax over both.

    Args:
        query: (B * T, H, L, E).
        key, value: pairs of the image's (B, G, P, E) and the turns' own (B * T, G, L, E). Of a sliding layer
            the image's are the last of its tokens, as many as a window can reach.
        sliding_window: a token sees itself and the ``sliding_window - 1`` before it; None for all.
        softcap: scores s become c tanh(s / c) (Gemma 2, arXiv 2408.00118); None for none.

    Returns:
        (B * T, L, H, E), and None for the weights.
    """
    (image_key, own_key), (image_value, own_value) = key, value
    rows, heads, length, head_width = query.shape
    batch, groups, prefix, _ = image_key.shape
    share, turns = heads // groups, rows // batch
    scale = head_width**-0.5 if scaling is None else scaling
    query = query * scale
    # (B, G, T * share * L, E): all turns of an image in one product with its keys.
    by_image = query.view(batch, turns, groups, share, length, head_width).transpose(1, 2)
    to_image = by_image.reshape(batch, groups, -1, head_width) @ image_key.transpose(-1, -2)
    to_image = to_image.view(batch, groups, turns, share, length, prefix)
    own_query = query.view(rows, groups, share, length, head_width)
    to_own = own_query @ own_key.unsqueeze(2).transpose(-1, -2)
    if softcap is not None:
        to_image, to_own = (softcap * torch.tanh(scores / softcap) for scores in (to_image, to_own))
    hidden = torch.ones(length, length, dtype=torch.bool, device=query.device).triu(1)
    lowest = torch.finfo(to_own.dtype).min
    if sliding_window is not None:
        hidden = hidden | hidden.new_ones(length, length).tril(-sliding_window)
        # Query i stands prefix - j + i tokens behind key j of the image.
        places = torch.arange(length, device=query.device)
        behind = places[:, None] + torch.arange(prefix, 0, -1, device=query.device)
        to_image = to_image.masked_fill(behind >= sliding_window, lowest)
    to_own = to_own.masked_fill(hidden, lowest)
    to_own = to_own.view(batch, turns, groups, share, length, length).transpose(1, 2)
    weights = torch.cat([to_image, to_own], dim=-1).softmax(-1)
    if dropout:
        weights = torch.nn.functional.dropout(weights, dropout)
    from_image = weights[..., :prefix].reshape(batch, groups, -1, prefix) @ image_value
    from_image = from_image.view(batch, groups, turns, share, length, head_width).transpose(1, 2)
    own_weights = weights[..., prefix:].transpose(1, 2).reshape(rows, groups, share, length, length)
    mixed = from_image.reshape(rows, groups, share, length, head_width) + own_weights @ own_value.unsqueeze(2)
    return mixed.reshape(rows, heads, length, head_width).transpose(1, 2).contiguous(), None


AttentionInterface.register(_NAME, _attend)
