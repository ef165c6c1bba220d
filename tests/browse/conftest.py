from __future__ import annotations

import shutil

import browse_made
import pytest
from browse_driven import WAIT, serve

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


@pytest.fixture(scope="module")
def browser():
    """Chromium, where there is one. Not longer than a module: playwright keeps an event loop running."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("there is no chromium to drive")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def address(data):
    """Where the page over the made dataset is served."""
    found, running, thread = serve(data)
    yield found
    running.should_exit = True
    thread.join(timeout=10)


@pytest.fixture
def page(browser, address):
    """A page that may ask nothing but this server and whose scripts may not fail."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, base_url=address)
    opened = context.new_page()
    opened.set_default_timeout(WAIT)
    failures, asked = [], []
    opened.on("pageerror", lambda error: failures.append(str(error)))
    opened.on("request", lambda request: asked.append(request.url))
    yield opened
    context.close()
    assert failures == []
    assert [url for url in asked if not url.startswith((address, "data:"))] == []
