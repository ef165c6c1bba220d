"""With more arms than two every table holds each arm's numbers and its difference from the first."""

import json
import re
from pathlib import Path

import made_data
import pytest
from rich.console import Console

from pipeline import cli
from pipeline.report import answer, arms, comparison, examples, page, style
from pipeline.report.inputs import estimate
from pipeline.tables.metrics import BY_KEY, Estimate

FIVE = ("caption", "patch_aligned", "vocabulary", "contrastive", "logit_lens")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The texts of the report of five arms by the files' names."""
    project = made_data.make_project(tmp_path_factory.mktemp("five"), scenes=8, arms=FIVE)
    return {path.name: text for path, text in page.make(project, made_data.small_params(FIVE)).items()}


def test_each_other_arm_is_compared_with_the_first(report: dict[str, str]) -> None:
    made = json.loads(report["metrics.json"])
    assert list(made["arms"]) == list(FIVE)
    assert list(made["differences"]) == list(FIVE[1:])
    for arm in FIVE[1:]:
        first, mine = (made["arms"][name]["question.accuracy"]["value"] for name in ("caption", arm))
        assert made["differences"][arm]["question.accuracy"]["value"] == pytest.approx(mine - first, abs=2e-6)


def test_every_difference_stands_in_the_page_and_in_the_tables(report: dict[str, str]) -> None:
    made = json.loads(report["metrics.json"])
    final = report["index.html"].split('data-table="final"')[1]
    for arm, found in made["differences"].items():
        for key, value in found.items():
            one, metric = estimate(value), BY_KEY[key]
            shown = style.number(one.value, metric, True)
            row = final.split(f'<tr data-metric="{key}">')[1].split("</tr>")[0]
            cell = row.split(f'data-difference="{arm}"')[1].split("</td>")[0]
            assert shown in cell
            line = next(
                line
                for line in report["results.md"].splitlines()
                if line.startswith(
                    (f"| {metric.group}: {metric.title} |", f"| {metric.group}: {metric.title},")
                )
            )
            assert line.split(" | ")[5 + FIVE.index(arm)].startswith(shown)
    assert len({line.count("|") for line in report["results.md"].splitlines()}) == 1


def test_every_arm_has_its_own_look(report: dict[str, str]) -> None:
    found = arms.looks(FIVE)
    for part in ("title", "colour", "dark", "mark", "css"):
        assert len({getattr(look, part) for look in found.values()}) == 5
    for look in found.values():
        assert f"--{look.css}: {look.colour}" in report["index.html"]
        assert f"stroke: var(--{look.css})" in report["index.html"]  # its curves
    many = arms.looks([f"a{k}" for k in range(35)])
    assert len({(look.colour, look.mark) for look in many.values()}) == 35


def test_nothing_in_the_page_speaks_of_two_arms(report: dict[str, str]) -> None:
    assert not re.search(r"\b[Bb]oth (arms|right|wrong)\b", report["index.html"])


def rows(*others: float) -> list[comparison.Row]:
    """Referring expressions of a first arm at 50 % and others whose intervals are 3 points to either side."""
    key = "referring.accuracy"
    names = [f"arm_{place}" for place in range(1 + len(others))]
    values = {
        name: Estimate(x, x - 0.02, x + 0.02, 900) for name, x in zip(names, (0.5, *others), strict=True)
    }
    apart = {
        name: {key: Estimate(x - 0.5, x - 0.53, x - 0.47, 900)}
        for name, x in zip(names[1:], others, strict=True)
    }
    return comparison.rows({name: {key: value} for name, value in values.items()}, {}, apart)


def test_the_headline_names_who_is_better_and_who_is_worse() -> None:
    assert answer.answer(rows(0.6, 0.7)).headline.startswith("Yes, here")
    assert answer.answer(rows(0.4, 0.3)).headline.startswith("No, not here")
    mixed = answer.answer(rows(0.6, 0.51, 0.4, 0.45))
    assert mixed.headline == (
        "It depends on the loss: the model finds more with Arm 1; less with Arm 3 and Arm 4;"
        " as much, as far as is shown with Arm 2."
    )
    assert "Arm 3 40.0\u202f%, a difference of \u221210.0 points (\u221213.0 to \u22127.0)" in mixed.detail
    assert any(line.startswith("4 differences") for line in mixed.caveats)


def test_every_example_has_one_outcome() -> None:
    scores = {
        "a": (1, 1, 1),
        "b": (0, 0, 1),
        "c": (1, 0, 1),
        "d": (0, 0, 0),
        "e": (0, 1, 1),
        "f": (1, 0.9, 1),
    }
    found = examples._by_outcome(scores, ["First", "Second", "Third"])
    assert {title: (count, name) for title, count, _, name in found} == {
        "All right": (2, "a"),
        "Right, but not with first": (2, found[1][3]),
        "Wrong in an arm, but not with first": (1, "c"),
        "All wrong": (1, "d"),
    }
    assert found[1][3] in ("b", "e")


def test_five_arms_fit_a_terminal(report: dict[str, str]) -> None:
    out = Console(width=140, force_terminal=False, no_color=True)
    with out.capture() as capture:
        out.print(cli.results_table(json.loads(report["metrics.json"])))
    lines = [line.rstrip() for line in capture.get().splitlines()]
    assert lines[0].split()[:5] == [arm.replace("_", "-") for arm in FIVE]
    assert "In brackets the difference from caption" in lines[-1]
    assert "\u2026" not in capture.get()  # nothing was cut short


def test_the_report_of_one_arm_has_no_differences(tmp_path: Path) -> None:
    project = made_data.make_project(tmp_path, scenes=4, study=False, arms=("caption",))
    made = {p.name: text for p, text in page.make(project, made_data.small_params(("caption",))).items()}
    assert json.loads(made["metrics.json"])["differences"] == {}
    assert "were not measured in two arms" in made["index.html"]
