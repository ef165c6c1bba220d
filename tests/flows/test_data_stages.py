"""The four data stages in a row: nothing is lost, all can be traced back, each run gives the same bytes."""

import json
import shutil
from pathlib import Path

import pyarrow.compute as pc
import pytest
import yaml

from flows.ground import ground
from flows.ingest import ingest
from flows.parse import parse
from flows.patch_words import patch_words
from pipeline import params, profiles
from pipeline.audit import true_words
from pipeline.errors import UserError
from pipeline.params import Params
from pipeline.tables import dataset, schemas
from pipeline.tables.dataset import Provenance

pytestmark = pytest.mark.usefixtures("prefect_server")

ROOT = Path(__file__).parents[2]
COCO_MINI = ROOT / "../shared/data/coco-mini"
STAGES = ("ingest", "parse", "ground", "patch_words")
PATCH, SIDE = 8, 48


def write_encoder(folder: Path) -> None:
    """What patch_words reads of an encoder: how it prepares images, and its patch size."""
    folder.mkdir(parents=True)
    processor = {
        "image_processor_type": "CLIPImageProcessor",
        "do_resize": True, "size": {"shortest_edge": SIDE},
        "do_center_crop": True, "crop_size": {"height": SIDE, "width": SIDE},
    }  # fmt: skip
    config = {"model_type": "clip_vision_model", "image_size": SIDE, "patch_size": PATCH}
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    (folder / "config.json").write_text(json.dumps(config))


def settings(**changes) -> Params:
    """The smoke profile, smaller still, with ``section__key`` changed."""
    tree = yaml.safe_load(profiles.text("smoke", ROOT / "profiles"))
    tree["source"]["shard_size"] = 20
    tree["source"]["scenes"].update(train=40, validation=10, test=10)
    for key, value in changes.items():
        *path, last = key.split("__")
        inner = tree
        for step in path:
            inner = inner[step]
        inner[last] = value
    return params.parse(tree)


def run(folder: Path, made: Params) -> Path:
    """Run the stages in a project folder and return its data folder."""
    write_encoder(folder / "data" / "models" / "encoder")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        ingest(source=made.source, seed=made.seed, compute=made.compute)
        parse(parse=made.parse, compute=made.compute)
        ground(ground=made.ground, root=made.source.path, compute=made.compute)
        patch_words(patch_words=made.patch_words, compute=made.compute)
    return folder / "data"


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory, prefect_server: str) -> Path:
    return run(tmp_path_factory.mktemp("scenes"), settings())


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory, prefect_server: str) -> Path:
    if not COCO_MINI.exists():
        pytest.skip("../shared/data/coco-mini is not here")
    made = settings(
        source__name="coco",
        source__path=str(COCO_MINI.resolve()),
        source__coco__splits={"train2017": "train", "val2017": "test"},
    )
    return run(tmp_path_factory.mktemp("photographs"), made)


def rows(data: Path, table: str) -> list[dict]:
    return dataset.read(data / table).to_pylist()


def check_nothing_is_lost(data: Path) -> None:
    summaries = {stage: json.loads((data / "summaries" / f"{stage}.json").read_text()) for stage in STAGES}
    for stage in STAGES:
        rejects = rows(data, f"rejects/{stage}")
        assert sum(summaries[stage]["rejected"].values()) == len(rejects)
        assert {reject["stage"] for reject in rejects} <= {stage}
        for table, count in summaries[stage]["rows_out"].items():
            assert dataset.count_rows(data / table) == count
    # Each table is what went into the next stage: phrases are regions' phrases and rejects of ground, and
    # grounded phrases are patch_words and rejects of patch_words.
    phrases = {row["phrase_id"] for row in rows(data, "phrases")}
    grounded = {row["phrase_id"] for row in rows(data, "regions")}
    on_patches = {row["phrase_id"] for row in rows(data, "patch_words")}
    assert summaries["ground"]["rows_in"] == len(phrases) == len(grounded) + _rejected(summaries, "ground")
    assert (
        summaries["patch_words"]["rows_in"] == len(grounded)
        == len(on_patches) + _rejected(summaries, "patch_words")
    )  # fmt: skip
    assert on_patches <= grounded <= phrases
    out = sum(summaries["ingest"]["rows_out"].values())
    assert summaries["ingest"]["rows_in"] == out + _rejected(summaries, "ingest")
    assert summaries["parse"]["rows_in"] == len(phrases) + _rejected(summaries, "parse")


def _rejected(summaries: dict, stage: str) -> int:
    return sum(summaries[stage]["rejected"].values())


def check_every_row_can_be_traced(data: Path) -> None:
    images = {row["image_id"]: row for row in rows(data, "images")}
    captions = {row["caption_id"]: row for row in rows(data, "captions")}
    phrases = {row["phrase_id"]: row for row in rows(data, "phrases")}
    regions = {row["region_id"]: row for row in rows(data, "regions")}
    patch_rows = rows(data, "patch_words")
    assert patch_rows
    for row in patch_rows:
        phrase = phrases[row["phrase_id"]]
        caption = captions[phrase["caption_id"]]
        image = images[caption["image_id"]]
        assert row["image_id"] == phrase["image_id"] == image["image_id"]
        assert row["split"] == image["split"]
        assert caption["text"][phrase["start"] : phrase["end"]] == phrase["text"] == row["phrase"]
        for word in phrase["words"]:
            assert caption["text"][word["start"] : word["end"]] == word["text"]
        for name in row["region_ids"]:
            assert regions[name]["phrase_id"] == row["phrase_id"]
            x0, y0, x1, y1 = regions[name]["box"]
            assert 0 <= x0 < x1 <= image["width"]
            assert 0 <= y0 < y1 <= image["height"]
        assert row["grid"] == [SIDE // PATCH, SIDE // PATCH]
        assert row["patches"] == sorted(set(row["patches"]))
        assert 0 <= row["patches"][0] <= row["patches"][-1] < (SIDE // PATCH) ** 2
        assert all(0 < share <= 1 for share in row["coverage"])


def test_nothing_is_lost_of_scenes(scenes):
    check_nothing_is_lost(scenes)


def test_nothing_is_lost_of_photographs(photographs):
    check_nothing_is_lost(photographs)
    assert dataset.count_rows(photographs / "images") == 120
    assert dataset.count_rows(photographs / "captions") == 600


def test_every_row_of_scenes_can_be_traced_to_characters_and_pixels(scenes):
    check_every_row_can_be_traced(scenes)


def test_every_row_of_photographs_can_be_traced_to_characters_and_pixels(photographs):
    check_every_row_can_be_traced(photographs)


def test_part_i_of_every_table_is_about_the_same_images(scenes):
    for images, phrases, patches in zip(
        *(dataset.iter_parts(scenes / name) for name in ("images", "phrases", "patch_words")), strict=True
    ):
        here = set(images["image_id"].to_pylist())
        assert set(phrases["image_id"].to_pylist()) <= here
        assert set(patches["image_id"].to_pylist()) <= here
        assert pc.count_distinct(images["split"]).as_py() == 1


def arrow_files(data: Path) -> dict[str, bytes]:
    return {path.relative_to(data).as_posix(): path.read_bytes() for path in sorted(data.rglob("*.arrow"))}


def test_another_clone_makes_the_same_bytes(scenes, tmp_path):
    again = run(tmp_path, settings())
    assert arrow_files(again) == arrow_files(scenes)


def test_settings_of_a_source_not_in_use_change_no_byte(scenes, tmp_path):
    changed = settings(source__coco__validation_share=0.5, ground__open_clip__threshold=0.9)
    assert arrow_files(run(tmp_path, changed)) == arrow_files(scenes)


def test_the_first_scenes_do_not_depend_on_how_many_there_are(scenes, tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        more = settings(source__scenes__train=60)
        ingest(source=more.source, seed=more.seed, compute=more.compute)
    few = {row["image_id"]: row["sha256"] for row in rows(scenes, "images")}
    many = {row["image_id"]: row["sha256"] for row in rows(tmp_path / "data", "images")}
    assert few.items() <= many.items()
    assert len(many) == len(few) + 20


def test_a_missing_dataset_folder_is_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    nowhere = settings(source__name="coco", source__path="data/raw/nowhere")
    with pytest.raises(UserError, match="data/raw/nowhere"):
        ingest(source=nowhere.source, seed=0, compute=nowhere.compute)
    with pytest.raises(UserError, match="no dataset at data/captions: run `dvc repro`"):
        parse(parse=nowhere.parse, compute=nowhere.compute)


def test_a_truncated_table_is_told_by_its_file(scenes, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in sorted((scenes / "captions").iterdir()):
        target = tmp_path / "data" / "captions" / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes()[:500])
    with pytest.raises(UserError, match=r"captions/part-0000\d\.arrow is not a whole Arrow file"):
        parse(parse=settings().parse, compute=settings().compute)
    assert not (tmp_path / "data" / "phrases").exists()


def test_projectors_are_judged_by_people_s_annotations_whatever_grounded_the_training_data(scenes, tmp_path):
    data = shutil.copytree(scenes, tmp_path / "data")
    held_out = [row for row in rows(data, "patch_words") if row["split"] != "train"]
    true_words.write(data, tmp_path / "by_people")
    assert dataset.read(tmp_path / "by_people").to_pylist() == held_out
    assert {row["split"] for row in held_out} == {"validation", "test"}

    elsewhere = [row | {"patches": [0], "coverage": [1.0], "annotator": "other"} for row in held_out]
    shutil.rmtree(data / "patch_words")
    table = schemas.from_rows("patch_words", elsewhere)
    dataset.write_part(data / "patch_words", 0, table, "patch_words", Provenance())
    true_words.write(data, tmp_path / "of_another_source")
    assert dataset.read(tmp_path / "of_another_source").to_pylist() == held_out

    # Where nobody drew anything, the source in use is all there is.
    for part in dataset.parts(data / "objects"):
        none = dataset.read_part(part).slice(0, 0)
        dataset.write_part(data / "objects", int(part.stem[-5:]), none, "objects", Provenance())
    true_words.write(data, tmp_path / "by_nobody")
    assert dataset.read(tmp_path / "by_nobody").to_pylist() == elsewhere
