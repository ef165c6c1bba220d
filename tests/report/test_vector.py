"""The SVG of a phrase: its patches where the encoder sees them, its regions, its caption."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

from pipeline.patches.geometry import Geometry
from pipeline.report import commands, drawing, lookup, overlays, vector
from pipeline.report.commands import Kind

SVG = "{http://www.w3.org/2000/svg}"
PHRASE = "test-000007/c0/p1"


@pytest.fixture
def drawn(project: Path):
    """A phrase's SVG, and the rows that it was drawn from."""
    row = lookup.by_id(project / "patch_words", "phrase_id", [PHRASE])[PHRASE]
    phrase = lookup.phrases(project, [PHRASE])[PHRASE]
    geometry = Geometry.from_encoder(project / "models/encoder")
    picture = drawing.picture_of(phrase.image, Path("none"))
    tree = ET.fromstring(vector.draw_phrase(picture, phrase, row, geometry))
    return tree, row, phrase, overlays.patch_edges(geometry, *picture.size)


def test_a_rectangle_for_each_patch_where_it_lies(drawn):
    tree, row, _, (across, down) = drawn
    (group,) = [g for g in tree.iter(f"{SVG}g") if g.get("class") == "patches"]
    found = {
        tuple(float(rect.get(side)) for side in ("x", "y", "width", "height")): rect.find(f"{SVG}title").text
        for rect in group
    }
    expected = {}
    for patch, share in zip(row["patches"], row["coverage"], strict=True):
        y, x = divmod(patch, row["grid"][1])
        place = (across[x], down[y], across[x + 1] - across[x], down[y + 1] - down[y])
        expected[tuple(map(float, place))] = f"row {y + 1}, column {x + 1}: {share:.0%} covered"
    assert found == expected


def test_more_coverage_is_more_opaque(drawn):
    tree, row, *_ = drawn
    (group,) = [g for g in tree.iter(f"{SVG}g") if g.get("class") == "patches"]
    opacity = [float(rect.get("fill-opacity")) for rect in group]
    assert np.array_equal(np.argsort(opacity, kind="stable"), np.argsort(row["coverage"], kind="stable"))
    assert min(opacity) >= overlays.COVERAGE_ALPHA[0]


def test_the_caption_is_there_to_the_letter(drawn):
    tree, _, phrase, _ = drawn
    said = " ".join(text.text for text in tree.iter(f"{SVG}text") if text.get("textLength"))
    assert said.split() == phrase.caption.split()
    assert tree.find(f"{SVG}title").text.endswith(phrase.caption)


def test_the_command_writes_svg(project: Path, tmp_path: Path):
    files = commands.draw_overlays(project, Path("none"), tmp_path, count=3, kind=Kind.svg)
    assert [path.suffix for path in files] == [".svg"] * 3
    assert all(ET.parse(path).getroot().tag == f"{SVG}svg" for path in files)
