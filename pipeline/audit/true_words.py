"""Stage ``true_words``: what projectors are judged by. ``python -m pipeline.audit.true_words``.

Writes ``data/true_words``: rows as in ``patch_words``, of the images that no model is trained on, with
regions by the dataset's own annotations, whatever annotation source the training data are from. A projector
that was pulled towards a source's mistakes would else be measured by the same mistakes, and runs with
different sources by different yardsticks.

A dataset without annotations of held-out images has nobody else to ask: there the rows are those of
``patch_words``, and their column ``annotator`` says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.audit import images
from pipeline.audit.truth import RULE
from pipeline.console import run_command
from pipeline.params import PatchWordsParams
from pipeline.patches.block import patch_words
from pipeline.patches.geometry import Geometry
from pipeline.tables import dataset, digests, folders
from pipeline.tables.dataset import Provenance

DATA = Path("data")
# No settings of the run's: what is measured with has to stay as it is when they change.
SETTINGS = PatchWordsParams(use="masks", min_coverage=0.1, min_score=0.0)


def main() -> None:
    """Write ``data/true_words``."""
    folders.publish(lambda folder: write(DATA, folder), DATA / "true_words")


def write(data: Path, folder: Path) -> None:
    """Write the dataset's parts, one of each shard, to a folder.

    Raises:
        UserError: the tables were made from different data.
    """
    geometry = Geometry.from_encoder(data / "models/encoder")
    made_from = Provenance(
        digests.of_value([RULE.digest(), SETTINGS.digest()]),
        {name: digests.of_files(data / name, "part-*.arrow") for name in images.TABLES}
        | {"geometry": geometry.digest()},
    )
    rows = 0
    for number, shard in enumerate(held_out(data)):
        regions = RULE.ground(shard)["regions"]
        table = patch_words(shard.images, shard.phrases, regions, geometry, SETTINGS)["patch_words"]
        dataset.write_part(folder, number, table, "patch_words", made_from)
        rows += table.num_rows
    if not rows:
        keep_own(data / "patch_words", folder)


def held_out(data: Path) -> Iterator[images.ShardInputs]:
    """The rows about images of the splits ``validation`` and ``test``, a shard at a time."""
    wanted = (
        image
        for table in dataset.iter_parts(data / "images", ["image_id", "split"])
        for image in not_trained_on(table)["image_id"].to_pylist()
    )
    return images.shards(data, list(wanted), root=Path())  # pictures are not looked at


def keep_own(source: Path, folder: Path) -> None:
    """Write the held-out rows of ``patch_words`` to a folder, in place of what is there."""
    for number, path in enumerate(dataset.parts(source)):
        table = dataset.read_part(path)
        made_from = dataset.provenance_of(table.schema)
        dataset.write_part(folder, number, not_trained_on(table), "patch_words", made_from)


def not_trained_on(table: pa.Table) -> pa.Table:
    """The rows of held-out images."""
    return table.filter(pc.not_equal(table["split"], "train"))


if __name__ == "__main__":
    run_command(main)
