"""Greedy answers of a language model behind prefixes of embeddings, in batches of equal length.

Rows of equal length need no padding, so that a batch gives what each row would give alone.
Shapes: B rows, P tokens of the prefix, D width of the model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.cache_utils import DynamicCache


@torch.inference_mode()
def greedy(
    decoder: PreTrainedModel, head: nn.Module, prompt_BPD: torch.Tensor, eos: int, limit: int
) -> list[list[int]]:
    """Token ids that follow each prompt, the end of text left out; at most ``limit`` tokens.

    Args:
        decoder: the language model without its head.
        head: hidden states to logits.
        prompt_BPD: embeddings of the whole prompt, image included.
        eos: id that ends an answer.
        limit: most tokens of an answer.
    """
    cache = DynamicCache(config=decoder.config)
    embed = decoder.get_input_embeddings()
    hidden = decoder(inputs_embeds=prompt_BPD, past_key_values=cache, use_cache=True).last_hidden_state
    chosen = [head(hidden[:, -1]).argmax(-1)]
    ended = chosen[0] == eos
    while not ended.all() and len(chosen) < limit:
        step = embed(chosen[-1].unsqueeze(1))
        hidden = decoder(inputs_embeds=step, past_key_values=cache, use_cache=True).last_hidden_state
        chosen.append(head(hidden[:, -1]).argmax(-1))
        ended |= chosen[-1] == eos
    rows = torch.stack(chosen, 1).tolist()
    return [row[: row.index(eos)] if eos in row else row for row in rows]


def answer_all(
    decoder: PreTrainedModel,
    head: nn.Module,
    prefixes: Callable[[np.ndarray], torch.Tensor],
    prefix_lengths: np.ndarray,
    prompts: Sequence[Sequence[int]],
    eos: int,
    limit: int,
    batch: int,
    part: tuple[int, int] = (0, 1),
) -> list[list[int]]:
    """Greedy answers to many prompts, each behind its own prefix, in the order of ``prompts``.

    On a GPU that has bfloat16, matrix products are in it; on a CPU all is as the model's weights are.

    Args:
        decoder, head, eos, limit: as in `greedy`.
        prefixes: gives the prefix embeddings (B, P, D) of some rows of equal prefix length.
        prefix_lengths: tokens of each row's prefix.
        prompts: token ids of each prompt, from after the image to where the answer starts.
        batch: most rows at a time.
        part: (i, n): the i-th of every n batches alone, counted from 0; the other rows stay empty. Batches
            are the same whatever n is, so n processes together answer what one does.
    """
    lengths = np.fromiter((len(prompt) for prompt in prompts), np.int64, len(prompts))
    answers: list[list[int]] = [[] for _ in prompts]
    embed = decoder.get_input_embeddings()
    order = np.lexsort((lengths, prefix_lengths))
    keys = np.stack([prefix_lengths[order], lengths[order]], 1)
    starts = np.flatnonzero(np.r_[True, (np.diff(keys, axis=0) != 0).any(1)])
    batches = [
        order[begin : min(begin + batch, last)]
        for first, last in zip(starts, np.r_[starts[1:], len(order)], strict=True)
        for begin in range(first, last, batch)
    ]
    own, count = part
    for rows in batches[own::count]:
        with torch.inference_mode(), _precision(decoder.device):
            prefix = prefixes(rows)
            ids = torch.tensor([list(prompts[row]) for row in rows], device=prefix.device)
            prompt = torch.cat([prefix, embed(ids).to(prefix.dtype)], dim=1)
            found = greedy(decoder, head, prompt, eos, limit)
        for row, tokens in zip(rows, found, strict=True):
            answers[row] = tokens
    return answers


def _precision(device: torch.device) -> torch.autocast:
    bfloat16 = device.type == "cuda" and torch.cuda.is_bf16_supported()
    return torch.autocast(device.type, torch.bfloat16, enabled=bfloat16)
