"""The assembled model: what is saved is an ordinary LLaVA, and our shorter paths through it are the same."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    AutoProcessor,
    LlamaConfig,
    LlamaForCausalLM,
    LlavaForConditionalGeneration,
    PreTrainedTokenizerFast,
)

from pipeline.errors import UserError
from pipeline.models import encoder, language_model, llava
from pipeline.models.chat import ChatFormat, encode
from pipeline.models.generation import answer_all
from pipeline.models.vocabulary import IMAGE
from pipeline.params import ProjectorParams
from pipeline.training.images import normalise


def picture(seed=0, size=(32, 32)):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), np.uint8))


def message(question):
    return [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": question}]}]


def logits_of(model, processor, question="What colour is the cup?"):
    prompt = processor.apply_chat_template(message(question), add_generation_prompt=True)
    inputs = processor(images=picture(), text=prompt, return_tensors="pt")
    with torch.inference_mode():
        return model(**inputs).logits


def weights(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def test_parts_are_those_that_were_put_in(small_llava, encoder_folder, language_model_folder):
    model, _ = small_llava
    tower, _ = encoder.load(encoder_folder)
    decoder, _ = language_model.load(language_model_folder)
    for ours, theirs in (
        (model.model.vision_tower, tower),
        (model.model.language_model, decoder.get_decoder()),
        (model.lm_head, decoder.lm_head),
    ):
        assert weights(ours).keys() == weights(theirs).keys()
        for name, value in weights(theirs).items():
            assert torch.equal(weights(ours)[name], value), name


def test_an_assembly_is_a_new_model_with_the_parts_copied_into_it(encoder_folder, language_model_folder):
    """The plain way: the whole model filled with random numbers first."""
    projector = ProjectorParams(kind="mlp", feature_layers=[0, -1])
    model, _ = llava.assemble(encoder_folder, language_model_folder, projector, 5)
    drawn_next = torch.rand(3)
    tower, _ = encoder.load(encoder_folder)
    decoder, _ = language_model.load(language_model_folder)
    torch.manual_seed(5)
    plain = LlavaForConditionalGeneration(model.config)
    assert torch.equal(drawn_next, torch.rand(3))
    plain.model.vision_tower.load_state_dict(tower.state_dict())
    plain.model.language_model.load_state_dict(decoder.get_decoder().state_dict())
    plain.lm_head.load_state_dict(decoder.lm_head.state_dict())
    for kind in ("named_parameters", "named_buffers"):
        ours, theirs = (dict(getattr(each, kind)()) for each in (model, plain))
        assert list(ours) == list(theirs) and ours
        for name, value in theirs.items():
            assert torch.equal(ours[name], value) and ours[name].dtype == value.dtype, name
            assert ours[name].requires_grad == value.requires_grad, name


def test_the_projector_depends_on_the_seed_alone(encoder_folder, language_model_folder):
    projector = ProjectorParams(kind="mlp", feature_layers=[0, -1])
    made = []
    for seed in (5, 5, 6):
        torch.rand(3)  # whatever was drawn before
        model, _ = llava.assemble(encoder_folder, language_model_folder, projector, seed)
        made.append(weights(model.model.multi_modal_projector))
    first, again, other = made
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["linear_1.weight"], other["linear_1.weight"])
    assert first["linear_1.weight"].shape == (16, 32)  # two layers of the encoder side by side


@torch.no_grad()
def test_a_linear_projector_is_linear(encoder_folder, language_model_folder):
    projector = ProjectorParams(kind="linear", feature_layers=[-1])
    model, _ = llava.assemble(encoder_folder, language_model_folder, projector, 1)
    a, b = torch.randn(1, 16, 16), torch.randn(1, 16, 16)
    middle = llava.project(model, (a + b) / 2)
    torch.testing.assert_close(middle, (llava.project(model, a) + llava.project(model, b)) / 2)


def test_a_saved_model_gives_the_same_logits(small_llava, tmp_path):
    model, processor = small_llava
    llava.save(model, processor, tmp_path)
    loaded, loaded_processor = llava.load(tmp_path)
    assert torch.equal(logits_of(loaded.eval(), loaded_processor), logits_of(model, processor))
    assert loaded.config.image_token_id == processor.tokenizer.convert_tokens_to_ids(IMAGE)
    assert loaded.config.pad_token_id == processor.tokenizer.pad_token_id
    assert loaded.generation_config.eos_token_id == processor.tokenizer.eos_token_id


def test_a_checkpoint_of_another_model_is_refused(small_llava, language_model_folder, tmp_path):
    with pytest.raises(UserError, match="lfm2 model, not a LLaVA"):
        llava.load(language_model_folder)
    llava.save(*small_llava, tmp_path)
    held = load_file(tmp_path / "model.safetensors")
    lost = next(name for name in held if "multi_modal_projector" in name)
    save_file({name: value for name, value in held.items() if name != lost}, tmp_path / "model.safetensors")
    with pytest.raises(UserError, match=r"lacks 1 weights.*multi_modal_projector"):
        llava.load(tmp_path)


def our_answer(model, processor, pixels, question, limit):
    """The path of evaluation: features as they are cached, projected, answered behind."""
    tokenizer = processor.tokenizer
    chat = ChatFormat.of(tokenizer, IMAGE)
    layers = model.config.vision_feature_layer
    features = encoder.patch_tokens(model.model.vision_tower, pixels, layers).half().float()
    before = torch.tensor(encode(tokenizer, [chat.before_image])[0])
    with torch.inference_mode():
        prefix = llava.prefix_embeddings(model, before, llava.project(model, features))
    (ids,) = answer_all(
        llava.decoder_of(model),
        model.lm_head,
        lambda rows: prefix,
        np.array([prefix.shape[1]]),
        encode(tokenizer, [chat.prompt(question)]),
        tokenizer.eos_token_id,
        limit,
        1,
    )
    return tokenizer.decode(ids, skip_special_tokens=True).strip()


def test_plain_transformers_says_what_our_own_path_says(small_llava, tmp_path):
    """Only public classes on one side: what a user does with the exported folder."""
    model, processor = small_llava
    torch.manual_seed(2)
    for value in model.parameters():  # large enough that pictures and questions matter
        if value.ndim > 1:
            value.data.normal_(0, 0.3)
    llava.save(model, processor, tmp_path)
    plain = LlavaForConditionalGeneration.from_pretrained(tmp_path).eval()
    reader = AutoProcessor.from_pretrained(tmp_path)
    said = []
    for seed in range(4):
        for question in ("What colour is the cup?", "where is the star ?"):
            prompt = reader.apply_chat_template(message(question), add_generation_prompt=True)
            inputs = reader(images=picture(seed), text=prompt, return_tensors="pt")
            ids = plain.generate(**inputs, max_new_tokens=10, do_sample=False)
            text = reader.decode(ids[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True).strip()
            pixels = torch.from_numpy(np.asarray(picture(seed)).transpose(2, 0, 1).copy())[None]
            ours = normalise(pixels, encoder.PIXEL_MEAN, encoder.PIXEL_STD)
            torch.testing.assert_close(ours, inputs["pixel_values"], atol=1e-5, rtol=0)
            assert our_answer(model, processor, ours, question, 10) == text
            said.append(text)
    assert len(set(said)) > 2  # pictures and questions matter
    assert all(said)


def test_the_prompt_holds_a_token_for_every_patch(small_llava):
    _, processor = small_llava
    prompt = processor.apply_chat_template(message("what ?"), add_generation_prompt=True)
    ids = processor(images=picture(), text=prompt, return_tensors="pt")["input_ids"][0].tolist()
    image = processor.tokenizer.convert_tokens_to_ids(IMAGE)
    assert ids.count(image) == 16
    chat = ChatFormat.of(processor.tokenizer, IMAGE)
    around = encode(processor.tokenizer, [chat.before_image, chat.prompt("what ?")])
    assert ids == [*around[0], *[image] * 16, *around[1]]


@pytest.mark.parametrize("tied", [False, True])
def test_a_language_model_without_an_image_token_is_given_one(encoder_folder, words, tmp_path, tied):
    """Pretrained models: the embeddings that were there stay as they were."""
    known = ["<pad>", "<s>", "</s>", "<unk>", "a", "red", "cup"]
    plain = Tokenizer(models.WordLevel({word: row for row, word in enumerate(known)}, "<unk>"))
    plain.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=plain, pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )
    tokenizer.chat_template = words.chat_template
    torch.manual_seed(0)
    decoder = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer), hidden_size=16, intermediate_size=32, num_hidden_layers=1,
            num_attention_heads=2, tie_word_embeddings=tied,
        )
    )  # fmt: skip
    decoder.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    projector = ProjectorParams(kind="mlp", feature_layers=[-2])
    model, processor = llava.assemble(encoder_folder, tmp_path, projector, 0)
    old = len(tokenizer)
    assert processor.tokenizer.convert_tokens_to_ids(IMAGE) == old == model.config.image_token_id
    assert torch.equal(model.get_input_embeddings().weight[:old], decoder.get_input_embeddings().weight)
    assert torch.equal(model.lm_head.weight[:old], decoder.lm_head.weight)
    shared = model.lm_head.weight.data_ptr() == model.get_input_embeddings().weight.data_ptr()
    assert shared == tied
    llava.save(model, processor, tmp_path / "whole")
    loaded, loaded_processor = llava.load(tmp_path / "whole")
    assert torch.equal(logits_of(loaded.eval(), loaded_processor), logits_of(model.eval(), processor))
