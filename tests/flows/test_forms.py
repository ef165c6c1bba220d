"""The forms of the Prefect UI, and what they do to the settings."""

import itertools
import json
from pathlib import Path

import hypothesis
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from prefect.utilities.callables import parameter_schema

from flows import build, forms, runs, settings
from pipeline import params, profiles
from pipeline.errors import UserError
from pipeline.params import GroundParams

ROOT = Path(__file__).parents[2]
EMBEDDED = ROOT / "profiles" / "embedded.yaml"


def form(flow) -> dict:
    return parameter_schema(flow).model_dump()["properties"]


def test_a_form_has_the_limits_choices_and_help_texts_of_the_settings():
    fields = form(runs.rebuild)
    assert fields["annotation_source"]["enum"] == list(
        GroundParams.model_json_schema()["properties"]["source"]["enum"]
    )
    assert fields["seed"]["minimum"] == 0 and fields["samples"]["minimum"] == 1
    assert fields["seed"]["title"] == "Seed"
    assert fields["seed"]["description"].startswith("Seed of everything random.")
    assert fields["stages"]["items"]["enum"] == list(
        yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    )
    assert {"embedded", "smoke"} <= set(fields["profile"]["enum"])


def test_every_annotation_source_has_a_line_in_the_form():
    text = form(runs.rebuild)["annotation_source"]["description"]
    lines = {line.split(":")[0].removeprefix("- ") for line in text.splitlines() if line.startswith("- ")}
    assert lines == set(form(runs.rebuild)["annotation_source"]["enum"])


def test_a_field_left_empty_is_not_sent_and_comes_to_the_flow_as_none():
    # A default of null would be sent by the form, and then be refused by the field's own type.
    assert "default" not in form(runs.rebuild)["seed"] and form(runs.rebuild)["seed"]["type"] == "integer"
    empty = {name: forms.EMPTY for name in ("profile", "annotation_source", "samples", "stages", "seed")}
    given = runs.rebuild.validate_parameters({**empty, "experiment": forms.EMPTY, "where": "in place"})
    assert {name: value for name, value in given.items() if value is not None} == {"where": "in place"}


DEPLOYMENTS = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda deployment: deployment["name"])
def test_every_deployment_has_a_flow_that_is_checked_and_may_be_started_as_it_is(deployment):
    module, _, name = deployment["entrypoint"].rpartition(".")
    flow = getattr(__import__(module, fromlist=[name]), name)
    assert flow.name == deployment["name"]
    assert deployment["enforce_parameter_schema"] is True
    assert parameter_schema(flow).required == []
    assert all(field["title"] != name for name, field in form(flow).items() if name != "message")


def test_nothing_is_scheduled_before_somebody_switches_it_on():
    schedules = [schedule for deployment in DEPLOYMENTS for schedule in deployment.get("schedules", [])]
    assert schedules and not any(schedule["active"] for schedule in schedules)


def test_forms_know_the_stages_in_the_order_of_dvc_yaml():
    assert forms.stages()[0] == "ingest"


# Settings.


def test_what_a_form_sets_is_written_and_everything_else_stays_as_it_was():
    before = EMBEDDED.read_text()
    edited = settings.edited({"seed": 3, "ground.source": "open_clip"}, file=EMBEDDED)
    # Spaces before a comment may change.
    lines = [[" ".join(line.split()) for line in text.splitlines()] for text in (before, edited)]
    changed = [new for old, new in zip(*lines, strict=True) if old != new]
    assert [line.split(" #")[0] for line in changed] == ["seed: 3", "source: open_clip"]


def test_wrong_settings_are_told_before_anything_is_written():
    with pytest.raises(UserError, match=r"seed: found -1"):
        settings.edited({"seed": -1}, file=EMBEDDED)
    with pytest.raises(UserError, match=r"ground\.nothing: there is no such setting"):
        settings.edited({"ground.nothing": 1}, file=EMBEDDED)


def test_every_setting_can_be_sent_to_another_workspace():
    text = EMBEDDED.read_text()
    sent = settings.leaves(settings.tree(text))
    assert settings.tree(settings.edited(sent, file=EMBEDDED)) == settings.tree(text)


@hypothesis.settings(deadline=None)
@given(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-9, 9),
        st.floats(-9, 9),
        st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S", "Zs"]), max_size=12),
        st.lists(st.integers(0, 9), max_size=3),
        st.just({"a_file.json": "captions"}),
    )
)
def test_overrides_say_to_dvc_what_the_form_says(value):
    from hydra.core.override_parser.overrides_parser import OverridesParser

    text = settings.overrides("a: {b: unset}\n", json.dumps({"a": {"b": value}}))
    if value == "unset":
        assert text == []
        return
    [override] = OverridesParser.create().parse_overrides(text)
    assert override.key_or_group == "a.b"
    found = override.value()
    assert found == value or str(found) == str(value)


def overridden(tmp_path, before: str, after: str) -> str:
    """What DVC makes of the first of two files by what is said to it to get to the second."""
    from dvc.utils.cli_parse import to_path_overrides
    from dvc.utils.hydra import apply_overrides

    file = tmp_path / "params.yaml"
    file.write_text(before)
    [(path, said)] = to_path_overrides(settings.overrides(before, after)).items()
    assert path == "params.yaml"
    apply_overrides(file, said)
    return file.read_text()


def test_dvc_makes_each_profile_of_any_other_whatever_arms_they_have(tmp_path):
    texts = [profiles.text(name, ROOT / "profiles") for name in ("embedded", "arms", "paper", "scale_small")]
    for before, after in itertools.permutations(texts, 2):
        made = overridden(tmp_path, before, after)
        assert settings.tree(made) == settings.tree(after)
        assert params.parse(settings.tree(made)) == params.parse(settings.tree(after))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a: {b: null, c: 1}", "a: {c: 1}"),
        ("a: {b: null, c: 1}", "a: {b: 2e-05, c: 1}"),
        ("a: {b: {one.json: captions}}", "a: {b: {other.json: captions}}"),
        ("a: {b: {}}", "a: {b: {c: 1}}"),
        ("a: {b: {c: 1}}", "a: {b: [1, 2]}"),
    ],
)
def test_dvc_takes_away_what_is_gone_and_adds_what_is_new(tmp_path, before, after):
    assert settings.tree(overridden(tmp_path, before, after)) == settings.tree(after)


@pytest.mark.parametrize(
    ("plan", "told"),
    [
        (build.Plan({}, experiment="mine"), "found 'mine', but the run is in place"),
        (build.Plan({}, stages=["nothing"]), "dvc.yaml has no stage nothing; it has ingest"),
        (build.Plan({"source.scenes.train": 9, "source.name": "coco"}), "found 9, but source.name is coco"),
    ],
)
def test_values_that_do_not_go_together_are_refused(plan, told):
    text = settings.edited(plan.edits, file=EMBEDDED)
    with pytest.raises(UserError, match=told):
        build.check(plan, plan.edits, text)
    build.check(build.Plan({"source.scenes.train": 9}, stages=["ingest"]), {}, EMBEDDED.read_text())
