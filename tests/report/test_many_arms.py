"""With more arms than two every table holds each arm's numbers and its difference from the first."""

import dataclasses
import json
import re
from html import escape
from pathlib import Path

import made_data
import numpy as np
import pytest
from rich.console import Console

from pipeline import cli
from pipeline.report import answer, arms, comparison, examples, hypothesis, overview, page, style
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


def lines_of(table: str) -> dict[tuple[str, str], list[str]]:
    """Cells by metric and arm."""
    lines = [line.split(" | ") for line in table.splitlines()]
    return {
        (cells[0].removeprefix("| ").removesuffix(", %"), cells[1]): cells
        for cells in lines
        if len(cells) > 4
    }


def test_every_difference_stands_in_the_page_and_in_the_tables(report: dict[str, str]) -> None:
    made = json.loads(report["metrics.json"])
    final = report["index.html"].split('data-table="final"')[1].split("</section>")[0]
    for arm, found in made["differences"].items():
        for key, value in found.items():
            one, metric = estimate(value), BY_KEY[key]
            shown = style.number(one.value, metric, True)
            block = final.split(f'data-metric="{key}"')[1]
            if "the same in all arms" in block.split("</p>")[0]:
                assert one.value == 0
            else:
                row = block.split("</table>")[0].split(f'<tr data-arm="{arm}">')[1].split("</tr>")[0]
                cell, p = row.split(f'data-difference="{arm}"')[1].split("</td>")[:2]
                assert shown in cell
                if "p" in value:
                    assert f">{escape(style.p_value(value['p']))}<" in p
                    assert f">{escape(style.p_value(value['holm']))}<" in p
            title = f"{metric.group}: {metric.title}"
            line = lines_of(report["results.md"])[title, arms.title(arm)]
            assert line[3].startswith(shown)
            assert line[4] == (style.p_value(value["p"]) if "p" in value else "")
    table = report["results.md"].partition("\n\n")[0]
    assert len({line.count("|") for line in table.splitlines()}) == 1


def test_p_is_adjusted_for_the_arms_of_a_metric(report: dict[str, str]) -> None:
    differences = json.loads(report["metrics.json"])["differences"]
    keys = [key for key, found in differences["vocabulary"].items() if "p" in found]
    assert "question.accuracy" in keys
    for key in keys:
        ps = {arm: found[key]["p"] for arm, found in differences.items()}
        adjusted = {arm: found[key]["holm"] for arm, found in differences.items()}
        smallest = min(ps, key=ps.__getitem__)
        assert adjusted[smallest] == pytest.approx(min(1.0, 4 * ps[smallest]), rel=1e-3)
        assert all(adjusted[arm] >= ps[arm] for arm in ps)


def test_every_arm_has_its_own_look(report: dict[str, str]) -> None:
    found = arms.looks(FIVE)
    for part in ("title", "colour", "dark", "mark", "css"):
        assert len({getattr(look, part) for look in found.values()}) == 5
    for look in found.values():
        assert f"--{look.css}: {look.colour}" in report["index.html"]
        assert f"stroke: var(--{look.css})" in report["index.html"]  # its curves
    many = arms.looks([f"a{k}" for k in range(60)])
    assert len({(look.colour, look.mark) for look in many.values()}) == 60
    assert len({look.colour for look in list(many.values())[:12]}) == 12


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
        name: {key: comparison.Difference(Estimate(x - 0.5, x - 0.53, x - 0.47, 900), True, 0.01)}
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
    lowest = "the lowest: Arm 3 40.0\u202f%, a difference of \u221210.0 points (\u221213.0 to \u22127.0)"
    assert f"{lowest}, p = 0.010; 0.040 by Holm for 4 arms (95\u202f% intervals)." in mixed.detail
    assert "the highest: Arm 1 60.0\u202f%" in mixed.detail
    (looked,) = (line for line in mixed.caveats if line.startswith("4 differences"))
    assert "3 exclude zero; 3 of those keep p" in looked
    assert sum("floor" in line for line in mixed.caveats) == 0


def test_nobody_is_called_better_who_is_so_only_because_many_were_looked_at() -> None:
    (row,) = rows(0.54, 0.51, 0.49)
    found = {arm: comparison.Difference(one.estimate, True, p) for (arm, one), p in
             zip(row.differences.items(), (0.02, 0.5, 0.6), strict=True)}  # fmt: skip
    row = dataclasses.replace(row, differences=found)
    assert row.verdict("arm_1") == "better" and row.adjusted()["arm_1"] == pytest.approx(0.06)
    assert answer.answer([row]).headline.startswith("No difference shown")


def test_arms_under_their_floor_are_named_in_one_sentence() -> None:
    key = "referring.accuracy"
    values = {
        name: {key: Estimate(x, x - 0.02, x + 0.02, 900)}
        for name, x in zip("abc", (0.3, 0.35, 0.5), strict=True)
    }
    floors = {"random true box": {key: Estimate(0.36, 0.34, 0.38, 900)}}
    (line,) = (one for one in answer.answer(comparison.rows(values, floors, {})).caveats if "floor" in one)
    assert line == (
        "Referring expressions: \u201cAccuracy at IoU 0.5\u201d is not above its floor in"
        " 2 of 3 arms (a and b): 30.0 to 35.0\u202f%; random true box: 36.0\u202f%."
    )


def test_the_best_arm_is_named_and_those_that_cannot_be_told_from_it() -> None:
    key = "question.accuracy"
    rng = np.random.default_rng(0)
    right = {"a": rng.random(400) < 0.3, "b": rng.random(400) < 0.7, "d": rng.random(400) < 0.45}
    right["c"] = right["b"].copy()
    right["c"][:3] = ~right["c"][:3]
    values = {arm: {key: {str(k): float(x) for k, x in enumerate(found)}} for arm, found in right.items()}
    means = {arm: {key: Estimate(float(x.mean()), 0, 1, 400)} for arm, x in right.items()}
    (row,) = overview.beside_best(comparison.rows(means, {}, {}), values, 200, 0)
    best = max("bc", key=lambda arm: right[arm].mean())
    assert row.best == best
    assert row.level == {"b", "c"} - {best}
    fewer = {"question.accuracy": means["a"][key]}
    assert comparison.rows({"a": fewer, "b": fewer}, {}, {})[0].best is None  # two arms need no such word


def test_lower_is_better_where_the_metric_says_so() -> None:
    key = "compression.after"
    values = {arm: {key: Estimate(x, x, x, 9)} for arm, x in zip("abc", (0.5, 0.3, 0.4), strict=True)}
    assert comparison.rows(values, {}, {})[0].best == "b"


def test_the_overview_marks_one_best_arm_a_column(report: dict[str, str]) -> None:
    table = report["index.html"].split('data-table="overview"')[1].split("</table>")[0].split("<tbody>")[1]
    assert table.count("<tr>") == 5
    columns = len(re.findall("<td", table)) // 5
    assert table.count("<mark>") == columns > 2


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
    assert lines[0].split() == ["value", "[95", "%]", "difference", "[95", "%]", "p", "Holm"]
    start = next(place for place, line in enumerate(lines) if line.startswith("Questions: Acc")) + 1
    assert [line.split()[0] for line in lines[start : start + 5]] == [arm.replace("_", "-") for arm in FIVE]
    assert "Differences are from caption; Holm: p adjusted" in lines[-1]
    assert max(map(len, lines)) <= 110
    assert "\u2026" not in capture.get()  # nothing was cut short


def test_the_report_of_one_arm_has_no_differences(tmp_path: Path) -> None:
    project = made_data.make_project(tmp_path, scenes=4, study=False, arms=("caption",))
    made = {p.name: text for p, text in page.make(project, made_data.small_params(("caption",))).items()}
    assert json.loads(made["metrics.json"])["differences"] == {}
    assert "were not measured in two arms" in made["index.html"]


def test_arms_that_answer_the_same_stand_together(report: dict[str, str]) -> None:
    one = {"prediction": "a box", "score": 1.0, "task": "question", "box": None, "predicted_box": None}
    other = {**one, "prediction": "a crate", "score": 0.0}
    answers = {"a": one, "b": other, "c": one, "d": one, "e": other}
    said = examples._said(answers)
    assert [(each["text"], each["arms"]) for each in said] == [
        ("a box", ["a", "c", "d"]),
        ("a crate", ["b", "e"]),
    ]
    two = examples._said({"a": one, "c": one})
    assert [each["arms"] for each in two] == [["a"], ["c"]]  # few arms: each by itself


def test_the_layers_of_many_arms_stand_below_each_other(report: dict[str, str]) -> None:
    tables = report["index.html"].split('<table class="layers by-arm"')[1:]
    assert tables
    for table in tables:
        layers = re.findall(r'<tr data-layer="([^"]+)"', table.split("</table>")[0])
        stages = [f"{stage}: {arm}" for arm in FIVE for stage in ("pretrained", "finetuned")]
        assert [layer for layer in layers if ":" in layer] == stages


def test_an_arm_that_is_alike_before_and_after_is_named_once() -> None:
    layers = ["untrained", "pretrained: a", "finetuned: a", "finetuned: b"]
    names = {"untrained": "Untrained", "pretrained: a": "A, pre-trained", "finetuned: a": "A, fine-tuned",
             "finetuned: b": "B, fine-tuned"}  # fmt: skip
    assert hypothesis._named(layers, names) == ["Untrained", "A, pre-trained and fine-tuned", "B, fine-tuned"]
