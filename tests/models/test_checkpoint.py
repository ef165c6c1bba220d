"""What a stage leaves: read by plain transformers where this project is not, and saying the same."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from pipeline import lineage
from pipeline import params as parameters
from pipeline.errors import UserError
from pipeline.export import checkpoint as take_away
from pipeline.models import card, encoder, llava
from pipeline.models.card import Card
from pipeline.models.chat import ChatFormat, encode, encode_behind
from pipeline.models.generation import answer_all
from pipeline.models.vocabulary import IMAGE
from pipeline.training import checkpoint
from pipeline.training.run import Run

ROOT = Path(__file__).parents[2]
PARAMS = parameters.load(ROOT / "profiles/embedded.yaml")
QUESTION = "what colour is the cup ?"


@pytest.fixture
def saved(small_llava, tmp_path):
    """A folder as the stage ``pretrain`` leaves it, and the model in it."""
    model, processor = small_llava
    torch.manual_seed(2)
    for value in model.parameters():  # large enough that pictures and questions matter
        if value.ndim > 1:
            value.data.normal_(0, 0.3)
    run = Run("patch_aligned", 3, tmp_path)
    curve = run.curve("pretrain")
    curve.parent.mkdir()
    curve.write_text("step,loss,caption_loss,patch_loss\n10,3,2,0.5\n20,2.5,1.75,0.375\n")
    folder = tmp_path / "model"
    save(folder, model, processor, run)
    return folder, model, processor


def save(folder, model, processor, run):
    data = {"images": 8, "captions": 16}
    checkpoint.save(folder, model, processor, PARAMS, "pretrain", run, data)


def our_answer(model, processor, picture):
    tokenizer = processor.tokenizer
    chat = ChatFormat.of(tokenizer, IMAGE)
    pixels = processor.image_processor(picture, return_tensors="pt")["pixel_values"]
    layers = model.config.vision_feature_layer
    with torch.inference_mode():
        features = encoder.patch_tokens(model.model.vision_tower, pixels, layers)
        before = torch.tensor(encode(tokenizer, [chat.before_image])[0])
        prefix = llava.prefix_embeddings(model, before, llava.project(model, features))
    (ids,) = answer_all(
        llava.decoder_of(model), model.lm_head, lambda rows: prefix, np.array([prefix.shape[1]]),
        encode_behind(tokenizer, [chat.prompt(QUESTION)], IMAGE), tokenizer.eos_token_id, 12, 1,
    )  # fmt: skip
    return tokenizer.decode(ids, skip_special_tokens=True).strip()


def test_a_process_without_this_project_loads_it_as_the_card_says_and_says_the_same(saved, tmp_path):
    folder, model, processor = saved
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    expected = []
    for seed in range(3):
        noise = np.random.default_rng(seed).integers(0, 256, (32, 32, 3), np.uint8)
        Image.fromarray(noise).save(elsewhere / f"{seed}.png")
        expected.append(our_answer(model, processor, Image.fromarray(noise)))
    (code,) = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)
    for of_card, ours in (
        ('folder = "."', f"folder = {str(folder)!r}"),
        ('"image.jpg"', "sys.argv[1]"),
        ("What is in the picture?", QUESTION),
        ("max_new_tokens=64", "max_new_tokens=12"),
    ):
        assert of_card in code
        code = code.replace(of_card, ours)
    # The card's own lines, once for each picture; an editable install must not help either.
    blocked = "import sys\nsys.modules['pipeline'] = None\nsys.modules['flows'] = None\n"
    body = "".join(f"    {line}\n" for line in code.splitlines())
    code = f"{blocked}for seed in range(3):\n    sys.argv[1:] = [f'{{seed}}.png']\n{body}"
    made = subprocess.run(
        [sys.executable, "-I", "-c", code], cwd=elsewhere, capture_output=True, text=True, timeout=300,
        env={"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}, check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr[-2000:]
    assert made.stdout.splitlines() == expected
    assert len(set(expected)) > 1  # pictures matter


def test_a_blocked_project_cannot_be_imported():
    """What keeps the test above honest."""
    code = "import sys\nsys.modules['pipeline'] = None\nimport pipeline.models"
    made = subprocess.run([sys.executable, "-I", "-c", code], cwd=ROOT, capture_output=True, check=False)
    assert made.returncode != 0


def test_the_folder_is_a_standard_one(saved):
    folder, _, _ = saved
    names = {path.name for path in folder.iterdir()}
    wanted = {"config.json", "generation_config.json", "model.safetensors", "processor_config.json"}
    assert wanted | {"tokenizer.json", "chat_template.jinja", "README.md"} <= names
    assert not {name for name in names if name.endswith((".bin", ".pt", ".py", ".pkl"))}


def test_the_card_tells_data_settings_results_and_lineage(saved, tmp_path):
    folder, _, _ = saved
    source = tmp_path / "patch_words"
    source.mkdir()
    (source / "part-00000.arrow").write_bytes(b"rows")
    lineage.write(folder, [source])
    text = (folder / "README.md").read_text()
    head = yaml.safe_load(text.split("---")[1])
    assert head["library_name"] == "transformers"
    assert head["pipeline_tag"] == "image-text-to-text"
    assert "license" not in head
    assert "| captions | 16 |" in text
    (settings,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    shown = yaml.safe_load(settings)
    assert shown["seed"] == 3
    assert shown["train"]["pretrain"] == PARAMS.train.pretrain.model_dump(mode="json")
    assert shown["train"]["arms"]["patch_aligned"]["loss"] == "cosine"
    assert "| training patch_loss | 0.375 |" in text
    digest = yaml.safe_load((folder / "lineage.json").read_text())["inputs"][source.as_posix()]
    assert f"| `{source.as_posix()}` | `{digest}` |" in text
    lineage.write(folder, [source])
    assert (folder / "README.md").read_text() == text  # said once


def test_the_same_training_gives_the_same_bytes(saved, tmp_path):
    folder, model, processor = saved
    again = tmp_path / "again"
    save(again, model, processor, Run("patch_aligned", 3, tmp_path))
    for path in folder.iterdir():
        assert path.read_bytes() == (again / path.name).read_bytes(), path.name


def test_a_template_that_can_think_is_told_not_to(saved, tmp_path):
    _, model, processor = saved
    processor.chat_template += "{# enable_thinking #}"
    save(tmp_path / "thinking", model, processor, Run("patch_aligned", 3, tmp_path / "none"))
    assert ", enable_thinking=False," in (tmp_path / "thinking/README.md").read_text()


def test_results_take_the_place_of_those_that_were_there(tmp_path):
    card.write(tmp_path, Card("A", "llava", "Text.", metrics=[("training loss", "2")]))
    card.add_results(tmp_path, [("CIDEr", "1.5")])
    card.add_results(tmp_path, [("CIDEr", "1.6")])
    text = (tmp_path / "README.md").read_text()
    assert text.count("## Results") == 1
    assert "| CIDEr | 1.6 |" in text
    assert "training loss" not in text
    assert text.index("## Results") < text.index("## Licence")


def test_a_model_to_take_away_has_its_arms_results(saved, tmp_path, monkeypatch):
    folder, _, _ = saved
    data = tmp_path / "data"
    shutil.copytree(folder, data / "models/finetune/aligned")
    (data / "evaluation/aligned").mkdir(parents=True)
    (data / "evaluation/aligned/metrics.json").write_text(
        '{"alignment.top1": {"value": 0.5, "low": 0.25, "high": 0.75, "n": 40}}'
    )
    monkeypatch.setattr(take_away, "DATA", data)
    take_away.checkpoint("aligned", tmp_path / "out", "finetune")
    text = (tmp_path / "out/README.md").read_text()
    assert "| Right word ranked first | 50 % [25, 75], 40 |" in text
    same = (tmp_path / "out/model.safetensors").read_bytes()
    assert same == (folder / "model.safetensors").read_bytes()
    with pytest.raises(UserError, match="dvc repro finetune@other"):
        take_away.checkpoint("other", tmp_path / "out2", "finetune")
