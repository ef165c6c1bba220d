"""Language models of other families, as they come: loaded, assembled, answering as transformers does."""

from __future__ import annotations

import copy
import json
import re

import numpy as np
import pytest
import torch
from PIL import Image
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

from pipeline.errors import UserError
from pipeline.models import encoder, language_model, llava
from pipeline.models.chat import ChatFormat, encode, encode_behind, encode_words
from pipeline.models.generation import answer_all
from pipeline.models.vocabulary import IMAGE
from pipeline.params import ProjectorParams
from pipeline.training.turns import Turns

SIZE = {
    "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
    "num_key_value_heads": 1, "pad_token_id": 0, "max_position_embeddings": 256,
}  # fmt: skip
CHATML = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful AI assistant named SmolLM.<|im_end|>\n' }}{% endif %}"
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
"""SmolLM2's and, but for the name, Qwen2's: a system prompt by default."""
QWEN3 = (
    "{%- for message in messages %}{%- if message.role == 'user' %}"
    "{{- '<|im_start|>user\n' + message.content + '<|im_end|>\n' }}{%- else %}"
    "{{- '<|im_start|>assistant\n' }}{%- if loop.last %}{{- '<think>\n\n</think>\n\n' }}{%- endif %}"
    "{{- message.content + '<|im_end|>\n' }}{%- endif %}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}"
    "{%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\n\n</think>\n\n' }}"
    "{%- endif %}{%- endif %}"
)
"""The thinking of the last answer alone, as Qwen3's template has it."""
LLAMA3 = (
    "{{- bos_token }}{%- if not date_string is defined %}{%- set date_string = strftime_now('%d %b %Y') %}"
    "{%- endif %}{{- '<|im_start|>system\nToday is ' + date_string + '<|im_end|>' }}"
    "{%- for message in messages %}"
    "{{- '<|im_start|>' + message['role'] + '\n\n'+ message['content'] | trim + '<|im_end|>' }}"
    "{%- endfor %}{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n\n' }}{%- endif %}"
)
"""Llama 3.2's date, and its trimming of texts."""
GEMMA = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    "{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate') }}{% endif %}"
    "{% set role = 'model' if message['role'] == 'assistant' else message['role'] %}"
    "{{ '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{'<start_of_turn>model\n'}}{% endif %}"
)
"""Its answers end with another token than its texts."""
FAMILIES = {
    "llama": (CHATML, "<|im_end|>", {}),
    "llama3": (LLAMA3, "<|im_end|>", {}),
    "qwen2": (CHATML, "<|im_end|>", {"tie_word_embeddings": True, "extra_rows": 7}),
    "qwen3": (QWEN3, "<|im_end|>", {"head_dim": 8}),
    "mistral": (CHATML, "<|im_end|>", {"sliding_window": 64, "head_dim": 8}),
    "gemma": (GEMMA, "<end_of_turn>", {"head_dim": 8}),
    "gemma3_text": (GEMMA, "<end_of_turn>", {
        "head_dim": 8, "sliding_window": 8, "layer_types": ["sliding_attention", "full_attention"],
        "query_pre_attn_scalar": 8,
    }),
    "lfm2": (CHATML, "<|im_end|>", {
        "layer_types": ["conv", "full_attention"], "block_auto_adjust_ff_dim": False,
    }),
}  # fmt: skip


def byte_tokenizer(template):
    """A byte-level tokenizer with a few merges, a text's end, no padding token, and turn marks of its own."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [
        ("Ġ", "r"),
        ("Ġr", "e"),
        ("Ġre", "d"),
        ("r", "e"),
        ("re", "d"),
        ("Ġ", "c"),
        ("Ġc", "u"),
        ("Ġcu", "p"),
    ]
    pieces = [*alphabet, *("".join(pair) for pair in merges)]
    inner = Tokenizer(models.BPE({piece: row for row, piece in enumerate(pieces)}, merges))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    marks = ["<bos>", "<eos>", "<|im_start|>", "<|im_end|>", "<start_of_turn>", "<end_of_turn>"]
    inner.add_special_tokens([AddedToken(mark, special=True, normalized=False) for mark in marks])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="<bos>", eos_token="<eos>")
    tokenizer.chat_template = template
    return tokenizer


def a_folder(folder, family, template=None):
    """A random language model of a family with its tokenizer, as if from the hub."""
    own, _, settings = FAMILIES[family]
    settings = dict(settings)
    tokenizer = byte_tokenizer(template or own)
    rows = len(tokenizer) + settings.pop("extra_rows", 0)
    config = AutoConfig.for_model(
        "llama" if family == "llama3" else family, **SIZE, vocab_size=rows, **settings
    )
    torch.manual_seed(4)
    model = AutoModelForCausalLM.from_config(config).eval()
    for value in model.parameters():
        if value.ndim > 1:
            value.data.normal_(0, 0.3)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def message(question):
    return [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": question}]}]


@pytest.mark.parametrize("family", FAMILIES)
@torch.inference_mode()
def test_a_family_goes_through_assembly_and_says_what_plain_transformers_says(
    family, encoder_folder, tmp_path
):
    a_folder(tmp_path, family)
    projector = ProjectorParams(kind="linear", feature_layers=[-1])
    model, processor = llava.assemble(encoder_folder, tmp_path, projector, seed=1)
    model.eval()
    for value in model.model.multi_modal_projector.parameters():
        value.normal_(0, 0.5)
    llava.save(model, processor, tmp_path / "whole")
    plain, reader = llava.load(tmp_path / "whole")
    tokenizer = processor.tokenizer
    _, end, _ = FAMILIES[family]
    assert tokenizer.eos_token == end
    assert plain.generation_config.eos_token_id == tokenizer.convert_tokens_to_ids(end)
    assert tokenizer.pad_token_id is not None
    chat = ChatFormat.of(tokenizer, IMAGE)
    said = set()
    for seed in range(3):
        noise = np.random.default_rng(seed).integers(0, 256, (32, 32, 3), np.uint8)
        options = {"enable_thinking": False, "date_string": "26 Jul 2024"}
        prompt = reader.apply_chat_template(message("what ?"), add_generation_prompt=True, **options)
        inputs = reader(
            images=Image.fromarray(noise), text=prompt, return_tensors="pt", add_special_tokens=False
        )
        ids = inputs["input_ids"][0]
        text = plain.eval().generate(**inputs, max_new_tokens=6, do_sample=False)[0, len(ids) :].tolist()
        features = encoder.patch_tokens(model.model.vision_tower, inputs["pixel_values"], [-1])
        before = torch.tensor(encode(tokenizer, [chat.before_image])[0], dtype=torch.long)
        prefix = llava.prefix_embeddings(model, before, llava.project(model, features))
        asked = encode_behind(tokenizer, [chat.prompt("what ?")], IMAGE)
        assert [*before.tolist(), *[model.config.image_token_id] * 16, *asked[0]] == ids.tolist()
        (ours,) = answer_all(
            llava.decoder_of(model), model.lm_head, lambda rows, prefix=prefix: prefix,
            np.array([prefix.shape[1]]), asked, tokenizer.eos_token_id, 6, 1,
        )  # fmt: skip
        assert ours == [token for token in text if token != tokenizer.eos_token_id]
        said.add(tuple(ours))
    assert len(said) > 1


@pytest.mark.parametrize("family", ["llama", "llama3", "qwen3", "gemma"])
def test_a_conversation_in_parts_is_what_the_template_renders(family, tmp_path):
    _, tokenizer = language_model.load(a_folder(tmp_path, family))
    chat = ChatFormat.of(tokenizer, IMAGE)
    texts = ["what ?", "a red cup", "and then ?", "two", "why ?", "so"]
    roles = ["user", "assistant"] * 3
    messages = [{"role": role, "content": text} for role, text in zip(roles, texts, strict=True)]
    messages[0]["content"] = IMAGE + texts[0]
    options = {"enable_thinking": False, "date_string": "26 Jul 2024"}
    rendered = tokenizer.apply_chat_template(messages, tokenize=False, **options)
    segments = chat.dialogue(texts)
    assert len(segments) == 6
    assert chat.before_image + IMAGE + "".join(segments) == rendered
    for answer, text in zip(
        segments[1::2], texts[1::2], strict=True
    ):  # what is learned: answers to their end
        assert re.fullmatch(rf"{text}<(\|im_end\||end_of_turn)>\n?", answer)
    turns = Turns.of(tokenizer, [([segments], np.array([0]))], 1, IMAGE)
    whole = encode(tokenizer, [rendered])[0]
    assert [*whole[: len(whole) - len(turns.tokens)], *turns.tokens] == whole
    learned = tokenizer.decode(turns.tokens[turns.learned])
    assert learned == "".join(segments[1::2])


def test_words_are_tokens_as_they_read_in_a_sentence():
    tokenizer = byte_tokenizer(CHATML)
    spaced = tokenizer.convert_tokens_to_ids(["Ġred", "Ġcup"])
    assert encode_words(tokenizer, ["red cup", "cup", ""]) == [spaced, spaced[1:], []]
    assert encode(tokenizer, ["red"])[0] == tokenizer.convert_tokens_to_ids(["red"])  # another token


def test_the_answer_begins_where_it_does_though_a_token_holds_the_space_before_it():
    """Vicuna: the prompt ends with a colon, the answer's first token takes the space in."""
    tokenizer = byte_tokenizer(None)
    tokenizer.chat_template = language_model.chat_template.named("vicuna")
    chat = ChatFormat.of(tokenizer, IMAGE)
    assert chat.before_image.endswith("to the user's questions. USER: ")
    assert (chat.before_user, chat.before_assistant, chat.before_answer) == ("\n", " ASSISTANT:", " ")
    segments = chat.dialogue(["what ?", "red cup", "more ?", "red"])
    assert segments == [
        "\nwhat ? ASSISTANT:", " red cup<eos>", "USER: more ? ASSISTANT:", " red<eos>",
    ]  # fmt: skip
    turns = Turns.of(tokenizer, [([segments], np.array([0]))], 1, IMAGE)
    learned = tokenizer.convert_ids_to_tokens(turns.tokens[turns.learned].tolist())
    assert learned == ["Ġred", "Ġcup", "<eos>", "Ġred", "<eos>"]


@pytest.mark.parametrize("template", ["vicuna", "chatml"])
def test_the_templates_that_come_with_the_project_take_images_and_turns(template):
    tokenizer = byte_tokenizer(None)
    tokenizer.chat_template = language_model.chat_template.named(template)
    chat = ChatFormat.of(tokenizer, IMAGE)
    rendered = tokenizer.apply_chat_template(message("what ?"), tokenize=False, add_generation_prompt=True)
    assert rendered == chat.before_image + IMAGE + chat.prompt("what ?")


def test_a_tokenizer_without_a_template_is_told_what_to_set(tmp_path):
    a_folder(tmp_path, "llama", template="x")
    (tmp_path / "chat_template.jinja").unlink()
    _, tokenizer = language_model.load(tmp_path)
    with pytest.raises(UserError, match=r"language_model\.pretrained\.chat_template: vicuna"):
        ChatFormat.of(tokenizer, IMAGE)
    _, tokenizer = language_model.load(tmp_path, "vicuna")
    assert "USER" in ChatFormat.of(tokenizer, IMAGE).before_image
    with pytest.raises(UserError, match="neither one of chatml, vicuna nor a file"):
        language_model.load(tmp_path, "vicunna")


def test_embeddings_without_words_are_not_cut_off(encoder_folder, tmp_path):
    """Qwen2 has more rows than words; the image's token takes one that is free."""
    a_folder(tmp_path, "qwen2")
    decoder, tokenizer = language_model.load(tmp_path)
    model, _ = llava.assemble(
        encoder_folder, tmp_path, ProjectorParams(kind="linear", feature_layers=[-1]), 0
    )
    assert len(decoder.get_input_embeddings().weight) > len(tokenizer)
    assert torch.equal(model.get_input_embeddings().weight, decoder.get_input_embeddings().weight)
    assert model.config.image_token_id == len(tokenizer)


def test_marks_that_were_special_stay_so(encoder_folder, tmp_path):
    a_folder(tmp_path, "llama")
    _, processor = llava.assemble(
        encoder_folder, tmp_path, ProjectorParams(kind="linear", feature_layers=[-1]), 0
    )
    ids = processor.tokenizer("<|im_start|>red<|im_end|>", add_special_tokens=False)["input_ids"]
    assert processor.tokenizer.decode(ids, skip_special_tokens=True) == "red"


def test_gemma_reads_its_word_embeddings_times_a_factor(tmp_path):
    model, _ = language_model.load(a_folder(tmp_path, "gemma3_text"))
    ids = torch.arange(5)
    read = model.get_input_embeddings()(ids)
    assert torch.equal(language_model.word_embeddings(model)[ids], read)
    assert not torch.allclose(model.get_input_embeddings().weight[ids], read)
    plain, _ = language_model.load(a_folder(tmp_path / "llama", "llama"))
    assert language_model.word_embeddings(plain) is plain.get_input_embeddings().weight


@pytest.mark.parametrize(
    ("family", "settings"),
    [
        ("gemma2", {"head_dim": 8, "query_pre_attn_scalar": 8, "final_logit_softcapping": 0.5}),
        ("granite", {"logits_scaling": 4.0}),
        ("phi", {"num_key_value_heads": 2}),  # a bias in its output head
    ],
)
def test_a_model_that_does_more_to_its_logits_than_llava_can_is_refused(tmp_path, family, settings):
    config = AutoConfig.for_model(family, **(SIZE | {"vocab_size": 300} | settings))
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config)
    for value in model.parameters():
        value.data.normal_(0, 0.3)
    model.save_pretrained(tmp_path)
    byte_tokenizer(CHATML).save_pretrained(tmp_path)
    with pytest.raises(UserError, match="LLaVA"):
        language_model.load(tmp_path)


def test_a_gguf_file_is_read(tmp_path):
    gguf = pytest.importorskip("gguf")
    from gguf_writer import write

    model = write(gguf, tmp_path / "small.gguf")
    loaded, tokenizer = language_model.load(tmp_path / "small.gguf", "chatml")
    assert isinstance(loaded, LlamaForCausalLM)
    ids = torch.tensor([[3, 1, 4, 1, 5]])
    with torch.no_grad():
        torch.testing.assert_close(loaded(ids).logits, model(ids).logits, atol=1e-4, rtol=1e-3)
    assert tokenizer.chat_template


def small_llama(folder):
    LlamaForCausalLM(LlamaConfig(**SIZE, vocab_size=len(byte_tokenizer(CHATML)))).save_pretrained(folder)
    byte_tokenizer(CHATML).save_pretrained(folder)
    return folder


def test_weights_that_hold_code_are_not_run(tmp_path):
    small_llama(tmp_path)
    made = tmp_path / "made by the pickle"

    class Code:
        def __reduce__(self):
            return open, (str(made), "w")

    (tmp_path / "model.safetensors").unlink()
    torch.save({"model.norm.weight": Code()}, tmp_path / "pytorch_model.bin")
    with pytest.raises(UserError, match=r"language_model.*safetensors"):
        language_model.load(tmp_path)
    assert not made.exists()


def test_weights_as_plain_tensors_in_a_torch_file_are_read(tmp_path):
    small_llama(tmp_path)
    expected, _ = language_model.load(tmp_path)
    state = copy.deepcopy(expected.state_dict())
    (tmp_path / "model.safetensors").unlink()
    torch.save(state, tmp_path / "pytorch_model.bin")
    loaded, _ = language_model.load(tmp_path)
    assert all(torch.equal(loaded.state_dict()[name], value) for name, value in state.items())


@pytest.mark.parametrize("known", [True, False])
def test_code_that_comes_with_a_model_is_not_run(tmp_path, known):
    """Of a kind that transformers knows its own class is taken; any other is refused."""
    small_llama(tmp_path)
    made = tmp_path / "made by remote code"
    (tmp_path / "modeling_other.py").write_text(f"open({str(made)!r}, 'w')\nclass Other: pass\n")
    config = json.loads((tmp_path / "config.json").read_text())
    names = ("AutoConfig", "AutoModelForCausalLM")
    config["auto_map"] = {name: "modeling_other.Other" for name in names}
    if not known:
        config["model_type"] = "other"
    (tmp_path / "config.json").write_text(json.dumps(config))
    if known:
        model, _ = language_model.load(tmp_path)
        assert isinstance(model, LlamaForCausalLM)
    else:
        with pytest.raises(UserError, match="never run"):
            language_model.load(tmp_path)
    assert not made.exists()
