"""A wrong value in ``params.yaml`` names the key, the value that was found and what is allowed."""

import copy
from pathlib import Path

import pytest
import yaml

from pipeline import params
from pipeline.errors import UserError

EMBEDDED = Path(__file__).parents[1] / "profiles" / "embedded.yaml"


@pytest.fixture
def raw() -> dict:
    return copy.deepcopy(yaml.safe_load(EMBEDDED.read_text()))


def put(tree: dict, key: str, value) -> dict:
    *path, last = key.split(".")
    inner = tree
    for step in path:
        inner = inner[step]
    inner[last] = value
    return tree


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("ground.source", "grounding", "'dataset', 'open_clip'"),
        ("source.name", "imagenet", "'scenes'"),
        ("source.scenes.train", 0, "greater than or equal to 1"),
        ("source.scenes.train", "many", "integer"),
        ("source.scenes.image_size", 8, "greater than or equal to 32"),
        ("source.scenes.overlap", 1.5, "less than or equal to 1"),
        ("source.coco.splits", {"train2017": "training"}, "'train', 'validation' or 'test'"),
        ("patch_words.min_coverage", -0.1, "greater than or equal to 0"),
        ("train.pretrain.learning_rate", 0, "greater than 0"),
        ("train.arms.patch_aligned.loss", "cosin", "'cosine', 'vocabulary'"),
        ("train.arms", {}, "at least 1 item"),
        ("compute.runner", "slurm", "'threads', 'processes', 'dask' or 'ray'"),
        ("seed", -1, "greater than or equal to 0"),
    ],
)
def test_a_wrong_value_is_told_with_its_key_and_what_is_allowed(raw, key, value, allowed):
    with pytest.raises(UserError) as caught:
        params.parse(put(raw, key, value), "params.yaml")
    message = str(caught.value)
    line = next(line for line in message.splitlines() if line.strip().startswith(key))
    assert "params.yaml has 1 wrong value" in message
    found = next(iter(value.values())) if isinstance(value, dict) and value else value
    assert repr(found) in line
    assert allowed in line


@pytest.mark.parametrize("name", ["Cosine", "a b", "../x", "2nd", "a-b", "a.b", "", "references"])
def test_an_arm_whose_name_makes_no_folder_is_told(raw, name):
    raw["train"]["arms"][name] = {"loss": "cosine"}
    with pytest.raises(UserError, match=r"train\.arms\.(?s:.*)found .*lower-case letters, digits and _"):
        params.parse(raw)


def test_settings_of_a_loss_that_an_arm_has_not_are_told(raw):
    raw["train"]["arms"]["caption"] = {"loss": "none", "beta": 0.5}
    with pytest.raises(UserError, match="nothing that beta could change: remove it, or name a loss"):
        params.parse(raw)


@pytest.mark.parametrize(
    ("arm", "told"),
    [
        ({"loss": "none", "captions": False}, "nothing to train on: name a loss"),
        ({"loss": "logit_lens", "captions": False}, "which captions: false leaves out"),
        ({"loss": "logit_lens", "dimensions": 0.5}, "dimensions has to be 1"),
        ({"loss": "cosine", "captions": False, "anneal": True}, "leave nothing to train on"),
    ],
)
def test_settings_of_an_arm_that_do_not_go_together_are_told(raw, arm, told):
    raw["train"]["arms"]["other"] = arm
    with pytest.raises(UserError, match=rf"train\.arms\.other: (?s:.*){told}"):
        params.parse(raw)


def test_a_baseline_that_is_no_arm_is_told(raw):
    put(raw, "report.baseline", "captions")
    with pytest.raises(UserError, match=r"report\.baseline is 'captions', .*caption, patch_aligned"):
        params.parse(raw)


def test_the_baseline_comes_first_and_the_others_as_they_are_listed(raw):
    raw["train"]["arms"] = {name: {"loss": "cosine"} for name in ("b", "a", "caption")}
    put(raw, "report.baseline", "a")
    found = params.parse(raw)
    assert found.arms == ["a", "b", "caption"]
    assert found.arm("b").loss == "cosine"
    with pytest.raises(UserError, match=r"train\.arms has no arm 'c'; it has b, a, caption"):
        found.arm("c")


def test_parameters_written_out_are_read_back(raw):
    found = params.parse(raw)
    assert params.parse(found.model_dump(mode="json")) == found


def test_a_range_upside_down_is_told(raw):
    with pytest.raises(
        UserError, match=r"scenes\.objects: found .*; the first number \(5\) must not be above the second"
    ):
        params.parse(put(raw, "source.scenes.objects", [5, 2]))


def test_all_wrong_values_are_told_at_once(raw):
    put(raw, "ground.source", "sam")
    put(raw, "parse.batch_size", 0)
    with pytest.raises(UserError, match=r"(?s)2 wrong value.*parse\.batch_size.*ground\.source"):
        params.parse(raw)


def test_a_misspelt_key_and_a_missing_one_are_told(raw):
    raw["patch_words"]["min_covrage"] = raw["patch_words"].pop("min_coverage")
    with pytest.raises(UserError) as caught:
        params.parse(raw)
    assert "patch_words.min_coverage: missing" in str(caught.value)
    assert "patch_words.min_covrage: there is no such setting" in str(caught.value)


def test_a_missing_file_and_broken_yaml_are_told(tmp_path):
    with pytest.raises(UserError, match=r"There is no .*params\.yaml: run the command in the project's root"):
        params.load(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text("seed: [1\n")
    with pytest.raises(UserError, match=r"(?s)params\.yaml is not valid YAML.*line"):
        params.load(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text("")
    with pytest.raises(UserError, match="top level"):
        params.load(tmp_path / "params.yaml")


def test_a_section_is_fixed_once_read_and_its_digest_follows_its_values(raw):
    before = params.parse(raw)
    with pytest.raises(Exception, match="frozen"):
        before.patch_words.min_score = 0.5
    after = params.parse(put(copy.deepcopy(raw), "patch_words.min_score", 0.5))
    assert before.parse.digest() == after.parse.digest()
    assert before.patch_words.digest() != after.patch_words.digest()


def test_every_setting_says_what_it_is():
    def undocumented(model, path=""):
        for name, field in model.model_fields.items():
            kind = field.annotation
            if isinstance(kind, type) and issubclass(kind, params.Section):
                if not kind.__doc__:
                    yield f"{path}{name}"
                yield from undocumented(kind, f"{path}{name}.")

    assert list(undocumented(params.Params)) == []


def test_a_small_number_as_dvc_writes_it_is_a_number():
    assert params.tree("[2e-05, -1E+3, 1.5e-3, 2e, e5, 0x1e5, '2e-05']") == [
        2e-05, -1000.0, 0.0015, "2e", "e5", 0x1E5, "2e-05",
    ]  # fmt: skip
