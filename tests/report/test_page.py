"""The page holds the numbers of metrics.json, is whole in itself, and says what is missing."""

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import made_data
import pytest

from pipeline.errors import UserError
from pipeline.report import page, style
from pipeline.report.inputs import estimate
from pipeline.tables.metrics import BY_KEY

ARMS = ("caption", "patch_aligned")


class Cells(HTMLParser):
    """Text of the cells of the results tables: ``cells[table][metric][arm or column class]``."""

    def __init__(self) -> None:
        super().__init__()
        self.cells: dict[str, dict[str, dict[str, str]]] = {}
        self._table = self._metric = self._cell = ""

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = dict(attributes)
        if tag == "table":
            self._table = found.get("data-table") or ""
        elif tag == "tr":
            self._metric = found.get("data-metric") or ""
        elif tag == "td":
            self._cell = found.get("data-arm") or found.get("data-label") or ""

    def handle_endtag(self, tag: str) -> None:
        if tag == "td":
            self._cell = ""

    def handle_data(self, data: str) -> None:
        if self._table and self._metric and self._cell:
            row = self.cells.setdefault(self._table, {}).setdefault(self._metric, {})
            row[self._cell] = (row.get(self._cell, "") + " " + data.strip()).strip()


@pytest.fixture(scope="session")
def cells(report: dict[str, str]) -> dict[str, dict[str, dict[str, str]]]:
    parser = Cells()
    parser.feed(report["index.html"])
    return parser.cells


@pytest.mark.parametrize(("table", "part"), [("final", "arms"), ("pretrained", "pretrained")])
def test_the_page_s_numbers_are_those_of_metrics_json(
    report: dict[str, str], cells: dict[str, dict[str, dict[str, str]]], table: str, part: str
) -> None:
    measured = json.loads(report["metrics.json"])[part]
    shown = cells[table]
    assert set(shown) == set(measured["caption"]) == set(measured["patch_aligned"])
    for key, row in shown.items():
        for arm in ARMS:
            of_arm, metric = estimate(measured[arm][key]), BY_KEY[key]
            assert row[arm] == f"{style.number(of_arm.value, metric)} {style.interval(of_arm, metric)}"
            assert str(of_arm.n) in row["n"]


def test_differences_and_references_are_those_of_metrics_json(
    report: dict[str, str], cells: dict[str, dict[str, dict[str, str]]]
) -> None:
    measured = json.loads(report["metrics.json"])
    for key, difference in measured["differences"]["patch_aligned"].items():
        made, metric = estimate(difference), BY_KEY[key]
        expected = f"{style.number(made.value, metric, True)} "
        shown = cells["final"][key]["Difference"]
        assert shown.startswith(expected)
        assert style.interval(made, metric, True) in shown
    for name, values in measured["references"].items():
        column = "Ceiling" if name in (style.CEILING, style.FEATURES) else "Floors"
        for key, value in values.items():
            if BY_KEY[key].probe and name == style.UNTRAINED:
                assert not cells["final"][key].get("Floors")
                continue
            assert style.number(value["value"], BY_KEY[key]) in cells["final"][key][column]


def test_metrics_json_holds_what_the_stages_measured(project: Path, report: dict[str, str]) -> None:
    made = json.loads(report["metrics.json"])
    for arm in ARMS:
        folder = project / "evaluation" / arm
        assert made["arms"][arm] == json.loads((folder / "metrics.json").read_text())
        assert made["pretrained"][arm] == json.loads((folder / "pretrained.json").read_text())
        blind = json.loads((folder / "no_image.json").read_text())
        assert made["references"][f"no image: {arm}"] == blind


def test_the_markdown_table_holds_the_same_numbers(report: dict[str, str]) -> None:
    lines = report["results.md"].splitlines()
    for arm, values in json.loads(report["metrics.json"])["arms"].items():
        for key, value in values.items():
            metric = BY_KEY[key]
            made = estimate(value)
            cell = f"{style.number(made.value, metric)} [{style.interval(made, metric)}]"
            title = f"| {metric.group}: {metric.title}"
            assert any(line.startswith(title) and cell in line for line in lines), arm


def test_the_markdown_table_has_one_width(report: dict[str, str]) -> None:
    table = report["results.md"].partition("\n\n")[0]
    assert len({line.count("|") for line in table.splitlines()}) == 1


def test_the_page_is_whole_in_itself(report: dict[str, str]) -> None:
    html = report["index.html"]
    assert "http" not in html.replace("http://www.w3.org", "")  # namespaces of SVG alone
    assert set(re.findall(r'src="([^:]*:)', html)) == {"data:"}
    assert "<script" not in html and "<link" not in html and "@import" not in html
    assert not re.search(r"url\((?!#)", html)


def test_the_ids_in_the_page_are_its_own(report: dict[str, str]) -> None:
    html = report["index.html"]
    ids = re.findall(r'\bid="([^"]+)"', html)
    assert len(ids) == len(set(ids))
    wanted = set(re.findall(r'href="#([^"]+)"', html)) | set(re.findall(r"url\(#([^)]+)\)", html))
    assert wanted <= set(ids)


def test_the_phrase_is_marked_in_its_caption(report: dict[str, str]) -> None:
    captions = re.findall(r'<p class="caption">(.*?)</p>', report["index.html"])
    assert len(captions) == made_data.small_params().report.examples
    for caption in captions:
        assert re.search(r"<mark>[Aa] (red|blue|green|yellow) (box|crate|block|tile)</mark>", caption)


def test_what_a_model_says_is_text_and_never_markup(report: dict[str, str]) -> None:
    assert "&lt;b&gt;box&lt;/b&gt;" in report["index.html"]
    assert "<b>box</b>" not in report["index.html"]


def test_rejects_stand_beside_their_counts(report: dict[str, str]) -> None:
    rows = re.findall(
        r'<th scope="row">([a-z ]+)<span class="bar"[^>]*></span></th><td>(\d+)</td>', report["index.html"]
    )
    assert dict(rows) == {
        "image corrupt": "3", "pronoun": "412", "relational noun": "301", "no visible thing": "87",
        "no object": "44", "below min coverage": "6",
    }  # fmt: skip


def test_the_same_inputs_give_the_same_bytes_and_name_no_place(project: Path, report: dict[str, str]) -> None:
    again = {path.name: text for path, text in page.make(project, made_data.small_params()).items()}
    assert again == report
    assert all(str(project.parent) not in text for text in report.values())


@pytest.fixture
def copy(project: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(project, tmp_path / "data"))


@pytest.mark.parametrize(
    ("missing", "stage"),
    [
        ("evaluation/caption/metrics.json", "dvc repro evaluate@caption"),
        ("evaluation/patch_aligned/predictions", "dvc repro evaluate@patch_aligned"),
        ("evaluation/patch_aligned/similarity_maps", "dvc repro evaluate@patch_aligned"),
        ("evaluation/references/metrics.json", "dvc repro references"),
        ("phrases", "dvc repro"),
        ("images", "dvc repro"),
        ("models/encoder/preprocessor_config.json", "preprocessor_config.json"),
    ],
)
def test_a_missing_input_names_what_is_missing_and_the_stage_to_run(
    copy: Path, missing: str, stage: str
) -> None:
    gone = copy / missing
    shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
    with pytest.raises(UserError) as caught:
        page.make(copy, made_data.small_params())
    assert str(gone) in str(caught.value)
    assert stage in str(caught.value)


def test_a_file_cut_short_is_named(copy: Path) -> None:
    broken = copy / "evaluation" / "caption" / "metrics.json"
    broken.write_text(broken.read_text()[:50])
    with pytest.raises(UserError, match=re.escape(str(broken))):
        page.make(copy, made_data.small_params())


def test_what_is_optional_may_be_missing_and_its_section_with_it(copy: Path) -> None:
    for name in ("comparisons/study.json", "curves", "summaries", "evaluation/caption/no_image.json"):
        gone = copy / name
        shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
    for arm in ARMS:
        (copy / "evaluation" / arm / "pretrained.json").unlink()
    html = page.make(copy, made_data.small_params())[copy / "report" / "index.html"]
    for section in ("study", "curves", "data", "pretrained"):
        assert f'id="{section}"' not in html
        assert f'href="#{section}"' not in html
    assert 'id="results"' in html


def test_p_stands_under_the_difference(
    report: dict[str, str], cells: dict[str, dict[str, dict[str, str]]]
) -> None:
    differences = json.loads(report["metrics.json"])["differences"]["patch_aligned"]
    with_p = {key: found["p"] for key, found in differences.items() if "p" in found}
    assert with_p
    for key, p in with_p.items():
        assert cells["final"][key]["Difference"].endswith(f"p {style.p_value(p)}")
