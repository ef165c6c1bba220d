"""A Prefect server for the flows of a benchmark, as ``make repro`` starts one for those of DVC."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flows import PROJECT, server


@contextmanager
def prefect_server(folder: Path) -> Iterator[dict[str, str]]:
    """A server with its state below ``folder`` while the block runs; the environment for its flows."""
    with socket.socket() as probe:
        probe.bind((server.HOST, 0))
        port = probe.getsockname()[1]
    os.environ[server.PORT_VARIABLE] = str(port)
    home = folder / ".prefect"
    try:
        url = server.start(home)
        yield os.environ | {
            "PREFECT_API_URL": url,
            "PREFECT_HOME": str(home),
            "PYTHONPATH": str(PROJECT),
        }
    finally:
        server.stop(home)
