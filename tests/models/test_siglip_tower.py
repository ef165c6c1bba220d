"""SigLIP as the encoder: no class token, a stretched image, and a grid that leaves a remainder over."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image
from transformers import (
    AutoProcessor,
    Siglip2VisionConfig,
    Siglip2VisionModel,
    SiglipConfig,
    SiglipImageProcessor,
    SiglipModel,
    SiglipVisionModel,
)

from pipeline.errors import UserError
from pipeline.models import encoder, llava
from pipeline.models.generation import answer_all
from pipeline.params import ProjectorParams
from pipeline.patches.coverage import box_coverage
from pipeline.patches.geometry import Geometry
from pipeline.training.images import normalise, pixels_of

SIDE, PATCH, GRID = 30, 7, 4  # 30 = 4 * 7 + 2, as 384 = 27 * 14 + 6 of SigLIP So400m
VISION = {
    "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
    "image_size": SIDE, "patch_size": PATCH,
}  # fmt: skip
TEXT = VISION | {"vocab_size": 50}


@pytest.fixture(scope="module")
def siglip(tmp_path_factory):
    """A whole SigLIP in a folder, as it comes from the hub, and the model."""
    folder = tmp_path_factory.mktemp("siglip")
    torch.manual_seed(2)
    model = SiglipModel(SiglipConfig(vision_config=VISION, text_config=TEXT)).eval()
    for value in model.parameters():
        if value.ndim > 1:
            value.data.normal_(0, 0.3)
    model.save_pretrained(folder)
    SiglipImageProcessor(size={"height": SIDE, "width": SIDE}, resample=2).save_pretrained(folder)
    return folder, model


@pytest.fixture
def assembled(siglip, language_model_folder):
    projector = ProjectorParams(kind="mlp", feature_layers=[-2])
    return llava.assemble(siglip[0], language_model_folder, projector, seed=5)


def picture(size=(60, 45), seed=0):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), np.uint8))


def table_of(*pictures, folder):
    rows = []
    for number, image in enumerate(pictures):
        image.save(folder / f"{number}.png")
        rows.append({"image_id": str(number), "image": {"bytes": None, "path": f"{number}.png"}})
    return pa.Table.from_pylist(rows)


@torch.no_grad()
def test_every_token_is_a_patch(siglip):
    folder, model = siglip
    tower, processor = encoder.load(folder)
    assert isinstance(tower, SiglipVisionModel)
    assert tuple(processor.image_mean) == tuple(processor.image_std) == (0.5, 0.5, 0.5)
    pixels = torch.randn(2, 3, SIDE, SIDE)
    hidden = model.vision_model(pixel_values=pixels, output_hidden_states=True).hidden_states
    tokens = encoder.patch_tokens(tower, pixels, [0, -2])
    assert tokens.shape == (2, GRID * GRID, 32)
    assert torch.equal(tokens, torch.cat([hidden[0], hidden[-2]], dim=-1))


@torch.no_grad()
def test_a_box_covers_the_patches_that_its_pixels_reach(siglip, tmp_path):
    """One object, painted in: the patches it changes are those that the table gives it, in their order."""
    folder, _ = siglip
    tower, processor = encoder.load(folder)
    geometry = Geometry.from_encoder(folder)
    assert geometry.grid == (GRID, GRID)
    plain = Image.new("RGB", (120, 60), (90, 90, 90))
    box = (60, 0, 112, 30)
    bright = plain.copy()
    bright.paste((255, 255, 255), box)
    pixels = pixels_of(table_of(plain, bright, folder=tmp_path), tmp_path, processor)
    assert pixels.shape == (2, 3, SIDE, SIDE)
    cut = pixels.astype(int)[..., : GRID * PATCH, : GRID * PATCH]
    share = (cut[1] - cut[0]).mean(0).reshape(GRID, PATCH, GRID, PATCH).mean((1, 3)).ravel() / 165
    coverage = box_coverage([box], 120, 60, geometry)
    expected = np.zeros(GRID * GRID)
    expected[coverage.patches] = coverage.values
    np.testing.assert_allclose(share, expected, atol=0.07)  # bilinear resizing blurs the edges
    assert 0 < (expected > 0.99).sum() < 8
    # Before any attention the tokens that change are those patches, and no others.
    first = encoder.patch_tokens(
        tower, normalise(torch.from_numpy(pixels), processor.image_mean, processor.image_std), [0]
    )
    moved = (first[1] - first[0]).norm(dim=-1).numpy()
    assert (moved[share < 0.001] < 1e-4).all()
    assert (moved[expected > 0.1] > 0.01).all()


@torch.no_grad()
def test_pixels_are_those_of_the_saved_processor(assembled, tmp_path):
    _, processor = assembled
    images = [picture(), picture((SIDE, SIDE), 1), picture((20, 33), 2)]
    ours = pixels_of(table_of(*images, folder=tmp_path), tmp_path, processor.image_processor)
    ours = normalise(torch.from_numpy(ours), (0.5,) * 3, (0.5,) * 3)
    theirs = processor.image_processor(images, return_tensors="pt")["pixel_values"]
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


@torch.inference_mode()
def test_plain_transformers_reads_the_assembly_and_says_the_same(assembled, tmp_path):
    model, processor = assembled
    torch.manual_seed(2)
    for value in model.parameters():  # large enough that pictures matter
        if value.ndim > 1:
            value.normal_(0, 0.3)
    model.eval()
    llava.save(model, processor, tmp_path)
    plain, reader = llava.load(tmp_path)
    assert plain.config.vision_feature_select_strategy == "full"
    assert plain.config.image_seq_length == GRID * GRID
    said = []
    for seed in range(3):
        message = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "what ?"}]}]
        prompt = reader.apply_chat_template(message, add_generation_prompt=True)
        inputs = reader(images=picture(seed=seed), text=prompt, return_tensors="pt")
        ids = inputs["input_ids"][0]
        assert (ids == model.config.image_token_id).sum() == GRID * GRID
        text = plain.eval().generate(**inputs, max_new_tokens=8, do_sample=False)[0, len(ids) :].tolist()
        features = encoder.patch_tokens(model.model.vision_tower, inputs["pixel_values"], [-2])
        image = int((ids == model.config.image_token_id).nonzero()[0, 0])
        prefix = llava.prefix_embeddings(model, ids[:image], llava.project(model, features))
        rest = ids[image + GRID * GRID :].tolist()
        (ours,) = answer_all(
            llava.decoder_of(model), model.lm_head, lambda rows, prefix=prefix: prefix,
            np.array([prefix.shape[1]]), [rest], processor.tokenizer.eos_token_id, 8, 1,
        )  # fmt: skip
        assert ours == [token for token in text if token != processor.tokenizer.eos_token_id]
        said.append(tuple(ours))
    assert len(set(said)) > 1  # pictures matter


def test_a_tower_of_many_grids_is_refused_and_told_what_can_be_used(tmp_path):
    config = {key: VISION[key] for key in VISION if key != "image_size"} | {"num_patches": 16}
    Siglip2VisionModel(Siglip2VisionConfig(**config)).save_pretrained(tmp_path)
    with pytest.raises(UserError, match=r"siglip2.*SigLIP 2 of one input size"):
        encoder.load(tmp_path)


def test_the_processor_of_the_folder_is_the_one_that_is_saved(assembled, tmp_path):
    model, processor = assembled
    llava.save(model, processor, tmp_path)
    again = AutoProcessor.from_pretrained(tmp_path)
    assert isinstance(again.image_processor, SiglipImageProcessor)
    assert Geometry.from_encoder(tmp_path) == Geometry("stretch", (SIDE,) * 2, (SIDE,) * 2, (PATCH,) * 2)
