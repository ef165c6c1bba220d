"""What is measured of a projector: all of it right for a perfect one, chance for a random one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from pipeline import params as parameters
from pipeline.evaluation import regions as regions_module
from pipeline.evaluation.analysis import Fitting, analyse, probe_features, word_vectors
from pipeline.evaluation.regions import load_regions, region_vectors
from pipeline.models import llava
from pipeline.params import ProjectorParams
from pipeline.tables import dataset, schemas
from pipeline.tables.dataset import Provenance
from pipeline.training.features import Features

SETTINGS = parameters.load(Path(__file__).parents[2] / "params.yaml").evaluate.model_copy(
    update={"bootstrap": 50, "words": 2}
)
PHRASES = [("red", "cup"), ("blue", "star"), ("green", "box")]
PATCHES = {("red", "cup"): [0, 1, 4, 5], ("blue", "star"): [10, 11], ("green", "box"): [15]}
"""Every image shows all three, one of them in each of three corners of its 4 x 4 grid."""


def a_row(image, number, phrase):
    words = [
        {"text": text, "lemma": text, "role": role}
        for text, role in zip(phrase, ("attribute", "head"), strict=True)
    ]
    patches = PATCHES[phrase]
    return {
        "image_id": image, "phrase_id": f"{image}/c0/p{number}", "split": "test", "region_ids": ["r"],
        "phrase": " ".join(phrase), "words": words, "grid": [4, 4], "patches": patches,
        "coverage": [1.0] * len(patches), "score": 1.0, "annotator": "people",
    }  # fmt: skip


def made_regions(folder, images):
    rows = [a_row(image, number, phrase) for image in images for number, phrase in enumerate(PHRASES)]
    table = schemas.from_rows("patch_words", rows)
    dataset.write_part(folder, 0, table, "patch_words", Provenance())
    return folder


@pytest.fixture
def model(encoder_folder, language_model_folder):
    """A model whose projector is the identity, and whose words are at right angles to each other."""
    projector = ProjectorParams(kind="linear", feature_layers=[-1])
    made, processor = llava.assemble(encoder_folder, language_model_folder, projector, 0)
    with torch.no_grad():
        for layer in (made.model.multi_modal_projector.linear_1, made.model.multi_modal_projector.linear_2):
            layer.weight.copy_(torch.eye(16))
            layer.bias.zero_()
        table = made.get_input_embeddings().weight
        ids = processor.tokenizer.convert_tokens_to_ids([f"▁{w}" for phrase in PHRASES for w in phrase])
        table[:, :6] *= 0.01  # other words lie elsewhere
        table[ids] = torch.eye(16)[:6]
    return made.eval(), processor.tokenizer


def features_of(tokens):
    count = len(tokens)
    names = [f"i{k}" for k in range(count)]
    return Features(names, [tokens.astype(np.float16)], np.zeros(count, int), np.arange(count))


def test_a_perfect_projector_has_it_all(model, tmp_path):
    made, tokenizer = model
    perfect = np.tile(np.eye(16)[7], (3, 16, 1))  # patches that show nothing point elsewhere
    for place, phrase in enumerate(PHRASES):
        perfect[:, PATCHES[phrase]] = np.eye(16)[[2 * place, 2 * place + 1]].mean(0)
    features = features_of(perfect)
    regions = load_regions(made_regions(tmp_path / "patch_words", features.image_ids), features, 100)
    analysed = analyse(made, tokenizer, features, regions, SETTINGS, 0)
    found, maps = analysed.estimates, analysed.maps
    for key in ("cosine", "top1", "top5", "mrr", "attribute_top1", "pointing", "miou"):
        assert found[f"alignment.{key}"].value == pytest.approx(1.0, abs=1e-5), key
        assert found[f"alignment.{key}"].n == 9
    assert found["decomposition.recall"].value == found["decomposition.positive"].value == 1.0
    assert found["decomposition.chance"].value < 0.1
    # No patch has one word of a pair and not the other: there is no control, and nothing is claimed.
    assert "decomposition.noun_and_attribute" not in found
    assert found["compression.after"].value == pytest.approx(found["compression.before"].value, abs=1e-6)
    shares = np.array([9, 4, 2, 1]) / 16  # four directions at right angles
    entropy = -(shares * np.log(shares)).sum() / np.log(16)
    assert found["compression.after"].value == pytest.approx(entropy, abs=1e-3)
    assert maps.num_rows == 9
    first = maps.slice(0, 1).to_pylist()[0]
    assert first["phrase"] == "red cup"
    expected = np.zeros(16)
    expected[PATCHES["red", "cup"]] = 1.0
    np.testing.assert_allclose(first["similarity"], expected, atol=1e-5)
    assert first["coverage"] == expected.tolist()


def test_a_random_projector_is_at_chance(model, tmp_path):
    made, tokenizer = model
    features = features_of(np.random.default_rng(0).normal(size=(200, 16, 16)))
    regions = load_regions(made_regions(tmp_path / "patch_words", features.image_ids), features, 1000)
    found = analyse(made, tokenizer, features, regions, SETTINGS, 0).estimates
    values = {key: estimate.value for key, estimate in found.items()}
    assert values["alignment.cosine"] == pytest.approx(0, abs=0.05)
    assert values["alignment.top1"] == pytest.approx(1 / 3, abs=0.08)  # of three nouns
    assert values["alignment.attribute_top1"] == pytest.approx(1 / 3, abs=0.08)
    assert values["alignment.pointing"] == pytest.approx(7 / 3 / 16, abs=0.05)  # 4, 2 and 1 of 16 patches
    assert values["decomposition.recall"] < 0.15
    assert values["compression.after"] > 0.8


def test_estimates_are_the_means_of_the_measures(model, tmp_path):
    made, tokenizer = model
    features = features_of(np.random.default_rng(0).normal(size=(5, 16, 16)))
    regions = load_regions(made_regions(tmp_path / "patch_words", features.image_ids), features, 1000)
    analysed = analyse(made, tokenizer, features, regions, SETTINGS, 0)
    measured = pl.from_arrow(analysed.measures).group_by("metric").agg(pl.col("value").mean(), pl.len())
    means = {metric: (value, count) for metric, value, count in measured.iter_rows()}
    assert set(means) == set(analysed.estimates)
    for key, estimate in analysed.estimates.items():
        assert means[key] == (pytest.approx(estimate.value), estimate.n)
    examples = pl.from_arrow(analysed.measures).filter(metric="compression.after")["example"]
    assert examples.to_list() == features.image_ids


def test_recall_rises_with_k_and_is_told_apart_by_role(model, tmp_path):
    made, tokenizer = model
    tokens = np.tile(np.eye(16)[7], (3, 16, 1))
    for place, phrase in enumerate(PHRASES):  # the attribute twice as strong as the noun
        tokens[:, PATCHES[phrase]] = np.eye(16)[2 * place] + 0.5 * np.eye(16)[2 * place + 1]
    features = features_of(tokens)
    regions = load_regions(made_regions(tmp_path / "patch_words", features.image_ids), features, 100)
    curves = analyse(made, tokenizer, features, regions, SETTINGS, 0).curves

    def values(role, method):
        return [estimate["value"] for estimate in curves["recall"][role][method]]

    assert values("all", "pursuit")[:3] == values("all", "nearest")[:3] == [0.5, 1.0, 1.0]
    assert values("attributes", "pursuit")[:2] == [1.0, 1.0]
    assert values("nouns", "pursuit")[:2] == [0.0, 1.0]
    share = 1 / (len(tokenizer) - len(set(tokenizer.all_special_ids)))
    np.testing.assert_allclose(curves["recall"]["all"]["chance"], share * np.arange(1, 9), atol=1e-6)
    assert curves["recall"]["all"]["pursuit"][0]["n"] == 9


def test_spectra_are_mean_eigenvalues_and_labels_nearest_words(model, tmp_path):
    made, tokenizer = model
    tokens = np.tile(np.eye(16)[4], (2, 16, 1))  # green, but for four patches
    tokens[:, PATCHES["red", "cup"]] = np.eye(16)[1]
    features = features_of(tokens)
    regions = load_regions(made_regions(tmp_path / "patch_words", features.image_ids), features, 100)
    analysed = analyse(made, tokenizer, features, regions, SETTINGS, 0)
    for side in ("before", "after"):
        np.testing.assert_allclose(analysed.curves["spectrum"][side][:3], [12 / 16, 4 / 16, 0], atol=1e-6)
    first = analysed.labels.to_pylist()[0]
    assert (first["image_id"], first["grid"], analysed.labels.num_rows) == ("i0", [4, 4], 2)
    expected = ["cup" if patch in PATCHES["red", "cup"] else "green" for patch in range(16)]
    assert first["words"] == expected
    np.testing.assert_allclose(first["similarity"], 1.0, atol=1e-5)


def test_probes_are_fitted_on_other_images(model, tmp_path):
    made, tokenizer = model
    rng = np.random.default_rng(0)
    place = np.stack(np.divmod(np.arange(16), 4), 1) @ rng.normal(size=(2, 16))
    features = features_of(place + 0.01 * rng.normal(size=(12, 16, 16)))
    regions = load_regions(made_regions(tmp_path / "patch_words", features.image_ids), features, 100)
    found = analyse(made, tokenizer, features, regions, SETTINGS, 0, Fitting(features, regions)).estimates
    assert found["position.r2"].value > 0.99
    assert found["probe.noun"].n == 36
    assert "position.r2" not in analyse(made, tokenizer, features, regions, SETTINGS, 0).estimates
    read = probe_features(features, regions, Fitting(features, regions), SETTINGS, 0)
    assert read["position.r2"].value == pytest.approx(found["position.r2"].value, abs=1e-3)  # the identity


def test_words_of_the_wrong_region_are_found_wrong(model, tmp_path):
    """Tokens of another phrase's words: near to something, and to the wrong thing."""
    made, tokenizer = model
    wrong = np.tile(np.eye(16)[7], (2, 16, 1))
    for place, phrase in enumerate(PHRASES):
        other = 2 * ((place + 1) % 3)
        wrong[:, PATCHES[phrase]] = np.eye(16)[[other, other + 1]].mean(0)
    features = features_of(wrong)
    regions = load_regions(made_regions(tmp_path / "patch_words", features.image_ids), features, 100)
    found = analyse(made, tokenizer, features, regions, SETTINGS, 0).estimates
    for key in ("cosine", "top1", "attribute_top1", "pointing", "miou"):
        assert found[f"alignment.{key}"].value == pytest.approx(0.0, abs=1e-5), key
    assert found["decomposition.recall"].value == 0.0


def test_tokens_that_are_the_opposite_of_their_words_are_told_from_those_that_carry_them(model, tmp_path):
    made, tokenizer = model
    opposite = np.tile(np.eye(16)[7], (2, 16, 1))
    for place, phrase in enumerate(PHRASES):
        opposite[:, PATCHES[phrase]] = -np.eye(16)[[2 * place, 2 * place + 1]].mean(0)
    features = features_of(opposite)
    regions = load_regions(made_regions(tmp_path / "patch_words", features.image_ids), features, 100)
    found = analyse(made, tokenizer, features, regions, SETTINGS, 0).estimates
    assert found["decomposition.recall"].value == 1.0
    assert found["decomposition.positive"].value == 0.0


def test_regions_are_those_of_the_features_images_and_no_more_than_asked(tmp_path):
    folder = made_regions(tmp_path / "patch_words", ["i0", "i1", "i2"])
    tokens = np.zeros((2, 16, 4), np.float16)
    features = Features(["i2", "i0"], [tokens], np.zeros(2, int), np.arange(2))
    regions = load_regions(folder, features, 5)
    assert regions.table["image_id"].to_pylist() == ["i0", "i0", "i0", "i2", "i2"]
    assert regions.image.tolist() == [1, 1, 1, 0, 0]
    assert regions.of_role("head") == [["cup"], ["star"], ["box"], ["cup"], ["star"]]
    assert regions.coverage.sum(1).tolist() == [4, 2, 1, 4, 2]
    assert regions.coverage[1].nonzero()[0].tolist() == [10, 11]


def test_region_vectors_of_many_regions_are_those_of_each(model, monkeypatch, tmp_path):
    """Chunks change nothing."""
    folder = made_regions(tmp_path / "patch_words", [f"i{k}" for k in range(5)])
    features = features_of(np.random.default_rng(1).normal(size=(5, 16, 16)))
    regions = load_regions(folder, features, 100)
    tokens = features.take(range(5))
    monkeypatch.setattr(regions_module, "BATCH", 4)
    found = region_vectors(tokens, regions)
    expected = torch.stack(
        [
            tokens[image, coverage > 0].mean(0)
            for image, coverage in zip(regions.image, regions.coverage, strict=True)
        ]
    )
    torch.testing.assert_close(found, expected)


def test_word_vectors_are_the_mean_of_a_text_s_tokens(model):
    made, tokenizer = model
    table = made.get_input_embeddings().weight.detach()
    found = word_vectors(table, tokenizer, ["red cup", "star"])
    torch.testing.assert_close(found, torch.stack([torch.eye(16)[:2].mean(0), torch.eye(16)[3]]))
