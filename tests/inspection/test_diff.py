"""Two versions of a dataset: what was added, went and changed, and why."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import chdir
from pathlib import Path

import made_run
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_inspect_command import run

from pipeline.errors import UserError
from pipeline.inspection import diff, revisions
from pipeline.inspection.describe import Dataset
from pipeline.tables import dataset, schemas
from pipeline.tables.dataset import Provenance

LOCK = """
schema: '2.0'
stages:
  patch_words:
    cmd: python -m flows.patch_words
    params:
      params.yaml:
        patch_words.use: masks
        patch_words.min_coverage: {coverage}
    outs:
    - path: data/patch_words
      md5: 0
"""


def changed(folder: Path, part: int, change, made_from: Provenance = made_run.MADE_FROM) -> None:
    """Write a part of patch_words anew, with its rows changed."""
    rows = dataset.read_part(folder / dataset.PART.format(part)).to_pylist()
    table = schemas.from_rows("patch_words", change(rows))
    dataset.write_part(folder, part, table, "patch_words", made_from)


def test_each_row_is_counted_once_and_each_column_where_it_differs(made: Path, data: Path) -> None:
    def change(rows):
        rows[0] |= {"patches": [0, 1], "coverage": [0.5, 1.0]}
        rows[1] |= {"score": 0.25, "patches": [4, 5], "coverage": [1.0, 1.0]}
        return [*rows[:2], {**rows[2], "phrase_id": "791/c43/p9"}]

    changed(data / "patch_words", 0, change)
    found = diff.of(Dataset(made / "patch_words"), Dataset(data / "patch_words"))
    assert (found.same, found.changed, found.added, found.gone) == (1, 2, 1, 1)
    assert found.by_column == {"patches": 2, "coverage": 2, "score": 1}
    (score,) = found.examples["score"]
    assert (score.before["score"], score.after["score"]) == (0.5, 0.25)
    assert score.before["phrase_id"] == score.after["phrase_id"] == "790/c41/p1"
    assert [row["phrase_id"] for row in found.added_examples] == ["791/c43/p9"]
    assert [row["phrase_id"] for row in found.gone_examples] == ["791/c43/p0"]


@pytest.mark.parametrize(
    "name", ["images", "captions", "objects", "conversations", "phrases", "regions", "rejects/ground"]
)
def test_a_dataset_does_not_differ_from_itself(made: Path, name: str) -> None:
    found = diff.of(Dataset(made / name), Dataset(made / name))
    assert found.is_none and found.same == len(made_run.rows()[name])


def test_two_tables_are_not_compared(made: Path) -> None:
    with pytest.raises(UserError, match=r"holds captions and .* holds phrases"):
        diff.of(Dataset(made / "captions"), Dataset(made / "phrases"))


SMALL = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from("xy"), st.sampled_from(["", "m"])), max_size=7
)


@settings(max_examples=40, deadline=None)
@given(before=SMALL, after=SMALL)
def test_rows_match_in_turn_by_their_key_as_a_plain_loop_finds(tmp_path_factory, before, after) -> None:
    folder = tmp_path_factory.mktemp("pair")
    for name, rows in (("before", before), ("after", after)):
        made = [{"stage": "s", "key": key, "reason": reason, "message": text} for key, reason, text in rows]
        dataset.write_part(
            folder / name, 0, schemas.from_rows("rejects", made), "rejects", made_run.MADE_FROM
        )
    found = diff.of(Dataset(folder / "before"), Dataset(folder / "after"))
    left = list(after)
    same = different = gone = 0
    for key, reason, text in before:
        match = next((row for row in left if row[:2] == (key, reason)), None)
        if match is None:
            gone += 1
            continue
        left.remove(match)
        same += match[2] == text
        different += match[2] != text
    assert (found.same, found.changed, found.gone, found.added) == (same, different, gone, len(left))


def test_settings_and_inputs_that_differ_are_named(made: Path, data: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / "data"
    shutil.copytree(made, other)
    changed(
        other / "patch_words",
        0,
        lambda rows: rows,
        Provenance("ff", {"regions": "1", "source": "fedcba9876543210"}),
    )
    (data.parent / "dvc.lock").write_text(LOCK.format(coverage=0.1))
    (other.parent / "dvc.lock").write_text(LOCK.format(coverage=0.25))
    found = diff.settings(Dataset(data / "patch_words"), Dataset(other / "patch_words"))
    assert found.params == ("0123456789abcdef", "ff")
    assert found.inputs == {"regions": ("", "1")}
    assert found.values == {"patch_words.min_coverage": (0.1, 0.25)}


@pytest.fixture(scope="module")
def repository(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose first commit has the made patch words, and whose working copy has others."""
    from dvc.repo import Repo

    root = tmp_path_factory.mktemp("project")
    folder = root / "data" / "patch_words"
    shutil.copytree(made / "patch_words", folder)
    git = ["git", "-c", "user.name=n", "-c", "user.email=e", "-C", str(root)]
    subprocess.run([*git, "init", "-q"], check=True)
    with chdir(root):
        repo = Repo.init()
        repo.add(["data/patch_words"])
        repo.close()
    (root / "dvc.lock").write_text(LOCK.format(coverage=0.1))
    subprocess.run([*git, "add", "-A"], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "first"], check=True)
    (root / "dvc.lock").write_text(LOCK.format(coverage=0.25))
    shutil.rmtree(folder)
    shutil.copytree(made / "patch_words", folder)
    changed(folder, 1, lambda rows: [rows[0] | {"score": 0.5}])
    return root


def test_a_revision_is_fetched_with_the_settings_of_its_time(repository: Path, tmp_path: Path) -> None:
    folder = repository / "data" / "patch_words"
    before = revisions.fetch(folder, "HEAD", tmp_path)
    assert diff.of(before, Dataset(folder)).by_column == {"score": 1}
    assert diff.settings(before, Dataset(folder)).values == {"patch_words.min_coverage": (0.1, 0.25)}


def test_a_revision_has_no_distribution_moved_by_what_lies_beside_the_other(
    repository: Path, made: Path
) -> None:
    folder = repository / "data"
    shutil.copytree(made / "images", folder / "images", dirs_exist_ok=True)
    # An image that has no phrase counts as 0 beside the images, and not where the table lies alone.
    images = schemas.from_rows("images", [made_run.rows()["images"][0] | {"image_id": "792"}])
    dataset.write_part(folder / "images", 2, images, "images", made_run.MADE_FROM)
    told = run("diff", folder / "patch_words", "--rev", "HEAD")
    assert "score, mean" in told and "phrases an image" not in told


def test_a_revision_that_is_not_there_is_told(repository: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no revision 'v9'"):
        revisions.fetch(repository / "data" / "patch_words", "v9", tmp_path)
    with pytest.raises(UserError, match="in no git repository"):
        revisions.fetch(tmp_path / "data", "HEAD", tmp_path)
