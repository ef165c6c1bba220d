"""The patch loss on two families: which token sees what, where the gradient goes, that training lowers it."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
    Qwen2VLImageProcessor,
    Qwen2VLVideoProcessor,
    Trainer,
    TrainingArguments,
)

from pipeline.errors import UserError
from pipeline.models import adapters, llava
from pipeline.models.adapters.base import Adapter
from pipeline.params import ProjectorParams
from pipeline.patches.coverage import box_coverage
from pipeline.tables import dataset, schemas
from pipeline.tables.dataset import Provenance
from pipeline.training import aligned

VISION = ["<|vision_start|>", "<|image_pad|>", "<|video_pad|>", "<|vision_end|>"]
WORDS = ["<pad>", "</s>", *VISION, "a", "red", "cup", "blue", "star"]
SIZES = {"wide": (260, 60), "high": (70, 190), "square": (112, 112)}


def qwen():
    """A small random Qwen2.5-VL: 2 x 2 patches of 14 pixels a token, windows of 56 pixels in every layer."""
    inner = Tokenizer(models.WordLevel({word: row for row, word in enumerate(WORDS)}, "a"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="<pad>", eos_token="</s>",
        additional_special_tokens=VISION,
    )  # fmt: skip
    text = {
        "vocab_size": len(WORDS), "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_key_value_heads": 1,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 3, 3]},
    }  # fmt: skip
    vision = {
        "depth": 2, "hidden_size": 16, "intermediate_size": 24, "num_heads": 2, "out_hidden_size": 32,
        "patch_size": 14, "spatial_merge_size": 2, "window_size": 56, "fullatt_block_indexes": [1],
    }  # fmt: skip
    torch.manual_seed(1)
    model = Qwen2_5_VLForConditionalGeneration(
        Qwen2_5_VLConfig(
            text_config=text, vision_config=vision, image_token_id=3, video_token_id=4,
            vision_start_token_id=2, vision_end_token_id=5,
        )
    )  # fmt: skip
    processor = Qwen2_5_VLProcessor(
        Qwen2VLImageProcessor(min_pixels=28 * 28 * 4, max_pixels=28 * 28 * 40),
        tokenizer,
        Qwen2VLVideoProcessor(),
    )
    return model.eval(), processor


@pytest.fixture
def family(request, encoder_folder, language_model_folder):
    """(model, processor, prompt with an image) of the family that a test names."""
    if request.param == "qwen2_5_vl":
        return *qwen(), "<|vision_start|> <|image_pad|> <|vision_end|> a red cup </s>"
    projector = ProjectorParams(kind="mlp", feature_layers=[-1])
    model, processor = llava.assemble(encoder_folder, language_model_folder, projector, seed=2)
    return model.eval(), processor, "<s><image><user>a<assistant>a red cup</s>"


both = pytest.mark.parametrize("family", ["llava", "qwen2_5_vl"], indirect=True)


def pictures(*sizes, box=None):
    """Grey pictures; with ``box``, white within it."""
    made = []
    for size in sizes:
        picture = Image.new("RGB", size, (110, 110, 110))
        if box is not None:
            picture.paste((255, 255, 255), tuple(box))
        made.append(picture)
    return made


def inputs_of(processor, prompt, images):
    return processor(images=images, text=[prompt] * len(images), return_tensors="pt", padding=True)


def without_attention(model):
    """Blocks of the vision encoder that add nothing: a token then hangs on its own pixels alone."""
    for name, value in model.named_parameters():
        if "visual.blocks" in name and (".attn.proj" in name or ".mlp.down_proj" in name):
            value.data.zero_()
        if "vision_tower" in name and ("out_proj" in name or "fc2" in name):
            value.data.zero_()


@both
@pytest.mark.parametrize("size", SIZES)
@torch.no_grad()
def test_the_token_that_sees_a_bright_patch_is_the_one_that_the_adapter_names(family, size):
    model, processor, prompt = family
    adapter = adapters.of(model)
    width, height = SIZES[size]
    geometry = adapter.geometry(model.config, processor, width, height)
    rows, columns = geometry.grid
    without_attention(model)
    scale_x, scale_y, shift_x, shift_y = (float(value[0]) for value in geometry.transform(width, height))
    for row in range(rows):
        for column in range(columns):
            # The middle of the patch, in pixels of the picture: blurred edges stay within the patch.
            middle = (np.array([column, row]) + 0.5) * geometry.patch[::-1]
            place = (middle - [shift_x, shift_y]) / [scale_x, scale_y]
            reach = 0.3 * np.array(geometry.patch[::-1]) / [scale_x, scale_y]
            box = [*np.floor(place - reach).astype(int), *np.ceil(place + reach).astype(int)]
            plain, bright = (
                tokens_of(adapter, model, inputs_of(processor, prompt, images))[0]
                for images in (pictures((width, height)), pictures((width, height), box=box))
            )
            assert len(plain) == rows * columns
            change = (bright - plain).norm(dim=-1)
            coverage = box_coverage([box], width, height, geometry)
            named = coverage.patches[coverage.values.argmax()]
            assert change.argmax() == named == row * columns + column


def tokens_of(adapter, model, inputs):
    with adapter.watch(model) as seen:
        model(**inputs)
    (output,) = seen
    return adapter.tokens(output, inputs)


@torch.no_grad()
def test_grids_of_qwen_are_those_of_its_processor():
    model, processor = qwen()
    adapter = adapters.of(model)
    generator = np.random.default_rng(0)
    for width, height in generator.integers(20, 500, (40, 2)).tolist():
        geometry = adapter.geometry(model.config, processor, width, height)
        made = processor.image_processor(Image.new("RGB", (width, height)), return_tensors="pt")
        assert [1, *(2 * side for side in geometry.grid)] == made["image_grid_thw"][0].tolist()


@both
@torch.no_grad()
def test_tokens_of_a_batch_are_those_of_each_image_alone(family):
    model, processor, prompt = family
    adapter = adapters.of(model)
    generator = np.random.default_rng(1)
    images = [
        Image.fromarray(generator.integers(0, 256, (height, width, 3), np.uint8))
        for width, height in SIZES.values()
    ]
    together = tokens_of(adapter, model, inputs_of(processor, prompt, images))
    for image, found in zip(images, together, strict=True):
        geometry = adapter.geometry(model.config, processor, *image.size)
        (alone,) = tokens_of(adapter, model, inputs_of(processor, prompt, [image]))
        assert len(found) == geometry.patches
        torch.testing.assert_close(found, alone, atol=1e-5, rtol=1e-4)
    stacked = adapters.stack(together)
    assert stacked.shape[:2] == (3, max(map(len, together)))
    assert not stacked[1, len(together[1]) :].any()


@pytest.fixture
def data(tmp_path):
    """Two images of different shapes with a red cup and a blue star each, as tables."""
    sizes = {"i0": SIZES["wide"], "i1": SIZES["high"]}
    write(tmp_path, "images", [
        {"image_id": name, "image": {"bytes": b"", "path": None}, "sha256": "", "width": width,
         "height": height, "split": "train"} for name, (width, height) in sizes.items()
    ])  # fmt: skip
    word = {"start": 0, "end": 0}
    phrases, regions = [], []
    for name, (width, height) in sizes.items():
        for k, (text, box) in enumerate(
            [("red cup", [0, 0, width / 2, height]), ("blue star", [width / 2, 0, width, height])]
        ):
            words = [
                {"text": part, "lemma": part, "role": role} | word
                for part, role in zip(text.split(), ("attribute", "head"), strict=True)
            ]
            key = f"{name}/{k}"
            phrases.append({
                "phrase_id": key, "caption_id": name, "image_id": name, "text": text, "start": 0, "end": 1,
                "is_plural": False, "words": words,
            })  # fmt: skip
            regions.append({
                "region_id": key, "phrase_id": key, "image_id": name, "box": box, "mask": None, "score": 1.0,
                "annotator": "hand",
            })  # fmt: skip
    write(tmp_path, "phrases", phrases)
    write(tmp_path, "regions", regions)
    return tmp_path


def write(data, name, rows):
    dataset.write_part(data / name, 0, schemas.from_rows(name, rows), name, Provenance("", {}))


@both
def test_regions_lie_on_each_images_own_grid(family, data):
    model, processor, _ = family
    adapter = adapters.of(model)
    names = ["i1", "i0"]
    found = aligned.patch_words(model, processor, data, names).tensors(names)
    weights = found["region_weights"]
    for row, size in enumerate((SIZES["high"], SIZES["wide"])):
        geometry = adapter.geometry(model.config, processor, *size)
        halves = weights[row, :, : geometry.patches].reshape(2, *geometry.grid)
        assert not weights[row, :, geometry.patches :].any()
        expected = box_coverage([[0, 0, size[0] / 2, size[1]]], *size, geometry)
        dense = np.zeros(geometry.patches)
        dense[expected.patches] = np.where(expected.values >= 0.1, expected.values, 0)
        np.testing.assert_allclose(halves[0].ravel(), dense, atol=1e-6)
        assert halves[1].sum() > 0
    ids = processor.tokenizer(["red cup", "blue star"], add_special_tokens=False)["input_ids"]
    assert found["region_words"][0].tolist() == ids


@both
def test_the_gradient_reaches_the_projector_and_no_target(family, data):
    model, processor, prompt = family
    batch = a_batch(model, processor, prompt, data)
    del batch["labels"]  # the patch loss alone
    model.requires_grad_(True)
    loss, _ = aligned.patch_aligned_loss(model, batch, beta=1.0)
    assert 0.3 < loss.item() < 1.7
    loss.backward()
    reached = {
        name for name, value in model.named_parameters() if value.grad is not None and value.grad.any()
    }
    inside = ("visual.", "vision_tower.", "multi_modal_projector.")
    assert any(".merger." in name or "multi_modal_projector." in name for name in reached)
    assert all(any(place in name for place in inside) for name in reached)  # no word embedding, no decoder


def a_batch(model, processor, prompt, data):
    names = ["i0", "i1"]
    inputs = inputs_of(processor, prompt, pictures(SIZES["wide"], SIZES["high"]))
    inputs["labels"] = inputs["input_ids"].masked_fill(inputs["attention_mask"] == 0, -100)
    return {**inputs, **aligned.patch_words(model, processor, data, names).tensors(names)}


@both
@torch.no_grad()
def test_the_loss_is_the_models_own_plus_beta_times_that_of_patches(family, data):
    model, processor, prompt = family
    batch = a_batch(model, processor, prompt, data)
    own = model(**{name: batch[name] for name in batch if not name.startswith("region_")}).loss
    (zero, _), (one, outputs), (three, _) = (
        aligned.patch_aligned_loss(model, batch, beta=beta) for beta in (0.0, 1.0, 3.0)
    )
    assert zero.item() == pytest.approx(own.item(), rel=1e-5)
    assert (three - zero).item() == pytest.approx(3 * (one - zero).item(), rel=1e-4)
    assert one > zero
    assert outputs.logits.shape[:2] == batch["input_ids"].shape


@both
def test_training_with_transformers_own_trainer_lowers_it(family, data, tmp_path):
    model, processor, prompt = family
    batch = a_batch(model, processor, prompt, data)
    del batch["labels"]
    model.requires_grad_(False)
    for name, value in model.named_parameters():
        value.requires_grad_(".merger." in name or "multi_modal_projector." in name)

    class PatchTrainer(Trainer):
        def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
            loss, outputs = aligned.patch_aligned_loss(model, inputs, beta=1.0)
            return (loss, outputs) if return_outputs else loss

    before = aligned.patch_aligned_loss(model, batch, beta=1.0)[0].item()
    arguments = TrainingArguments(
        output_dir=str(tmp_path / "out"), max_steps=25, per_device_train_batch_size=1, learning_rate=0.02,
        report_to="none", use_cpu=True, remove_unused_columns=False, save_strategy="no", disable_tqdm=True,
        dataloader_pin_memory=False,
    )  # fmt: skip
    PatchTrainer(
        model=model, args=arguments, train_dataset=[0] * 25, data_collator=lambda rows: dict(batch)
    ).train()
    after = aligned.patch_aligned_loss(model.eval(), batch, beta=1.0)[0].item()
    assert after < 0.6 * before


def test_the_example_of_the_docs_trains(data, tmp_path, monkeypatch):
    """As it is written, but for the model's size and the names that it leaves to the reader."""
    model, processor = qwen()
    monkeypatch.chdir(data.parent)
    data.rename(data.parent / "data")
    page = (Path(__file__).parents[2] / "docs/models.md").read_text(encoding="utf-8")
    (block,) = [
        each for each in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "PatchTrainer" in each
    ]
    for line in ("model", "processor"):
        block, count = re.subn(rf"^{line} = .*from_pretrained.*\n", "", block, flags=re.MULTILINE)
        assert count == 1
    prompt = "<|vision_start|> <|image_pad|> <|vision_end|> a red cup </s>"

    def my_collate(rows):
        inputs = inputs_of(processor, prompt, pictures(*(row["size"] for row in rows)))
        return {**inputs, "labels": inputs["input_ids"].masked_fill(inputs["attention_mask"] == 0, -100)}

    place = {"model": model, "processor": processor, "image_ids": ["i0", "i1"], "my_collate": my_collate}
    exec(compile(block, "docs/models.md", "exec"), place)
    rows = [{"image_id": "i0", "size": SIZES["wide"]}, {"image_id": "i1", "size": SIZES["high"]}]
    before = {name: value.clone() for name, value in model.named_parameters()}
    arguments = TrainingArguments(
        output_dir="out", max_steps=1, per_device_train_batch_size=2, report_to="none", use_cpu=True,
        remove_unused_columns=False, save_strategy="no", disable_tqdm=True, dataloader_pin_memory=False,
        learning_rate=0.1,
    )  # fmt: skip
    trainer = place["PatchTrainer"](
        model=model, args=arguments, train_dataset=rows, data_collator=place["collate"]
    )
    trainer.train()
    moved = {name for name, value in model.named_parameters() if not torch.equal(value, before[name])}
    assert any("merger" in name for name in moved)


@both
def test_wrapping_the_model_changes_nothing(family, data):
    model, processor, prompt = family

    class Wrapped(torch.nn.Module):
        def __init__(self, module):
            super().__init__()
            self.module = module

        def forward(self, **inputs):
            return self.module(**inputs)

    batch = a_batch(model, processor, prompt, data)
    with torch.no_grad():
        plain, wrapped = (aligned.patch_aligned_loss(each, batch)[0] for each in (model, Wrapped(model)))
    assert torch.equal(plain, wrapped)
    projector = adapters.of(model).projector(model)
    before = len(projector._forward_hooks)
    aligned.patch_aligned_loss(model, batch)
    assert len(projector._forward_hooks) == before


def test_regions_of_other_images_are_not_taken_silently():
    with pytest.raises(ValueError, match="more than the 3 vision tokens"):
        aligned.fit(torch.ones(1, 1, 4), 3)
    assert aligned.fit(torch.tensor([[[1.0, 2.0, 0.0]]]), 2).tolist() == [[[1.0, 2.0]]]
    assert aligned.fit(torch.tensor([[[1.0, 2.0]]]), 4).tolist() == [[[1.0, 2.0, 0.0, 0.0]]]


def test_a_family_without_an_adapter_is_told_which_have_one():
    size = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=8, **size))
    with pytest.raises(UserError, match=r"llama model; it has for llava, qwen2_5_vl.*base\.py"):
        adapters.of(model)


def test_an_adapter_is_three_answers():
    assert Adapter.__abstractmethods__ == {"projector", "tokens", "geometry"}
