"""A block that is quick, and that fails in the ways that blocks fail. Each shard: ten in, seven out."""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import UserError
from pipeline.tables import schemas
from pipeline.tables.dataset import Provenance
from pipeline.tables.rejects import Rejects
from pipeline.tables.shards import Tables

UNITS = {"captions": "caption_id"}
SHARDS = 4


@dataclass(frozen=True)
class ToyBlock:
    """Fails at shard 2 in the way that the text of the file ``mood`` says, where there is such a file."""

    folder: Path
    stage: str = "toy"
    outputs: tuple[str, ...] = ("captions",)

    def shard_count(self) -> int:
        return SHARDS

    def provenance(self) -> Provenance:
        return Provenance("p", {"source": "s"})

    def rows_in(self, shard: int) -> int:
        return 10

    def process(self, shard: int) -> Tables:
        with (self.folder / "calls").open("a") as calls:
            calls.write(f"{shard}\n")
        mood = self.folder / "mood"
        out = 7
        if shard == 2 and mood.exists():
            out = self._fail(mood.read_text(), mood)
        rejects = Rejects(self.stage, {"odd": "an odd caption", "empty": "no words"})
        for i in range(3):
            rejects.add(f"caption:{shard}/c{out + i}", "odd" if i else "empty")
        rows = [{"caption_id": f"{shard}/c{i}", "image_id": f"{shard}", "text": "a cup"} for i in range(out)]
        return {"captions": schemas.from_rows("captions", rows), "rejects": rejects.table()}

    def calls(self) -> list[int]:
        """The shards that were worked on, sorted."""
        return sorted(int(line) for line in (self.folder / "calls").read_text().split())

    def _fail(self, how: str, mood: Path) -> int:
        if how == "stumble once":
            mood.unlink()
            raise OSError(5, "Input/output error")
        if how == "user":
            raise UserError("source.path: found nothing at data/raw.")
        if how == "missing":
            raise FileNotFoundError("gone.jpg")
        if how == "killed once":
            mood.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        if how == "killed":
            os._exit(9)
        if how == "slow":
            time.sleep(600)
        return 6 if how == "loses a row" else 8  # "doubles a row"
