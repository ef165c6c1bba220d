"""Word embeddings without the rest of a language model: the same words and the same first projector."""

from __future__ import annotations

import json
import resource

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    CLIPVisionConfig,
    GemmaConfig,
    LlamaConfig,
    LlamaForCausalLM,
    LlavaConfig,
    LlavaForConditionalGeneration,
    Qwen2Config,
    SiglipVisionConfig,
)

from pipeline.errors import UserError
from pipeline.models import first_weights, llava, word_table
from pipeline.params import ProjectorParams

PROJECTOR = ProjectorParams(kind="mlp", feature_layers=[0, -1])


@pytest.mark.parametrize("piece", [32, first_weights.PIECE])
def test_words_and_projector_are_those_of_the_whole_model(
    encoder_folder, language_model_folder, monkeypatch, piece
):
    monkeypatch.setattr(first_weights, "PIECE", piece)
    whole, processor = llava.assemble(encoder_folder, language_model_folder, PROJECTOR, seed=5)
    bare, tokenizer = word_table.assemble(encoder_folder, language_model_folder, PROJECTOR, seed=5)
    assert torch.equal(bare.get_input_embeddings().weight, whole.get_input_embeddings().weight)
    ours, theirs = (model.model.multi_modal_projector.state_dict() for model in (bare, whole))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs) and ours.keys() == theirs.keys()
    assert tokenizer.get_vocab() == processor.tokenizer.get_vocab()
    assert len(bare.model.language_model.layers) == 0
    features = torch.randn(2, 16, 32)
    torch.testing.assert_close(llava.project(bare, features), llava.project(whole, features))


@pytest.mark.parametrize("vision", [CLIPVisionConfig, SiglipVisionConfig])
@pytest.mark.parametrize("text", [LlamaConfig, Qwen2Config, GemmaConfig])
def test_first_weights_are_those_of_families_of_models(vision, text, monkeypatch):
    monkeypatch.setattr(first_weights, "PIECE", 64)
    sizes = {"hidden_size": 32, "intermediate_size": 40, "num_hidden_layers": 1, "num_attention_heads": 2}
    tower = vision(**sizes, image_size=32, patch_size=8)
    words = text(**sizes, num_key_value_heads=1, head_dim=16, vocab_size=51, pad_token_id=0)
    config = LlavaConfig(vision_config=tower, text_config=words, image_token_index=5)
    part = "model.multi_modal_projector"
    found = first_weights.of_part(lambda: LlavaForConditionalGeneration(config), part, 3)
    drawn_next = torch.rand(3)
    torch.manual_seed(3)
    whole = LlavaForConditionalGeneration(config)
    assert torch.equal(drawn_next, torch.rand(3))
    expected, weights = whole.get_submodule(part).state_dict(), found.get_submodule(part).state_dict()
    assert weights.keys() == expected.keys()
    assert all(torch.equal(weights[name], value) for name, value in expected.items())
    decoder = found.model.language_model
    assert all(value.is_meta for value in decoder.parameters() if value.ndim > 1)
    buffers = dict(found.named_buffers())
    assert buffers.keys() == dict(whole.named_buffers()).keys() and len(buffers)
    assert all(torch.equal(buffers[name], value) for name, value in whole.named_buffers())


def test_first_weights_take_no_memory_for_the_rest(monkeypatch):
    """A language model of a billion weights, of which none is allocated or drawn."""
    spent = []
    monkeypatch.setattr(
        first_weights, "_spend", lambda func, tensor, args, kwargs: spent.append(tensor.numel())
    )
    vision = CLIPVisionConfig(
        hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2
    )
    text = LlamaConfig(hidden_size=4096, intermediate_size=11008, num_hidden_layers=5, vocab_size=32000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = first_weights.of_part(
        lambda: LlavaForConditionalGeneration(LlavaConfig(vision_config=vision, text_config=text)),
        "model.multi_modal_projector", 1,
    )  # fmt: skip
    assert sum(spent) > 1e9
    drawn = found.model.multi_modal_projector.linear_2.weight
    assert drawn.shape == (4096, 4096) and drawn.std() > 0
    assert (
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1e6
    )  # KiB; the weights would take 4 GB


def test_no_layer_of_the_language_model_is_read(encoder_folder, language_model_folder, tmp_path):
    """A folder whose weights are the embeddings alone is enough."""
    for file in language_model_folder.iterdir():
        if file.suffix == ".json":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = load_file(language_model_folder / "model.safetensors")
    words = {name: value for name, value in weights.items() if "embed_tokens" in name}
    assert len(words) == 1 < len(weights)
    save_file(words, tmp_path / "model.safetensors", {"format": "pt"})
    model, _ = word_table.assemble(encoder_folder, tmp_path, PROJECTOR, seed=5)
    assert torch.equal(model.get_input_embeddings().weight, next(iter(words.values())))


def test_the_file_that_holds_them_is_found_among_several(tmp_path):
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=50, hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2
    )
    model = LlamaForCausalLM(config)
    model.save_pretrained(tmp_path, max_shard_size="3KB")
    assert (
        len(set(json.loads((tmp_path / "model.safetensors.index.json").read_text())["weight_map"].values()))
        > 1
    )
    assert torch.equal(word_table.read(tmp_path), model.get_input_embeddings().weight)


def test_weights_that_are_no_safetensors_are_refused(language_model_folder, tmp_path):
    for file in language_model_folder.iterdir():
        if file.suffix == ".json":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    with pytest.raises(UserError, match=r"gives no word embeddings .*saved as safetensors"):
        word_table.read(tmp_path)
