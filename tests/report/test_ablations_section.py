"""The report's section on ablations: what varied, each number with its interval, the difference beside it."""

import json
import re
import shutil
from pathlib import Path

import made_data

from pipeline.report import ablations, page


def one(value: float) -> dict:
    keys = ("referring.accuracy", "position.r2", "captioning.cider", "captioning.objects")
    return {key: {"value": value, "low": value - 0.125, "high": value + 0.125, "n": 40} for key in keys}


def run(value: float, **about: object) -> dict:
    return {
        **about,
        "arms": {"caption": one(0.25), "patch_aligned": one(value)},
        "differences": one(value - 0.25),
    }


FOUND = {
    "command": "make ablations", "commit": "0123abcd", "profile": "embedded",
    "arm": "patch_aligned", "baseline": "caption", "base": run(0.5),
    "runs": [
        run(0.125, name="b", changes={"train.arms.patch_aligned.beta": 0.5},
            instead_of={"train.arms.patch_aligned.beta": 2.0}),
        run(0.75, name="l", changes={"train.arms.patch_aligned.loss": "logit_lens"},
            instead_of={"train.arms.patch_aligned.loss": "cosine"}),
        run(0.625, name="s", changes={"source.scenes.train": 5000},
            instead_of={"source.scenes.train": 10000}),
        run(0.5, name="o", changes={"made.up": 1}, instead_of={"made.up": None}),
    ],
}  # fmt: skip


def test_runs_stand_under_what_they_vary_with_what_it_was():
    section = ablations.of(FOUND)
    assert [(group, [made.title for made in runs]) for group, runs in section.groups] == [
        ("Nothing changed", ["as in profile embedded"]),
        ("Weight of the patch loss (β)", ["0.5 instead of 2"]),
        ("Form of the patch loss", ["logit lens instead of cosine"]),
        ("Training images", ["5\u202f000 instead of 10\u202f000"]),
        ("made.up", ["1"]),
    ]


def test_cider_is_shown_only_where_captions_have_no_objects():
    keys = [metric.key for metric in ablations.of(FOUND).metrics]
    assert keys == ["position.r2", "captioning.objects", "referring.accuracy"]
    without = json.loads(json.dumps(FOUND))
    for made in (without["base"], *without["runs"]):
        for values in (*made["arms"].values(), made["differences"]):
            del values["captioning.objects"]
    assert "captioning.cider" in [metric.key for metric in ablations.of(without).metrics]


def test_the_page_shows_value_interval_difference_and_verdict(project: Path, tmp_path: Path):
    copy = tmp_path / "data"
    shutil.copytree(project, copy)
    (copy / "comparisons/ablations.json").write_text(json.dumps(FOUND))
    html = page.make(copy, made_data.small_params())[copy / "report" / "index.html"]
    assert 'href="#ablations"' in html
    (section,) = re.findall(r'<section id="ablations">.*?</section>', html, re.DOTALL)
    row = section[section.index('data-metric="b"') :]
    row = row[: row.index("</tr>")]
    text = " ".join(re.sub(r"<[^>]+>", " ", row).split())
    assert "0.5 instead of 2" in text
    assert "12.5 0.0 to 25.0" in text and "−12.5 ≈ −25.0 to 0.0" in text
    assert 'class="difference better"' in section[section.index('data-metric="l"') :]
