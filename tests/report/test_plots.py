"""Curves follow the page's theme, hold the values given, and come out the same each time."""

import re

import numpy as np
import pyarrow as pa
import pytest

from pipeline.errors import UserError
from pipeline.report import arms, plots, study_figure

LOOKS = arms.looks(["caption", "patch_aligned"])


def table(**columns: list[float | None]) -> pa.Table:
    return pa.table(columns)


def test_a_plot_for_each_measured_column_and_both_arms_in_it() -> None:
    runs = {
        f"finetune-{arm}": table(step=[0, 1, 2], loss=[3.0, 2.0, 1.0], learning_rate=[1.0, 1.0, 1.0],
                                 **{"validation.referring.accuracy": [0.1, None, 0.3]})
        for arm in ("caption", "patch_aligned")
    }  # fmt: skip
    made = plots.curves(runs, LOOKS)
    assert list(made) == ["Fine-tuning"]
    assert [plot.title for plot in made["Fine-tuning"]] == [
        "Loss",
        "Referring expressions: accuracy at IoU 0.5, validation",
    ]
    for plot in made["Fine-tuning"]:
        assert "var(--arm-1)" in plot.svg
        assert "var(--arm-2)" in plot.svg


def test_a_column_without_a_value_makes_no_plot() -> None:
    assert plots.curves({"encoder": table(step=[0, 1], loss=[None, None])}, LOOKS) == {}


def test_no_colour_but_the_page_s() -> None:
    line = plots.Line("caption", np.arange(50.0), np.arange(50.0), np.arange(50.0) - 1, np.arange(50.0) + 1)
    svg = plots.draw([line], "Loss", "nats", "salt", LOOKS)
    assert re.findall(r"(?:fill|stroke): #\w+", svg) == []
    assert svg == plots.draw([line], "Loss", "nats", "salt", LOOKS)


def test_ids_of_two_plots_differ() -> None:
    def ids(salt: str) -> set[str]:
        return set(re.findall(r'\bid="([^"]+)"', plots.draw([line], "Loss", "nats", salt, LOOKS)))

    line = plots.Line(None, np.arange(50.0), np.arange(50.0))
    assert not ids("a") & ids("b")


def test_the_running_mean_is_the_mean_of_its_window() -> None:
    values = np.random.default_rng(0).normal(size=200)
    half = round(plots.SMOOTHING * 200 / 2)
    slow = [values[max(0, i - half) : i + half + 1].mean() for i in range(200)]
    assert np.allclose(plots._running_mean(values), slow)


def study(*arms_named: str) -> dict:
    curve = {"step": [10, 20], "value": [0.2, 0.4], "low": [0.1, None], "high": [0.3, None]}
    return {
        "arms": dict.fromkeys(arms_named),
        "curves": {"question.accuracy": dict.fromkeys(arms_named, curve)},
    }


def test_a_study_s_curves_are_drawn_into_a_file(tmp_path):
    file = tmp_path / "docs/study.svg"
    study_figure.write_study_figure(study("caption", "kept", "half"), file)
    drawn = file.read_text()
    for name in ("Questions", "Captions only", "Kept", "Half", "optimiser steps"):
        assert f">{name}<" in drawn
    study_figure.write_study_figure(study("caption", "kept"), tmp_path / "study.png")
    assert (tmp_path / "study.png").read_bytes().startswith(b"\x89PNG")


def test_what_has_no_curves_or_cannot_be_drawn_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"no curves .* study\.json"):
        study_figure.write_study_figure({"arms": {}}, tmp_path / "a.png")
    with pytest.raises(UserError, match=r"a\.doc: name a \.png"):
        study_figure.write_study_figure(study("caption"), tmp_path / "a.doc")
    assert not list(tmp_path.iterdir())
