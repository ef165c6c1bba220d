"""One Prefect server for all tests of the flows, with its state in a temporary folder."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import ui_workspace
from ui_api import Api

from flows import server
from flows.environment import running


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The API address of a server that `flows.server` started."""
    from prefect.settings import PREFECT_API_URL, PREFECT_HOME, temporary_settings

    with socket.socket() as probe:
        probe.bind((server.HOST, 0))
        port = probe.getsockname()[1]
    home = tmp_path_factory.mktemp("project") / ".prefect"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(server.PORT_VARIABLE, str(port))
        patch.delenv("PREFECT_API_URL", raising=False)
        url = server.start(home)
        # Workers in other processes read the environment; this one has read it already.
        patch.setitem(os.environ, "PREFECT_API_URL", url)
        patch.setitem(os.environ, "PREFECT_HOME", str(home))
        with temporary_settings({PREFECT_API_URL: url, PREFECT_HOME: str(home)}):
            yield url
        server.stop(home)
        assert running(home) is None


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace of its own, whose stages are soon done."""
    return ui_workspace.make(tmp_path_factory.mktemp("workspace") / "patchwords")


@pytest.fixture(scope="session")
def api(workspace: Path, prefect_server: str) -> Iterator[Api]:
    """The REST API of the server, while a worker of the default pool runs in the workspace."""
    with ui_workspace.served(workspace, prefect_server, "default-pool"):
        yield Api(prefect_server)
