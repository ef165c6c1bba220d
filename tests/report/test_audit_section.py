"""The audit on the page: the numbers of audit.json, the worst examples, and what they show."""

from __future__ import annotations

import json
import re
import shutil

import made_audit
import made_data
import numpy as np
import pytest
from PIL import Image

from pipeline.errors import UserError
from pipeline.report import audit, inputs, page
from pipeline.report.style import interval, number
from pipeline.tables import dataset
from pipeline.tables.metrics import BY_AUDIT_KEY

NAMES = ["dataset", "open_clip", "consensus"]


@pytest.fixture(scope="module")
def audited(project, tmp_path_factory):
    data = tmp_path_factory.mktemp("audited") / "data"
    shutil.copytree(project, data)
    made_audit.write_audits(data)
    return data


@pytest.fixture(scope="module")
def html(audited):
    made = page.make(audited, made_data.small_params())
    return made[audited / "report" / "index.html"]


def test_the_page_has_no_audit_where_there_was_none(report):
    assert 'id="audit"' not in report["index.html"] and 'href="#audit"' not in report["index.html"]


def test_the_table_holds_the_numbers_of_each_source(audited, html):
    table = re.search(r'data-table="audit">(.*?)</table>', html, re.DOTALL).group(1)
    for name in ("dataset", "open_clip"):
        overall = json.loads((audited / "audit" / name / "audit.json").read_text())["overall"]
        for key, values in overall.items():
            row = re.search(rf'data-measure="{re.escape(key)}">(.*?)</tr>', table, re.DOTALL).group(1)
            cell = re.search(rf'data-source="{name}">(.*?)</td>', row, re.DOTALL).group(1)
            one, metric = inputs.estimate(values), BY_AUDIT_KEY[key]
            assert f'"value">{number(one.value, metric)}<' in cell
            assert f'"range">{interval(one, metric)}<' in cell
            assert f"<i>n</i> {one.n}<" in cell
    assert "consensus" not in table, "it was not audited"


def test_what_the_numbers_mean_is_said(html):
    assert "Of 80 phrases the dataset itself says" in html
    assert "right by definition" not in html, "no phrase's truth is by its name alone"


def test_groups_are_those_of_the_audit(audited):
    found = audit.section(audited, audited, NAMES)
    groups = json.loads((audited / "audit" / "open_clip" / "audit.json").read_text())["groups"]
    assert [one.name for one in found.nouns] == list(groups["noun"])
    assert [one.name for one in found.sizes] == list(groups["size"])
    first = found.nouns[0]
    assert first.recalls["open_clip"].value == groups["noun"][first.name]["audit.recall"]["value"]
    assert first.strip.count("<circle") == 2


def test_the_worst_examples_miss_and_the_least_overlapping_come_first(audited):
    found = audit.section(audited, audited, NAMES)
    assert found.examples["dataset"] == [], "it finds all by their labels here"
    worst = found.examples["open_clip"]
    assert 2 <= len(worst) <= audit.WORST
    rows = {
        row["phrase_id"]: row for row in dataset.read(audited / "audit" / "open_clip" / "results").to_pylist()
    }
    missed = [row for row in rows.values() if not row["hit"] and row["boxes"]]
    assert worst[0].iou == min(row["iou"] for row in missed)
    assert [one.iou for one in worst] == sorted(one.iou for one in worst)
    nouns = [rows[one.phrase_id]["noun"] for one in worst]
    assert len(set(nouns)) == len(nouns)


def test_boxes_are_drawn_where_they_are():
    picture = Image.new("RGB", (64, 64), (100, 100, 100))
    drawn = np.asarray(audit.draw(picture, [(8, 8, 24, 24)], [(40, 40, 60, 60)], (0, 158, 115)))
    scale = drawn.shape[0] // 64
    assert tuple(drawn[8 * scale + 1, 16 * scale]) == (255, 255, 255)
    assert tuple(drawn[40 * scale + 1, 50 * scale]) == (0, 158, 115)
    assert tuple(drawn[16 * scale, 16 * scale]) == tuple(drawn[50 * scale, 50 * scale]) == (100, 100, 100)


def test_an_audit_cut_short_is_named(audited, tmp_path):
    shutil.copytree(audited, tmp_path / "data")
    file = tmp_path / "data" / "audit" / "open_clip" / "audit.json"
    file.write_text(file.read_text()[:200])
    with pytest.raises(UserError, match=r"open_clip.audit\.json is no whole audit.*audit@open_clip"):
        audit.section(tmp_path / "data", tmp_path, NAMES)


def test_the_same_audit_gives_the_same_page(audited, html):
    again = page.make(audited, made_data.small_params())
    assert again[audited / "report" / "index.html"] == html


def test_a_box_around_the_whole_picture_is_seen():
    drawn = np.asarray(
        audit.draw(Image.new("RGB", (64, 64), (100, 100, 100)), [], [(0, 0, 64, 64)], (0, 158, 115))
    )
    edges = np.concatenate([drawn[0], drawn[-1], drawn[:, 0], drawn[:, -1]])
    assert np.all(edges == (0, 158, 115))
    assert tuple(drawn[160, 160]) == (100, 100, 100)
