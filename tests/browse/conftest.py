from __future__ import annotations

import browse_made
import pytest

from pipeline.browse import server, service


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    return browse_made.make(tmp_path_factory.mktemp("browse"))


@pytest.fixture(scope="session")
def served(data):
    """The service over the made dataset."""
    return service.Service(data, data.parent / "raw", {}, browse_made.RULES)


@pytest.fixture(scope="session")
def client(served):
    from fastapi.testclient import TestClient

    return TestClient(server.make(served), base_url="http://127.0.0.1:8365")
