"""A DVC experiment inside a workspace that is put back afterwards as it was.

`dvc exp run` works in the workspace, so that it reuses what is built and can be resumed; it leaves its own
settings and results there. What it changes of the files that are no stage's cached output is kept aside
meanwhile, in ``.work``, where a run that was killed leaves it for the next one.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.tables import folders

ASIDE = Path(".work/before-experiment")
FILES = (Path("params.yaml"), Path("dvc.lock"), Path("data/metrics.json"))


@contextmanager
def aside(project: Path) -> Iterator[None]:
    """Put the workspace's settings and lock back when the block is left, however it is left."""
    if (project / ASIDE).exists():
        raise RuntimeError(f"{project / ASIDE} holds what a killed run set aside: put it back first")

    def copy(partial: Path) -> None:
        for file in FILES:
            if (project / file).exists():
                (partial / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(project / file, partial / file)

    folders.publish(copy, project / ASIDE)
    try:
        yield
    finally:
        put_back(project)


def put_back(project: Path) -> bool:
    """Put back what an experiment set aside; whether there was anything."""
    folder = project / ASIDE
    if not folder.exists():
        return False
    for file in FILES:
        if (folder / file).exists():
            shutil.copy2(folder / file, project / file)
        else:
            (project / file).unlink(missing_ok=True)
    shutil.rmtree(folder)
    return True
