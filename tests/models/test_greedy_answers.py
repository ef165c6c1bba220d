"""`answer_all` gives what transformers' own greedy generation gives, a prompt at a time."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import Lfm2Config, Lfm2ForCausalLM, LlamaConfig, LlamaForCausalLM

from pipeline.models.generation import answer_all, greedy

EOS, WIDTH = 2, 24
SIZE = {
    "vocab_size": 12, "hidden_size": WIDTH, "intermediate_size": 32, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "tie_word_embeddings": False,
    "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": EOS,
}  # fmt: skip


def language_model(kind):
    torch.manual_seed(11)
    if kind == "llama":
        model = LlamaForCausalLM(LlamaConfig(**SIZE))
    else:
        layers = ["conv", "full_attention"]
        model = Lfm2ForCausalLM(
            Lfm2Config(**SIZE, layer_types=layers, conv_L_cache=3, block_auto_adjust_ff_dim=False)
        )
    for value in model.parameters():
        if value.ndim > 1:
            value.data.normal_(0, 0.5)
    return model.eval()


def by_transformers(model, prefix, prompt, limit):
    embeds = torch.cat([prefix, model.get_input_embeddings()(torch.tensor(prompt))])[None]
    ids = model.generate(inputs_embeds=embeds, max_new_tokens=limit, do_sample=False)[0].tolist()
    return ids[: ids.index(EOS)] if EOS in ids else ids


def examples(count=24):
    """Prefixes of two lengths and prompts of three, in no order."""
    generator = np.random.default_rng(5)
    prefixes = [torch.randn(length, WIDTH) for length in generator.choice([3, 5], count)]
    prompts = [generator.integers(3, 12, length).tolist() for length in generator.choice([1, 2, 4], count)]
    return prefixes, prompts


@pytest.mark.parametrize("kind", ["lfm2", "llama"])
@pytest.mark.parametrize("batch", [1, 4, 100])
@torch.inference_mode()
def test_answers_are_those_of_one_at_a_time(kind, batch):
    model = language_model(kind)
    torch.manual_seed(1)
    prefixes, prompts = examples()
    expected = [by_transformers(model, *pair, limit=8) for pair in zip(prefixes, prompts, strict=True)]
    found = answer_all(
        model.get_decoder(),
        model.lm_head,
        lambda rows: torch.stack([prefixes[row] for row in rows]),
        np.array([len(prefix) for prefix in prefixes]),
        prompts,
        EOS,
        8,
        batch,
    )
    assert found == expected
    assert len({tuple(answer) for answer in expected}) > 10  # the prompts matter
    assert any(len(answer) == 8 for answer in expected)  # the limit was met
    assert any(len(answer) < 8 for answer in expected)  # and the end of text


def test_batches_hold_equal_lengths_and_no_more_rows_than_asked():
    model = language_model("llama")
    prefixes, prompts = examples()
    seen = []

    def give(rows):
        seen.append(sorted(rows.tolist()))
        return torch.stack([prefixes[row] for row in rows])

    lengths = np.array([len(prefix) for prefix in prefixes])
    answer_all(model.get_decoder(), model.lm_head, give, lengths, prompts, EOS, 2, 3)
    assert sorted(row for rows in seen for row in rows) == list(range(len(prompts)))
    assert max(map(len, seen)) == 3
    for rows in seen:
        assert len({(lengths[row], len(prompts[row])) for row in rows}) == 1


class Echo(torch.nn.Module):
    """A head whose logits are the hidden state, which is whatever the decoder below says."""

    def forward(self, hidden):
        return hidden


class Recites(torch.nn.Module):
    """A decoder that says what it was told to, a token a pass, and counts the passes."""

    def __init__(self, said):
        super().__init__()
        self.said, self.passes = torch.tensor(said), 0
        self.config = LlamaConfig(**SIZE)

    def get_input_embeddings(self):
        return torch.nn.Embedding(12, WIDTH)

    def forward(self, inputs_embeds, **kwargs):
        from transformers.modeling_outputs import BaseModelOutputWithPast

        logits = torch.nn.functional.one_hot(self.said[:, self.passes], 12).float()[:, None]
        self.passes += 1
        return BaseModelOutputWithPast(last_hidden_state=logits)


@pytest.mark.parametrize(
    ("said", "limit", "answers", "passes"),
    [
        ([[5, EOS, 7, 7], [6, 6, EOS, 7]], 9, [[5], [6, 6]], 3),
        ([[EOS, 7], [EOS, 7]], 9, [[], []], 1),
        ([[5, 6, 7], [EOS, 7, 7]], 2, [[5, 6], []], 2),
    ],
    ids=["each to its end", "nothing to say", "the limit"],
)
def test_an_answer_ends_at_the_first_end_of_text_or_at_the_limit(said, limit, answers, passes):
    decoder = Recites(said)
    assert greedy(decoder, Echo(), torch.zeros(2, 3, WIDTH), EOS, limit) == answers
    assert decoder.passes == passes
