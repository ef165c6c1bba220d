"""Waiting for processes to end."""

import time
from contextlib import suppress

import psutil


def wait_until_gone(pid: int) -> None:
    """Fails if the process still runs after two minutes."""
    deadline = time.monotonic() + 120
    with suppress(psutil.NoSuchProcess):
        while psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < deadline
            time.sleep(0.1)
