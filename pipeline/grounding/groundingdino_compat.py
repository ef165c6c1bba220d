"""What makes groundingdino-py 0.4.0 run under transformers 5, and give batches what it gives single images.

Its wrapper of the text encoder takes three methods of ``BertModel`` that transformers 5 no longer has
(``get_extended_attention_mask``, ``invert_attention_mask``, ``get_head_mask``). `TextEncoder` does what the
wrapper did without them, and keeps its submodules' names, so that released checkpoints fit.

Its text layers repeat each prompt's attention mask for their heads in the order of heads, where attention
expects the order of prompts: in a batch, prompts get each other's masks. `mend_batches` puts that right.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


class TextEncoder(nn.Module):
    """A BERT that takes an attention mask for each pair of tokens."""

    def __init__(self, bert_model: Any) -> None:
        super().__init__()
        self.config = bert_model.config
        self.embeddings = bert_model.embeddings
        self.encoder = bert_model.encoder
        self.pooler = bert_model.pooler

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        token_type_ids: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
    ) -> dict[str, torch.Tensor]:
        """``last_hidden_state``, (batch, tokens, width).

        Args:
            input_ids: (batch, tokens).
            attention_mask: true where the token of a row may look at the token of a column, (batch, tokens,
                tokens), or at any token that is no padding, (batch, tokens).
            token_type_ids: (batch, tokens).
            position_ids: (batch, tokens); in a prompt they begin anew with each phrase.
        """
        embedded_BLD = self.embeddings(
            input_ids=input_ids, token_type_ids=token_type_ids, position_ids=position_ids
        )
        allowed = attention_mask.bool()
        allowed_B1LL = allowed[:, None, None, :] if allowed.dim() == 2 else allowed[:, None]
        added_B1LL = torch.zeros(allowed_B1LL.shape, dtype=embedded_BLD.dtype, device=embedded_BLD.device)
        added_B1LL.masked_fill_(~allowed_B1LL, torch.finfo(embedded_BLD.dtype).min)
        encoded = self.encoder(embedded_BLD, attention_mask=added_B1LL)
        return {"last_hidden_state": encoded.last_hidden_state}


def mend() -> None:
    """Put `TextEncoder` where groundingdino-py looks for its wrapper; a second call changes nothing."""
    from groundingdino.models.GroundingDINO import bertwarper, groundingdino

    # Both modules hold a reference of their own.
    bertwarper.BertModelWarper = TextEncoder
    groundingdino.BertModelWarper = TextEncoder


def mend_batches(model: Any) -> None:
    """Give each prompt of a batch its own mask in the text layers of a groundingdino-py model."""
    for layer in model.transformer.encoder.text_layers or ():
        layer.register_forward_pre_hook(_mask_for_each_head, with_kwargs=True)


def _mask_for_each_head(
    layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Masks (batch, tokens, tokens) as attention takes them, (batch * heads, tokens, tokens)."""
    return args, {**kwargs, "src_mask": kwargs["src_mask"].repeat_interleave(layer.nhead, dim=0)}
