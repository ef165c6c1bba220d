from pathlib import Path

import made_data
import pytest


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ``data`` folder of a made project. Tests that change it copy it first."""
    return made_data.make_project(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="session")
def report(project: Path) -> dict[str, str]:
    """The report's texts by file name."""
    from pipeline.report import page

    return {path.name: text for path, text in page.make(project, made_data.small_params()).items()}
