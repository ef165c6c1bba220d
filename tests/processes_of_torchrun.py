"""Several processes on this machine with the variables that torchrun gives them."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import Any

import torch
from torch import multiprocessing

# Processes are forked from one that has imported the library and has done nothing else: a fork of the tests'
# own process would take along the threads and exit handlers of whatever ran in it before.
CLEAN = "forkserver"


def start(count: int, work: Callable[..., object], *arguments: Any) -> None:
    """Run ``work(*arguments)`` in each of ``count`` processes, a thread each, and wait for all of them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    multiprocessing.start_processes(_one, (count, port, work, arguments), count, start_method=CLEAN)


def _one(rank: int, count: int, port: int, work: Callable[..., object], arguments: tuple) -> None:
    torch.set_num_threads(1)
    if count > 1:
        names = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "MASTER_PORT": port}
        os.environ.update({name: str(value) for name, value in names.items()}, MASTER_ADDR="127.0.0.1")
    work(*arguments)
