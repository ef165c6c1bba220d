from pathlib import Path

import made_run
import pytest


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ``data`` folder of `made_run`; not to be changed."""
    return made_run.write(tmp_path_factory.mktemp("run") / "data")
