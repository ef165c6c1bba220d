"""The vision tower: open_clip's and transformers' forms of the same weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from open_clip_hidden import hidden_of
from PIL import Image
from transformers import CLIPConfig, CLIPModel, CLIPVisionConfig, CLIPVisionModel

from pipeline.errors import UserError
from pipeline.models import encoder, open_clip_tower, vocabulary
from pipeline.params import TrainedEncoderParams

open_clip = pytest.importorskip("open_clip")

SETTINGS = TrainedEncoderParams(
    width=32, layers=2, patch_size=8, image_size=32, embed_dim=24, steps=1, batch_size=4, learning_rate=0.01,
    views=0.5,
)  # fmt: skip
TOKENIZER = vocabulary.build(["a red cup and a blue star"], add_eos=True)


def a_clip(seed=0, quick=False, learned=False):
    config = encoder.open_clip_config(SETTINGS, 32, len(TOKENIZER), TOKENIZER.eos_token_id)
    if learned:
        del config["vision_cfg"]["pos_embed_type"]
    torch.manual_seed(seed)
    model = open_clip.model.CLIP(
        config["embed_dim"], dict(config["vision_cfg"]), dict(config["text_cfg"]), quick_gelu=quick
    )
    with torch.no_grad():  # norms and biases start at 1 and 0, which would hide a swap
        for value in model.parameters():
            value.add_(torch.randn_like(value) * 0.05)
    return model.eval(), config


@pytest.mark.parametrize("quick", [False, True], ids=["gelu", "quick_gelu"])
@pytest.mark.parametrize("learned", [False, True], ids=["sin_cos", "learned"])
@torch.no_grad()
def test_hidden_states_equal_those_of_open_clip(quick, learned):
    model, _ = a_clip(quick=quick, learned=learned)
    tower = open_clip_tower.convert(model.visual, 24)
    pixels = torch.randn(3, 3, 32, 32)
    expected = hidden_of(model.visual, pixels)
    found = tower(pixel_values=pixels, output_hidden_states=True).hidden_states
    assert len(found) == len(expected) == 3
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


def test_the_activation_matters_to_the_comparison():
    """Were the two activations alike on this input, the test above would prove nothing about them."""
    pixels = torch.randn(1, 3, 32, 32)
    plain, quick = (hidden_of(a_clip(quick=q)[0].visual, pixels)[-1] for q in (False, True))
    assert (plain - quick).abs().max() > 1e-3


@torch.no_grad()
def test_the_saved_folder_loads_in_open_clip(tmp_path):
    model, config = a_clip()
    encoder.save_open_clip(model, config, TOKENIZER, tmp_path)
    name = f"local-dir:{tmp_path}"
    loaded, _, preprocess = open_clip.create_model_and_transforms(name)
    loaded.eval()
    for key, value in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[key], value), key
    ids = open_clip.get_tokenizer(name)(["a red cup", "a blue star and a cup"])
    rows = [TOKENIZER(text)["input_ids"] for text in ("a red cup", "a blue star and a cup")]
    assert [row[: len(ours)].tolist() for row, ours in zip(ids, rows, strict=True)] == rows
    assert all(not row[len(ours) :].any() for row, ours in zip(ids, rows, strict=True))
    torch.testing.assert_close(loaded.encode_text(ids), model.encode_text(ids))
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8))
    ours = encoder.image_processor(32)(picture, return_tensors="pt")["pixel_values"]
    torch.testing.assert_close(preprocess(picture)[None], ours, atol=1e-5, rtol=0)


@torch.no_grad()
def test_a_saved_tower_gives_the_same_tokens(tmp_path):
    tower = open_clip_tower.convert(a_clip()[0].visual, 24)
    tower.save_pretrained(tmp_path)
    encoder.image_processor(32).save_pretrained(tmp_path)
    loaded, processor = encoder.load(tmp_path)
    pixels = torch.randn(2, 3, 32, 32)
    assert torch.equal(encoder.patch_tokens(loaded, pixels, [-1]), encoder.patch_tokens(tower, pixels, [-1]))
    assert not any(value.requires_grad for value in loaded.parameters())
    assert tuple(processor.image_mean) == encoder.PIXEL_MEAN


@torch.no_grad()
def test_layers_stand_side_by_side_without_the_class_token(encoder_folder):
    tower, _ = encoder.load(encoder_folder)
    pixels = torch.randn(2, 3, 32, 32)
    hidden = tower(pixel_values=pixels, output_hidden_states=True).hidden_states
    tokens = encoder.patch_tokens(tower, pixels, [0, -1])
    assert tokens.shape == (2, 16, 32)
    assert torch.equal(tokens[..., :16], hidden[0][:, 1:])
    assert torch.equal(tokens[..., 16:], hidden[2][:, 1:])


@torch.no_grad()
def test_the_vision_half_of_a_whole_clip_is_taken_and_saved_again(tmp_path):
    vision = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = vision | {"vocab_size": 50}
    torch.manual_seed(1)
    whole = CLIPModel(
        CLIPConfig(vision_config=vision | {"image_size": 32, "patch_size": 8}, text_config=text)
    )
    whole.eval().save_pretrained(tmp_path / "whole")
    encoder.image_processor(32).save_pretrained(tmp_path / "whole")
    tower, processor = encoder.load(tmp_path / "whole")
    pixels = torch.randn(2, 3, 32, 32)
    expected = whole.vision_model(pixel_values=pixels, output_hidden_states=True).hidden_states[-2][:, 1:]
    assert torch.equal(encoder.patch_tokens(tower, pixels, [-2]), expected)
    tower.save_pretrained(tmp_path / "tower")  # what the stage `encoder` does with a pretrained model
    processor.save_pretrained(tmp_path / "tower")
    again, _ = encoder.load(tmp_path / "tower")
    assert torch.equal(encoder.patch_tokens(again, pixels, [-2]), expected)


def test_a_folder_without_a_model_is_named(tmp_path):
    with pytest.raises(UserError, match=f"encoder: .*{tmp_path.name}"):
        encoder.load(tmp_path)


def test_an_unconverted_weight_is_an_error(monkeypatch):
    class Wider(CLIPVisionModel):
        def __init__(self, config: CLIPVisionConfig):
            super().__init__(config)
            self.surplus = torch.nn.Parameter(torch.zeros(1))

    monkeypatch.setattr(open_clip_tower, "CLIPVisionModel", Wider)
    with pytest.raises(RuntimeError, match="surplus"):
        open_clip_tower.convert(a_clip()[0].visual, 24)
