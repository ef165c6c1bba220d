"""dvc.yaml: a stage goes stale exactly when something that it uses has changed."""

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from pathlib import Path

import pytest
import stage_imports
import yaml
from dvc.dependency.param import ParamsDependency
from dvc.repo import Repo

ROOT = Path(__file__).parents[2]
DOCUMENT = yaml.safe_load((ROOT / "dvc.yaml").read_text())
STAGES = {name: stage.get("do", stage) for name, stage in DOCUMENT["stages"].items()}
# Code that decides how a stage runs, or what is refused, and not what comes out.
SHARED = {
    "pipeline/__init__.py",
    "pipeline/console.py",
    "pipeline/errors.py",
    "pipeline/lineage.py",
    "pipeline/models/card.py",
    "pipeline/writer.py",
} | {path.relative_to(ROOT).as_posix() for path in (ROOT / "pipeline" / "params").glob("*.py")}


def commands(stage: dict) -> list[str]:
    return [stage["cmd"]] if isinstance(stage["cmd"], str) else stage["cmd"]


def code(stage: dict) -> list[str]:
    return [dep for dep in stage["deps"] if not dep.startswith(("data/", "${"))]


def data(stage: dict) -> list[str]:
    return [dep for dep in stage["deps"] if dep.startswith("data/")]


def matters(file: str, stage: str) -> bool:
    """Of flows, only the stage's own file: the rest runs shards. Of packages' __init__, those with code."""
    if file.startswith("flows/"):
        return file == f"flows/{stage}.py"
    return not file.endswith("__init__.py") or len(ast.parse((ROOT / file).read_text()).body) > 1


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_depends_on_all_code_that_it_uses_and_on_no_other(name):
    stage = STAGES[name]
    used = stage_imports.closure(commands(stage)[0].split()[2])
    assert used, f"{commands(stage)[0]}: there is no such module"
    used = {file for file in used - SHARED if matters(file, name)}
    covered = {dep: {file for file in used if (file + "/").startswith(f"{dep}/")} for dep in code(stage)}
    assert used - set().union(*covered.values()) == set()
    assert [dep for dep, files in covered.items() if not files] == []


@pytest.mark.parametrize("name", [name for name in STAGES if len(commands(STAGES[name])) > 1])
def test_lineage_names_every_dataset_and_model_that_the_stage_lists(name):
    lineage = commands(STAGES[name])[1]
    assert lineage.startswith(f"python -m pipeline.lineage {STAGES[name]['outs'][0]} ")
    assert re.findall(r"--from (\S+)", lineage) == data(STAGES[name])


def test_every_stage_says_what_it_makes():
    assert [name for name, stage in STAGES.items() if not stage.get("desc")] == []


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone in which everything has been built: the outputs are stand-ins, but DVC cannot know."""
    folder = tmp_path_factory.mktemp("clone")
    for name in (
        "dvc.yaml",
        ".dvcignore",
        ".gitignore",
        ".dvc/config",
        ".dvc/.gitignore",
        "data/.gitignore",
        "data/comparisons/.gitignore",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    shutil.copy(ROOT / "profiles" / "embedded.yaml", folder / "params.yaml")
    (folder / "data" / "raw").mkdir()
    shutil.copy(ROOT / "data" / "raw" / "README.md", folder / "data" / "raw")
    for name in ("flows", "pipeline"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    git(folder, "init", "-q")
    with chdir(folder), Repo() as repo:
        for out in {str(out) for stage in repo.index.stages for out in stage.outs}:
            path = folder / out
            if path.suffix:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text("{}" if path.suffix == ".json" else "step,loss\n1,2\n")
            else:
                path.mkdir(parents=True, exist_ok=True)
                (path / "file").write_text(out)
        for name in ("config.json", "preprocessor_config.json"):
            (folder / "data" / "models" / "encoder" / name).write_text("{}")
        git(folder, "add", "-A")
        git(folder, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "all")
        repo.commit(force=True)
    return folder


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout


@contextmanager
def edited(folder: Path, *edits: tuple[str, object]) -> Iterator[Repo]:
    """The project with each setting (dotted key, value) edited; undone afterwards.

    Sections that share their settings by an alias are edited together, as they are in the file.
    """
    file = folder / "params.yaml"
    before = file.read_text()
    tree = yaml.safe_load(before)
    for key, value in edits:
        *path, last = key.split(".")
        inner = tree
        for step in path:
            inner = inner[step]
        assert inner[last] != value
        inner[last] = value
    file.write_text(yaml.safe_dump(tree))
    try:
        with chdir(folder), Repo() as repo:
            yield repo
    finally:
        file.write_text(before)


def stale(folder: Path, *edits: tuple[str, object]) -> set[str]:
    """Stages that are stale once the settings have been edited."""
    with edited(folder, *edits) as repo:
        return set(repo.status())


def watched(folder: Path, name: str, *edits: tuple[str, object]) -> tuple[set[str], list[dict]]:
    """What DVC compares to tell whether a stage is stale: paths, and settings with their values."""
    with edited(folder, *edits) as repo:
        (stage,) = repo.stage.collect(name)
        settings = [dep.read_params() for dep in stage.deps if isinstance(dep, ParamsDependency)]
        return {str(dep) for dep in stage.deps if not isinstance(dep, ParamsDependency)}, settings


def test_a_build_leaves_the_tree_clean_but_for_the_lock(project):
    assert stale(project) == set()
    assert [line.split()[1] for line in git(project, "status", "--short").splitlines()] == ["dvc.lock"]


def test_settings_that_are_not_in_use_make_nothing_stale(project):
    unused = [
        ("profile", "mine"),
        ("source.coco.validation_share", 0.5),
        ("ground.owlv2.threshold", 0.9),
        ("ground.owlv2.prompt", "a picture of {}"),
        ("ground.tags.best", 2),
        ("encoder.pretrained.path", "another/encoder"),
        ("language_model.pretrained.path", "another/model"),
        ("compute.workers", 7),
    ]
    assert stale(project, *unused) == set()


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        # The stage tag then sees that there is nothing to do, and parse stays as it is.
        ("ground.source", "open_clip", {"tag", "ground"}),
        ("ground.dataset.several", "skip", {"tag", "ground", "audit@dataset", "audit@consensus"}),
        ("ground.open_clip.threshold", 0.9, {"audit@open_clip", "audit@consensus"}),
        ("audit.images", 7, {"audit@dataset", "audit@open_clip", "audit@consensus"}),
        ("source.scenes.captions", 3, {"ingest"}),
        ("parse.batch_size", 7, {"parse"}),
        ("patch_words.min_coverage", 0.5, {"patch_words"}),
        ("encoder.trained.steps", 7, {"encoder"}),
        ("language_model.trained.steps", 7, {"language_model"}),
        (
            "train.arms.patch_aligned.beta",
            7.0,
            {"pretrain@patch_aligned", "finetune@patch_aligned", "report"},
        ),
        ("report.baseline", "patch_aligned", {"report"}),
        ("train.pretrain.steps", 7, {"pretrain@caption", "pretrain@patch_aligned"}),
        ("train.finetune.steps", 7, {"finetune@caption", "finetune@patch_aligned"}),
        ("evaluate.words", 7, {"references", "evaluate@caption", "evaluate@patch_aligned"}),
        ("report.examples", 7, {"report"}),
    ],
)
def test_a_setting_in_use_makes_stale_the_stages_that_use_it(project, key, value, expected):
    assert stale(project, (key, value)) == expected


def test_a_new_arm_has_stages_of_its_own_and_makes_no_other_arm_s_stale(project):
    arms = yaml.safe_load((project / "params.yaml").read_text())["train"]["arms"]
    added = arms | {"weak": {"loss": "cosine", "beta": 0.1}}
    new = {f"{stage}@weak" for stage in ("pretrain", "finetune", "evaluate")}
    assert stale(project, ("train.arms", added)) == new | {"report"}


CONSENSUS, TAGS = ("ground.source", "consensus"), ("ground.source", "tags")


def test_consensus_depends_on_the_settings_of_its_members_alone(project):
    before = watched(project, "ground", CONSENSUS)
    assert watched(project, "ground", CONSENSUS, ("ground.open_clip.threshold", 0.9)) != before
    assert watched(project, "ground", CONSENSUS, ("ground.dataset.several", "skip")) != before
    assert watched(project, "ground", CONSENSUS, ("ground.consensus.iou", 0.9)) != before
    others = [("ground.owlv2.threshold", 0.9), ("ground.grounding_dino.batch_size", 2)]
    assert watched(project, "ground", CONSENSUS, *others) == before


def test_a_member_can_have_settings_of_its_own(project):
    own = yaml.safe_load((project / "params.yaml").read_text())["ground"]["open_clip"]
    apart = (CONSENSUS, ("ground.consensus.sources", {"open_clip": {**own, "threshold": 0.5}, "owlv2": {}}))
    before = watched(project, "ground", *apart)
    assert watched(project, "ground", *apart, ("ground.open_clip.threshold", 0.9)) == before


def test_tags_depend_on_their_settings_vocabulary_encoder_and_on_who_grounds_them(project):
    paths, before = watched(project, "tag", TAGS)
    assert {"data/images", "data/models/encoder", "pipeline/grounding/vocabulary_scenes.txt"} <= paths
    assert watched(project, "tag", TAGS, ("ground.tags.best", 2))[1] != before
    assert watched(project, "tag", TAGS, ("ground.tags.vocabulary", "words.txt"))[0] != paths
    ground = watched(project, "ground", TAGS)
    assert watched(project, "ground", TAGS, ("ground.open_clip.threshold", 0.9)) != ground
    assert watched(project, "ground", TAGS, ("ground.dataset.several", "skip")) == ground


def test_phrases_depend_on_tags_only_through_what_was_made_of_them(project):
    paths, settings = watched(project, "parse")
    assert {path for path in paths if path.startswith("data/")} == {"data/tags"}
    assert watched(project, "parse", TAGS, ("ground.tags.best", 2)) == (paths, settings)


def test_editing_code_makes_stale_the_stages_that_use_it(project):
    file = project / "pipeline" / "phrases" / "extract.py"
    before = file.read_text()
    file.write_text(before + "# edited\n")
    try:
        assert stale(project) == {"parse"}
    finally:
        file.write_text(before)


def test_running_the_code_makes_nothing_stale(project):
    cache = project / "pipeline" / "phrases" / "__pycache__"
    cache.mkdir()
    (cache / "extract.cpython-311.pyc").write_bytes(b"compiled")
    assert stale(project) == set()


def test_the_graph_fits_a_page(project):
    """Without audits and outside benchmarks, which stand beside the way from images to the arms' numbers."""
    file = project / "dvc.yaml"
    before = file.read_text()
    document = yaml.safe_load(before)
    for beside in ("audit", "benchmarks"):
        del document["stages"][beside]
        document["stages"]["report"]["deps"].remove(f"data/{beside}")
    file.write_text(yaml.safe_dump(document))
    try:
        done = subprocess.run(
            [sys.executable, "-m", "dvc", "dag"], cwd=project, capture_output=True, text=True, check=True
        )
    finally:
        file.write_text(before)
    assert max(len(line.rstrip()) for line in done.stdout.splitlines()) < 160
