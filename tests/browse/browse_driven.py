"""A browser at the page: where the page is served, and how a test goes there and waits."""

from __future__ import annotations

import threading
import time
from urllib.parse import urlencode

import browse_made

from pipeline.browse import server, service

WAIT = 20_000  # milliseconds: a busy machine is no failure


def serve(data):
    """The page's address, and what ends it."""
    import uvicorn

    from pipeline.browse.commands import listen

    app = server.make(service.Service(data, data.parent / "raw", {}, browse_made.RULES))
    listening = listen("127.0.0.1", 0)
    running = uvicorn.Server(uvicorn.Config(app, log_level="error"))
    thread = threading.Thread(target=running.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    while not running.started:
        time.sleep(0.02)
    return f"http://127.0.0.1:{listening.getsockname()[1]}", running, thread


def go(page, **state):
    page.goto("/?" + urlencode(state))


def until(page, holds):
    """Wait until an expression holds. (Playwright's own wait builds a function, which the page forbids.)"""
    end = time.monotonic() + WAIT / 1000
    while not page.evaluate(holds):
        assert time.monotonic() < end, holds
        time.sleep(0.05)


def wait(page, holds):
    """Wait until a function here holds, while the page goes on."""
    end = time.monotonic() + WAIT / 1000
    while not holds():
        assert time.monotonic() < end
        page.wait_for_timeout(20)
