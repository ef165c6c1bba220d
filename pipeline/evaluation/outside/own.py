"""The dataset's own questions for lmms-eval: the task's files, and a table with pictures in it."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.sources.pictures import load_picture
from pipeline.tables import dataset

TASK = "own_questions"
_IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
_TEXTS = ("conversation_id", "question", "answer", "kind")
_TEXT = {"dtype": "string", "_type": "Value"}
_FEATURES = {name: _TEXT for name in _TEXTS} | {
    "earlier": {"feature": _TEXT, "_type": "List"},
    "image": {"_type": "Image"},
}
_SCHEMA = pa.schema(
    [(name, pa.string()) for name in _TEXTS] + [("earlier", pa.list_(pa.string())), ("image", _IMAGE)],
    # So that `datasets` decodes the column as pictures.
    {"huggingface": json.dumps({"info": {"features": _FEATURES}})},
)
"""``earlier``: what user and assistant said before the question, in turn."""


def write(rows: Sequence[dict[str, Any]], images: Path, root: Path, folder: Path) -> None:
    """Write the task's folder: its YAML file, its functions, and the questions as one Arrow file.

    Args:
        rows: examples of the task ``question``, as evaluation asks them: ``texts`` are what user and
            assistant say in turn, the question and the reference last.
        images: the dataset ``images``.
        root: the source's root, for images that are kept by path.
        folder: what to make; whatever it holds is replaced.
    """
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(Path(__file__).parent / TASK, folder, ignore=shutil.ignore_patterns("__pycache__"))
    table = folder / "questions.arrow"
    with pa.OSFile(str(table), "wb") as file, pa.ipc.new_stream(file, _SCHEMA) as writer:
        for part in _with_pictures(rows, images, root):
            writer.write_table(pa.Table.from_pylist(part, _SCHEMA))
    task = folder / f"{TASK}.yaml"
    # lmms-eval finds files from where it was started, not from beside the task.
    task.write_text(task.read_text().replace(table.name, str(table.resolve())))


def _with_pictures(rows: Sequence[dict[str, Any]], images: Path, root: Path) -> Iterator[list[dict]]:
    """The rows in their order, a list for each run of rows about images of one part."""
    by_image: dict[str, list[dict]] = {}
    for row in rows:
        by_image.setdefault(row["image_id"], []).append(row)
    for part in dataset.iter_parts(images, ["image_id", "image"]):
        wanted = part.filter(pc.is_in(part["image_id"], value_set=pa.array(list(by_image), pa.string())))
        found = []
        for image in wanted.to_pylist():
            png = _png(image, root)
            found += [
                {
                    "conversation_id": row["conversation_id"], "kind": row["kind"],
                    "earlier": row["texts"][:-2], "question": row["texts"][-2], "answer": row["texts"][-1],
                    "image": {"bytes": png, "path": None},
                }
                for row in by_image[image["image_id"]]
            ]  # fmt: skip
        if found:
            yield found


def _png(image: dict[str, Any], root: Path) -> bytes:
    file = io.BytesIO()
    load_picture(image["image"], root, image["image_id"]).save(file, "PNG")
    return file.getvalue()
