"""Outside benchmarks: what lmms-eval is asked, what is kept, and the dataset's own questions."""

from __future__ import annotations

import importlib
import io
import json
import stat
import sys
from pathlib import Path
from types import SimpleNamespace

import datasets
import pytest
from made_run import FILE, picture, rows
from PIL import Image

from pipeline import params as parameters
from pipeline.errors import UserError
from pipeline.evaluation.outside import own, stage
from pipeline.models.chat import ChatFormat, encode
from pipeline.models.vocabulary import IMAGE
from pipeline.tables import dataset, folders, schemas
from pipeline.tables.dataset import Provenance

ROOT = Path(__file__).parents[2]
PARAMS = parameters.load(ROOT / "profiles/embedded.yaml")
# Stands for lmms-eval: writes down that it was asked, and answers as `inside` does.
PROGRAM = """#!{python}
import json, sys
task, out = (sys.argv[sys.argv.index(name) + 1] for name in ("--task", "--out"))
open("asked.txt", "a").write(task + "\\n")
if task == "broken":
    sys.exit(1)
metrics = {{f"{{task}}.accuracy": {{"value": 0.5, "stderr": 0.1, "n": 2}},
           f"{{task}}_part.bleu": {{"value": 0.3, "stderr": None, "n": 2}}}}
samples = {{task: [{{"doc_id": 0, "target": "red", "answer": "red", "accuracy": 1.0}}]}}
open(out, "w").write(json.dumps({{"metrics": metrics, "samples": samples}}))
"""


def asked():
    path = Path("asked.txt")
    return path.read_text().split() if path.exists() else []


def run(params):
    folders.publish(lambda target: stage.run(params, Path("model"), target), Path("out"))


def listed(*tasks):
    return PARAMS.model_copy(
        update={"evaluate": PARAMS.evaluate.model_copy(update={"benchmarks": list(tasks)})}
    )


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty project with a checkpoint."""
    monkeypatch.chdir(tmp_path)
    checkpoint = tmp_path / "model"
    checkpoint.mkdir()
    (checkpoint / "config.json").write_text("{}")
    return tmp_path


@pytest.fixture
def environment(folder):
    program = folder / stage.PYTHON
    program.parent.mkdir(parents=True)
    program.write_text(PROGRAM.format(python=sys.executable))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return folder


def test_an_empty_list_runs_nothing_and_needs_no_environment(folder):
    run(listed())
    assert json.loads(Path("out/results.json").read_text()) == {}
    assert not stage.PYTHON.exists()


def test_without_the_environment_the_error_says_how_to_make_it(folder):
    with pytest.raises(UserError, match="make benchmarks-env"):
        run(listed("gqa"))
    assert not Path("out").exists()


def test_results_carry_n_error_and_interval(environment):
    run(listed("gqa"))
    found = json.loads(Path("out/results.json").read_text())["gqa"]
    assert found["accuracy"] == pytest.approx(
        {"value": 0.5, "stderr": 0.1, "n": 2, "low": 0.304, "high": 0.696}
    )
    assert found["gqa_part.bleu"]["low"] is None
    assert json.loads(Path("out/gqa.jsonl").read_text())["answer"] == "red"


def test_another_task_costs_that_task_and_another_checkpoint_all(environment):
    run(listed("gqa"))
    run(listed("gqa", "ok_vqa"))
    assert asked() == ["gqa", "ok_vqa"]
    Path("model/config.json").write_text('{"other": 1}')
    run(listed("gqa"))
    assert asked() == ["gqa", "ok_vqa", "gqa"]
    assert set(json.loads(Path("out/results.json").read_text())) == {"gqa"}


def test_a_failed_task_keeps_what_was_there(environment):
    run(listed("gqa"))
    with pytest.raises(UserError, match="'broken' did not finish"):
        run(listed("gqa", "broken"))
    assert set(json.loads(Path("out/results.json").read_text())) == {"gqa"}
    assert asked() == ["gqa", "broken"]


def test_own_questions_open_in_datasets_with_their_pictures(tmp_path):
    """Images that lie in a table and those that lie in files, in any order of the questions."""
    root = tmp_path / "root"
    (root / FILE).parent.mkdir(parents=True)
    (root / FILE).write_bytes(picture("791"))
    images = rows()["images"]
    for part, names in enumerate((("790", "791"), ("900",))):
        table = schemas.from_rows("images", [row for row in images if row["image_id"] in names])
        dataset.write_part(tmp_path / "images", part, table, "images", Provenance())
    asked_about = [
        {
            "conversation_id": f"{image}/{k}",
            "image_id": image,
            "texts": ["first ?", "one", f"q{k}", "two"] if k == 1 else [f"q{k}", "two"],
            "kind": None,
        }
        for k, image in enumerate(["900", "791", "790", "791"])
    ]
    own.write(asked_about, tmp_path / "images", root, tmp_path / "task")
    table = tmp_path / "task/questions.arrow"
    found = datasets.load_dataset(
        "arrow", data_files=str(table), split="train", cache_dir=str(tmp_path / "cache")
    )
    assert [row["question"] for row in found] == ["q2", "q1", "q3", "q0"]  # in the order of the images
    assert [row["earlier"] for row in found] == [[], ["first ?", "one"], [], []]
    assert {row["answer"] for row in found} == {"two"}
    assert [row["conversation_id"] for row in found] == ["790/2", "791/1", "791/3", "900/0"]
    expected = [Image.open(io.BytesIO(picture(image))) for image in ("790", "791", "791", "900")]
    assert [row["image"].size for row in found] == [image.size for image in expected]
    assert [row["image"].getpixel((0, 0)) for row in found] == [image.getpixel((0, 0)) for image in expected]
    assert str(table) in (tmp_path / f"task/{own.TASK}.yaml").read_text()


@pytest.fixture
def as_lmms_eval_asks(small_llava, monkeypatch):
    """``ids(task, row)`` that the checkpoint is given of a row of a task; lmms-eval itself is not here."""
    parts = {
        "lmms_eval": {}, "lmms_eval.api": {}, "lmms_eval.api.instance": {"Instance": SimpleNamespace},
        "lmms_eval.api.model": {"lmms": object},
    }  # fmt: skip
    for name, content in parts.items():
        monkeypatch.setitem(sys.modules, name, SimpleNamespace(**content))
    monkeypatch.delitem(sys.modules, "pipeline.evaluation.outside.model", raising=False)
    model = importlib.import_module("pipeline.evaluation.outside.model")
    monkeypatch.delitem(sys.modules, "pipeline.evaluation.outside.model")
    checkpoint = object.__new__(model.Checkpoint)
    checkpoint.processor = small_llava[1]
    checkpoint.chat = ChatFormat.of(checkpoint.processor.tokenizer, IMAGE)
    checkpoint.batch_size = 4

    def ids(task, row):
        checkpoint.task_dict = {task: {"test": [row]}}
        settings = {"until": "."}
        args = (row["question"], settings, lambda row: [row["image"]], 0, task, "test")
        ((_, inputs, _),) = next(checkpoint._batches([SimpleNamespace(args=args)]))
        return inputs["input_ids"][0].tolist()

    return ids


def test_own_questions_stand_behind_the_turns_before_them_as_in_our_evaluation(
    as_lmms_eval_asks, small_llava
):
    tokenizer = small_llava[1].tokenizer
    chat = ChatFormat.of(tokenizer, IMAGE)
    earlier = ["where is the star ?", "two cups"]
    row = {"question": "what colour is the cup ?", "earlier": earlier, "image": Image.new("RGB", (32, 32))}
    expected = chat.before_image + IMAGE * 16 + chat.asked([*earlier, row["question"]])
    assert as_lmms_eval_asks(own.TASK, row) == encode(tokenizer, [expected])[0]
    alone = chat.before_image + IMAGE * 16 + chat.prompt(row["question"])
    assert as_lmms_eval_asks("another", row) == encode(tokenizer, [alone])[0]
