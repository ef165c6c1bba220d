"""`patchwords overlays` and the choice of what it draws."""

from pathlib import Path

import pyarrow as pa
import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from typer.testing import CliRunner

from pipeline.errors import UserError
from pipeline.report import commands, lookup
from pipeline.tables import dataset, schemas
from pipeline.tables.dataset import Provenance


def test_a_dozen_phrases_of_a_dozen_images(project: Path, tmp_path: Path) -> None:
    files = commands.draw_overlays(project, Path("none"), tmp_path, count=12)
    assert len(files) == len({path.name.split("-c")[0] for path in files}) == 12
    first = {path.name: path.read_bytes() for path in files}
    again = commands.draw_overlays(project, Path("none"), tmp_path, count=12)
    assert {path.name: path.read_bytes() for path in again} == first
    assert all(Image.open(path).width >= 640 for path in files)


def test_one_phrase_or_one_image(project: Path, tmp_path: Path) -> None:
    files = commands.draw_overlays(project, Path("none"), tmp_path, phrase="test-000007/c0/p1")
    assert [path.name for path in files] == ["test-000007-c0-p1.png"]
    files = commands.draw_overlays(project, Path("none"), tmp_path, image="test-000007")
    assert [path.name for path in files] == ["test-000007-c0-p0.png", "test-000007-c0-p1.png"]


@pytest.mark.parametrize("wrong", [{"phrase": "test-9/c0/p0"}, {"image": "test-9"}])
def test_an_unknown_id_is_named(project: Path, tmp_path: Path, wrong: dict[str, str]) -> None:
    with pytest.raises(UserError, match=next(iter(wrong.values()))):
        commands.draw_overlays(project, Path("none"), tmp_path, **wrong)  # type: ignore[arg-type]


def test_the_command_says_where_the_pictures_lie(project: Path, tmp_path: Path) -> None:
    app = typer.Typer()
    commands.register(app)
    arguments = ["--count", "2", "--out", str(tmp_path), "--data", str(project)]
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "300"})
    assert result.exit_code == 0, result.output
    for path in sorted(tmp_path.glob("*.png")):
        assert path.name in result.output
    assert "2 overlays" in result.output


@settings(max_examples=40, deadline=None)
@given(sizes=st.lists(st.integers(1, 5), min_size=1, max_size=30), count=st.integers(1, 40))
def test_phrases_are_spread_over_images(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], count: int
) -> None:
    folder = tmp_path_factory.mktemp("rows") / "patch_words"
    rows = [
        {
            "image_id": f"i{image}", "phrase_id": f"i{image}/p{k}", "split": "train", "region_ids": [],
            "phrase": "", "words": [], "grid": [1, 1], "patches": [], "coverage": [], "score": 1.0,
            "annotator": "",
        }
        for image, size in enumerate(sizes)
        for k in range(size)
    ]  # fmt: skip
    table: pa.Table = schemas.from_rows("patch_words", rows)
    dataset.write_part(folder, 0, table, "patch_words", Provenance())
    chosen = lookup.spread(folder, count)
    assert len(chosen) == len(set(chosen)) <= count
    assert set(chosen) <= {row["phrase_id"] for row in rows}
    images = {name.split("/")[0] for name in chosen}
    assert len(images) == min(count, len(sizes))  # an image's second phrase only after every image's first
