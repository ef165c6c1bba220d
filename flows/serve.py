"""``make serve``: Prefect's server, a worker for each pool, and the deployments of ``prefect.yaml``.

    python -m flows.serve [POOL ...]

Everything listens on this machine's loopback alone. Ctrl-C (or SIGTERM) stops the workers, then the server,
unless it was running before. With pools named, only their workers are started: the machine with the data runs
``python -m flows.serve default-pool``, and the one with the GPU ``python -m flows.serve gpu``, with
``PREFECT_API_URL`` pointing to the first one's server.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO

import httpx

from flows import PROJECT, automations, environment, processes, server
from flows.pools import POOLS, create_automations, create_pools, mark_crashed, schedules_kept
from flows.results import FILES_VARIABLE, REPORT
from pipeline.console import run_command
from pipeline.errors import UserError

WORKER_PATIENCE = 20.0  # seconds that a worker has to end its runs
RESTART_SECONDS = 5.0  # before a worker that has ended by itself is started again
WORKSPACE_VARIABLE = "PATCHWORDS_WORKSPACE"


def serve(home: Path, pools: tuple[str, ...]) -> None:
    """Start everything, say where it is, and wait until told to stop."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with ExitStack() as stack:
        stack.enter_context(_only_one(home))
        url = _server(home, stack)
        variables = worker_variables(url, _serve_report(stack))
        _create_pools(url)
        told = _mark_crashed(url)  # before another run takes the workspace over
        workers = {pool: _start_worker(pool, variables, home) for pool in pools}
        stack.callback(_end_workers, workers)
        if POOLS[0] in pools:
            with schedules_kept(url):
                _deploy(variables, home)  # while the workers start
            create_automations(url)
        pages = url.removesuffix("/api")
        print(
            f"Prefect's pages: {pages}/deployments   (ctrl-C stops the workers, then the server)", flush=True
        )
        while not stop.wait(1.0):
            told = _mark_crashed(url, told)
            for pool, worker in workers.items():
                if (status := worker.poll()) is not None:
                    print(
                        f"The worker of {pool} has ended with status {status} (its log: {_log(home, pool)}):"
                        " starting another.",
                        file=sys.stderr,
                        flush=True,
                    )
                    stop.wait(RESTART_SECONDS)
                    workers[pool] = _start_worker(pool, variables, home)


def worker_variables(url: str, files: str, project: Path = PROJECT) -> dict[str, str]:
    """The environment of a worker whose flows run in the workspace ``project``."""
    variables = processes.environment() | environment.variables(project)
    return variables | {
        "PREFECT_API_URL": url,
        WORKSPACE_VARIABLE: str(project),
        "PYTHONPATH": str(project),  # flows are the workspace's own
        "PREFECT_WORKER_QUERY_SECONDS": "2",
        # Cancelling is told at once over a websocket; this is for where none gets through.
        "PREFECT_WORKER_CANCELLATION_POLL_SECONDS": "3",
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(automations.HEARTBEAT_SECONDS),
        "PREFECT_RUNNER_AUTO_INSTALL_DEPENDENCIES": "false",
        FILES_VARIABLE: files,
    }


def _mark_crashed(url: str, told: str = "") -> str:
    """What keeps a run that was killed from being marked, said unless it was ``told`` the last time."""
    try:
        mark_crashed(url, PROJECT)
    except (httpx.HTTPError, RuntimeError) as error:
        found = f"A run that was killed could not be marked as crashed yet: {error}"
        if found != told:
            print(found, file=sys.stderr, flush=True)
        return found
    return ""


def _server(home: Path, stack: ExitStack) -> str:
    if url := os.environ.get("PREFECT_API_URL"):
        return url
    found = environment.running(home)
    url = server.start(home)
    if not found:
        stack.callback(server.stop, home)
    return url


def _create_pools(url: str) -> None:
    try:
        create_pools(url)
    except (httpx.HTTPError, RuntimeError) as error:  # Prefect makes the latter of what httpx says
        if "PREFECT_API_URL" not in os.environ:
            raise
        raise UserError(
            f"PREFECT_API_URL: found {url}, where no Prefect server can be asked: {error}. Start it there"
            " (python -m flows.serve default-pool) and, from another machine, the tunnel to it"
            " (ssh -N -L 4297:127.0.0.1:4297 THERE) first; unset, a server of this project's own is started."
        ) from error


def _log(home: Path, pool: str) -> Path:
    return home / f"worker-{pool}.log"


def _deploy(variables: Mapping[str, str], home: Path) -> None:
    log = home / "deploy.log"
    # What is set here is written into the deployments: another machine's workspace lies elsewhere.
    unset = {name: value for name, value in variables.items() if name != WORKSPACE_VARIABLE}
    with log.open("w", encoding="utf-8") as file:
        command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"]
        done = subprocess.run(command, env=unset, cwd=PROJECT, stdout=file, stderr=file, check=False)
    if done.returncode:
        raise UserError(f"`prefect deploy --all` failed:\n{log.read_text('utf-8').strip()}")


def _start_worker(pool: str, variables: Mapping[str, str], home: Path) -> subprocess.Popen[bytes]:
    command = ["python", "-m", "prefect", "worker", "start", "--pool", pool, "--type", "process"]
    command += ["--name", f"{PROJECT.name}-{pool}", "--install-policy", "never"]
    with _log(home, pool).open("a", encoding="utf-8") as log:
        return processes.guarded(command, variables, PROJECT, log, WORKER_PATIENCE)


def _end_workers(workers: Mapping[str, subprocess.Popen[bytes]]) -> None:
    print("Stopping the workers, then the server ...", flush=True)
    for worker in workers.values():
        if worker.stdin is not None:
            worker.stdin.close()  # all at once, then one after the other
    for worker in workers.values():
        processes.end(worker, WORKER_PATIENCE)


def _serve_report(stack: ExitStack) -> str:
    """Serve the folder of the report on the loopback, beside the server's port; nothing else of the disk."""
    folder = PROJECT / REPORT.parent

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *args: object) -> None:
            super().__init__(*args, directory=str(folder))  # type: ignore[arg-type]

        def log_message(self, *_: object) -> None:
            pass

    try:
        # The same place each time, so that the links of earlier runs go on leading there.
        files = ThreadingHTTPServer((server.HOST, server.port() + 1), Handler)
    except OSError:
        files = ThreadingHTTPServer((server.HOST, 0), Handler)
    threading.Thread(target=files.serve_forever, daemon=True).start()
    stack.callback(files.shutdown)
    return f"http://{server.HOST}:{files.server_port}"


def _only_one(home: Path) -> IO[str]:
    home.mkdir(parents=True, exist_ok=True)
    file = (home / "serve.lock").open("w", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise UserError("`make serve` is running in this workspace already.") from error
    return file


def main() -> None:
    """Serve the pools named on the command line; all of them if none is."""
    named = tuple(sys.argv[1:]) or POOLS
    if unknown := set(named) - set(POOLS):
        raise UserError(f"There is no pool {', '.join(sorted(unknown))}; there are {', '.join(POOLS)}.")
    serve(PROJECT / ".prefect", named)


if __name__ == "__main__":
    run_command(main)
