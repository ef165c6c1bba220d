"""Staging: finished shards wait until all are there, and a killed stage goes on from them."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from pipeline.tables import dataset, schemas, shards
from pipeline.tables.dataset import Provenance
from pipeline.tables.rejects import Rejects
from pipeline.tables.shards import Staging, Tables


@dataclass(frozen=True)
class Captions:
    """Each shard has three captions and rejects one."""

    params: str = "p"
    stage: str = "toy"
    outputs: tuple[str, ...] = ("captions",)

    def shard_count(self) -> int:
        return 2

    def provenance(self) -> Provenance:
        return Provenance(self.params, {"source": "s"})

    def rows_in(self, shard: int) -> int:
        return 4

    def process(self, shard: int) -> Tables:
        rejects = Rejects(self.stage, {"empty": "the caption is empty"})
        rejects.add(f"caption:{shard}/c3", "empty")
        rows = [
            {"caption_id": f"{shard}/c{i}", "image_id": str(shard), "text": self.params} for i in range(3)
        ]
        return {"captions": schemas.from_rows("captions", rows), "rejects": rejects.table()}


BLOCK = Captions()


def targets(root: Path) -> dict[str, Path]:
    return {"captions": root / "data" / "captions", "rejects": root / "data" / "rejects" / "toy"}


def finish(root: Path, block: Captions) -> None:
    staging = Staging(root / "work", block)
    for shard in range(block.shard_count()):
        staging.commit(shard, block.process(shard))
    staging.publish(targets(root))


def test_a_shard_is_done_once_it_is_committed(tmp_path):
    staging = Staging(tmp_path, BLOCK)
    assert not staging.has(0)
    staging.commit(0, BLOCK.process(0))
    assert staging.has(0)
    assert not staging.has(1)
    assert staging.table("captions", 0).num_rows == 3
    # A later run of the same block finds it.
    assert Staging(tmp_path, Captions()).has(0)


def test_a_shard_killed_between_its_parts_is_not_done(tmp_path, monkeypatch):
    staging = Staging(tmp_path, BLOCK)
    write, written = dataset.write_part, []

    def killed_at_the_second_part(*arguments):
        if written:
            raise KeyboardInterrupt
        written.append(write(*arguments))

    monkeypatch.setattr(dataset, "write_part", killed_at_the_second_part)
    with pytest.raises(KeyboardInterrupt):
        staging.commit(0, BLOCK.process(0))
    assert written
    assert not staging.has(0)


def test_shards_of_other_settings_are_not_taken_up(tmp_path):
    Staging(tmp_path, BLOCK).commit(0, BLOCK.process(0))
    assert not Staging(tmp_path, replace(BLOCK, params="q")).has(0)


def test_publishing_moves_whole_datasets_and_clears_up(tmp_path):
    finish(tmp_path, BLOCK)
    assert dataset.count_rows(tmp_path / "data" / "captions") == 6
    assert dataset.count_rows(tmp_path / "data" / "rejects" / "toy") == 2
    assert not (tmp_path / "work" / "toy").exists()


def test_publishing_replaces_what_an_earlier_run_made(tmp_path):
    finish(tmp_path, BLOCK)
    finish(tmp_path, replace(BLOCK, params="q"))
    texts = dataset.read(tmp_path / "data" / "captions").column("text").to_pylist()
    assert texts == ["q"] * 6


def test_nothing_is_published_while_a_shard_is_missing(tmp_path):
    Staging(tmp_path / "work", BLOCK).commit(0, BLOCK.process(0))
    assert not (tmp_path / "data").exists()


def test_a_count_tells_rows_in_out_and_rejected_by_reason():
    count = shards.count(BLOCK, 0, BLOCK.process(0))
    assert (count.rows_in, count.rows_out, count.rejected) == (4, {"captions": 3}, {"empty": 1})
    nothing = {"captions": schemas.empty("captions"), "rejects": schemas.empty("rejects")}
    assert shards.count(BLOCK, 0, nothing).rejected == {}
