"""The section on the projector: its numbers are the stages', its tests and groups those worked by hand."""

from __future__ import annotations

import json
import re
import shutil
import xml.etree.ElementTree as ET
from pathlib import Path

import made_data
import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from pipeline.errors import UserError
from pipeline.report import arms, breakdown, hypothesis, layers, nearest, page, spectra, style
from pipeline.tables import dataset, schemas
from pipeline.tables.metrics import BY_KEY, Estimate, read_estimates

ARMS = ("caption", "patch_aligned")
LOOKS = arms.looks(ARMS)


def measures(values: dict[str, dict[str, float]]) -> pa.Table:
    rows = [
        {"metric": key, "example": example, "value": value}
        for key, of_key in values.items()
        for example, value in of_key.items()
    ]
    return schemas.from_rows("measures", rows)


def curve(level: float) -> dict:
    at_k = [
        {"value": level * k / 4, "low": level * k / 5, "high": level * k / 4, "n": 30} for k in range(1, 5)
    ]
    recall = {"pursuit": at_k, "nearest": at_k, "chance": [0.01, 0.02, 0.03, 0.04]}
    spectrum = {"before": [0.6, 0.3, 0.1], "after": [0.8, 0.15, 0.05]}
    return {"spectrum": spectrum, "recall": {role: recall for role in ("all", "nouns", "attributes")}}


@pytest.fixture(scope="module")
def data(project: Path, tmp_path_factory) -> Path:
    """The made project with what an analysis leaves."""
    folder = tmp_path_factory.mktemp("analysed") / "data"
    shutil.copytree(project, folder)
    shutil.copytree(folder / "patch_words", folder / "true_words")
    rows = dataset.read(folder / "true_words").to_pylist()
    images = sorted({row["image_id"] for row in rows})
    phrases = {row["phrase_id"]: 0.25 for row in rows}
    evaluation = folder / "evaluation"
    for arm in ARMS:
        both = {image: float(number % 2) for number, image in enumerate(images)}
        table = measures(
            {
                "alignment.cosine": phrases,
                "alignment.pointing": phrases,
                "decomposition.noun_and_attribute": both,
                "decomposition.noun_and_attribute_control": dict.fromkeys(images, 0.1),
            }
        )
        labels = [
            {"image_id": image, "grid": [8, 8], "words": ["red"] * 64, "similarity": [0.5] * 64}
            for image in images
        ]
        for name in ("measures", "measures_pretrained"):
            dataset.write_part(evaluation / arm / name, 0, table, "measures", made_data.MADE_FROM)
        for name in ("patch_labels", "patch_labels_finetuned"):
            made = schemas.from_rows("patch_labels", labels)
            dataset.write_part(evaluation / arm / name, 0, made, "patch_labels", made_data.MADE_FROM)
        curves = {"pretrained": curve(0.4), "finetuned": curve(0.8)}
        (evaluation / arm / "curves.json").write_text(json.dumps(curves))
    dataset.write_part(evaluation / "references/measures", 0, table, "measures", made_data.MADE_FROM)
    (evaluation / "references/curves.json").write_text(json.dumps({"untrained": curve(0.1)}))
    return folder


@pytest.fixture(scope="module")
def html(data: Path) -> str:
    return page.make(data, made_data.small_params())[data / "report" / "index.html"]


def test_the_layers_show_what_each_stage_measured(data: Path, html: str) -> None:
    table = html[html.index('data-table="layers"') :]
    table = table[: table.index("</table>")]
    files = {f"finetuned: {arm}": data / "evaluation" / arm / "metrics.json" for arm in ARMS}
    files |= {f"pretrained: {arm}": data / "evaluation" / arm / "pretrained.json" for arm in ARMS}
    shown = 0
    for row in re.findall(r'<tr data-metric=".*?</tr>', table, re.DOTALL):
        key = re.search(r'data-metric="([^"]+)"', row).group(1)
        for layer, cell in re.findall(r'<td class="n" data-layer="([^"]+)">(.*?)</td>', row):
            if layer in files and key in (found := read_estimates(files[layer])):
                assert f">{style.number(found[key].value, BY_KEY[key])}<" in cell, (layer, key)
                shown += 1
    assert shown > 30


def test_the_section_holds_every_part(html: str) -> None:
    part = html[html.index('<section id="projector"') :]
    part = part[: part.index("</section>")]
    assert 'href="#projector"' in html
    assert part.count('data-table="two-words"') == 1  # no image has the nouns of two phrases on a patch
    assert part.count('data-table="breakdown"') == 2
    assert part.count("<svg") == 2 + 4 + 2 * 4  # spectra, recalls, two images by two arms by two stages
    assert "var(--arm-1)" in part and "var(--arm-2)" in part


def test_without_an_analysis_the_page_is_made_all_the_same(report: dict[str, str]) -> None:
    html = report["index.html"]
    assert 'data-table="layers"' in html  # of the metrics that there are
    assert 'data-table="two-words"' not in html and 'class="nearest"' not in html


def test_half_a_file_is_told(data: Path, tmp_path: Path) -> None:
    shutil.copytree(data, tmp_path / "data")
    (tmp_path / "data/evaluation/caption/curves.json").write_text('{"pretrained": {')
    with pytest.raises(UserError, match=r"curves.json is cut short .* run `dvc repro evaluate"):
        page.make(tmp_path / "data", made_data.small_params())


def test_the_entropy_of_the_features_stands_beside_that_of_the_tokens() -> None:
    class Found:
        def __init__(self) -> None:
            before, after = Estimate(0.6, 0.5, 0.7, 9), Estimate(0.4, 0.3, 0.5, 9)
            self.references = {"encoder features": {"position.r2": before}}
            self.pretrained = {"caption": {"compression.before": before, "compression.after": after}}
            self.arms = self.pretrained

    rows = dict(layers.rows(layers.estimates(Found())))
    (entropy,) = rows["Compression"]
    assert {layer: one.value for layer, one in entropy.values.items()} == {
        "features": 0.6, "pretrained: caption": 0.4, "finetuned: caption": 0.4
    }  # fmt: skip
    assert rows["Read by a linear probe"][0].values["features"].value == 0.6


def both_and_control(both: list[float], control: list[float]) -> pa.Table:
    return measures(
        {
            "decomposition.two_nouns": {f"i{k}": value for k, value in enumerate(both)},
            "decomposition.two_nouns_control": {f"i{k}": value for k, value in enumerate(control)},
        }
    )


def test_a_test_is_paired_by_image_and_said_in_words() -> None:
    rng = np.random.default_rng(0)
    low = rng.uniform(0.0, 0.2, 40).tolist()
    tables = {
        "more": both_and_control([value + 0.3 for value in low], low),
        "level": both_and_control([value + 0.002 for value in low[::-1]], low),
        "never": both_and_control([0.0] * 40, [0.0] * 40),
        "few": both_and_control([1.0] * 9, [0.0] * 9),
    }
    found = {test.layer: test for test in hypothesis.tests(tables, 200, 0)}
    assert list(found) == ["more", "level", "never"]
    assert found["more"].difference.estimate.value == pytest.approx(0.3)
    assert found["more"].difference.p < 0.01 < found["level"].difference.p
    assert found["more"].both.n == 40
    assert found["never"].difference is None
    names = {"more": "A", "level": "B", "never": "C"}
    assert hypothesis.verdict(list(found.values()), names) == (
        "Found together more often than where one is carried: A. No difference shown: B. "
        "Never found, on either side: C."
    )
    twice = [found["more"], found["more"]]
    assert hypothesis.verdict(twice, names).endswith("where one is carried: at every layer.")


def region(name: str, noun: str, attribute: str, coverage: list[float]) -> dict:
    words = [{"lemma": noun, "role": "head"}, {"lemma": attribute, "role": "attribute"}]
    return {"phrase_id": name, "words": words, "coverage": coverage}


def test_sizes_are_thirds_by_covered_area_and_rare_words_are_left_out() -> None:
    rows = [region(f"p{k}", "cup" if k < 7 else "box", "red", [0.5] * (k + 1)) for k in range(9)]
    known, edges = breakdown.members(rows)
    assert known["Size"] == {
        "small": {"p0", "p1", "p2"}, "medium": {"p3", "p4", "p5"}, "large": {"p6", "p7", "p8"}
    }  # fmt: skip
    assert edges == pytest.approx((0.5 * (3 + 2 / 3), 0.5 * (6 + 1 / 3)))
    assert {noun: len(found) for noun, found in known["Noun"].items()} == {"cup": 7}
    assert len(known["Attribute"]["red"]) == 9


def test_a_group_s_number_is_the_mean_of_its_regions() -> None:
    rows = [region(f"p{k}", "cup", "red", [1.0] * (k + 1)) for k in range(9)]
    table = measures({"alignment.cosine": {f"p{k}": float(k) for k in range(9)}})
    found = breakdown.breakdown({"caption": table}, rows, 50, 0)
    sizes = dict(found.kinds)["Size"]
    means = [group.values["alignment.cosine"]["caption"].value for group in sizes]
    assert (means, [group.n for group in sizes]) == ([1.0, 4.0, 7.0], [3, 3, 3])
    assert [metric.key for metric in found.metrics] == ["alignment.cosine"]


def test_words_that_a_phrase_says_of_a_patch_are_marked() -> None:
    said = [{"words": [{"text": "Cup", "role": "head"}, {"text": "two", "role": "number"}],
             "patches": [0, 3], "coverage": [0.9, 0.2]}]  # fmt: skip
    carried = nearest.carried_words(said, 4)
    assert carried == [{"cup"}, set(), set(), set()]
    labels = {"grid": [2, 2], "words": ["cup", "cup", "<b>", "cup"], "similarity": [0.5] * 4}
    edges = np.array([0.0, 4.0, 8.0])
    found = nearest.panel(Image.new("RGB", (8, 8)), (edges, edges), labels, carried, "caption", "pre-trained")
    assert (found.right, found.carrying) == (1, 1)
    cells = [one for one in ET.fromstring(found.svg).iter("g")]
    assert [one.get("class") for one in cells] == ["hit", None, None, None]
    assert [one.find("text").text for one in cells] == labels["words"]
    assert cells[0].find("title").text == "cup, cosine 0.50; the captions say cup"


def test_a_fine_grid_is_labelled_every_so_many_patches() -> None:
    labels = {"grid": [24, 24], "words": [f"w{k}" for k in range(576)], "similarity": [0.0] * 576}
    edges = np.linspace(0, 24, 25)
    found = nearest.panel(Image.new("RGB", (24, 24)), (edges, edges), labels, [set()] * 576, "a", "s")
    words = [one.text for one in ET.fromstring(found.svg).iter("text")]
    assert len(words) == 144 and words[:2] == ["w25", "w27"]


def test_plots_come_out_the_same_and_hold_every_arm() -> None:
    curves = {arm: {"finetuned": curve(0.5)} for arm in ARMS}
    first = spectra.spectra(curves, {"untrained": curve(0.1)}, LOOKS)
    assert [plot.svg for plot in first] == [
        plot.svg for plot in spectra.spectra(curves, {"untrained": curve(0.1)}, LOOKS)
    ]
    titles = [plot.title for plot in spectra.recalls(curves, LOOKS)]
    assert titles == ["Nouns found: fine-tuned", "Attributes found: fine-tuned"]
    assert spectra.spectra({}, {}, LOOKS) == spectra.recalls({}, LOOKS) == []
