"""The project's own Prefect server: on this machine's loopback, with its state in ``.prefect``.

``python -m flows.server start | stop | status``. Flows run without it too (Prefect then starts a temporary
one, which takes 13 to 25 s a flow); with it they start at once and their runs stay to be looked at.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import psutil

from flows import PROJECT, environment
from pipeline.console import run_command
from pipeline.errors import UserError

HOST = "127.0.0.1"
PORT = 4297  # not Prefect's own 4200: a server of another project may be there
PORT_VARIABLE = "PATCHWORDS_PREFECT_PORT"
PAGES_ASK = ("PREFECT_SERVER_UI_API_URL", "PREFECT_UI_API_URL")  # both name where the pages find the API
START_SECONDS = 300  # a busy machine takes ten times the usual 20


def start(home: Path) -> str:
    """Start the server in the background, unless it answers already, and return its API address.

    Raises:
        UserError: the port is taken, or the server did not come up.
    """
    if url := environment.running(home):
        return url
    wanted = port()
    if _is_taken(wanted):
        raise UserError(
            f"Port {wanted} of {HOST} is taken by another program (another copy of this project?): "
            f"choose another with {PORT_VARIABLE}={wanted + 2}."
        )
    home.mkdir(parents=True, exist_ok=True)
    if not _lives(home):
        (home / "server.pid").unlink(missing_ok=True)  # left by a server that was killed
    url = f"http://{HOST}:{wanted}/api"
    environment.note(home).write_text(url + "\n", encoding="utf-8")
    _prefect(home, "start", "--background", "--host", HOST, "--port", str(wanted), variables=settings(url))
    deadline = time.monotonic() + START_SECONDS
    while environment.running(home) is None:
        if time.monotonic() > deadline:
            raise UserError(
                f"The Prefect server did not answer at {url} within {START_SECONDS} s. "
                "Flows also run without it: `dvc repro`."
            )
        time.sleep(0.5)
    return url


def stop(home: Path) -> None:
    """Stop the server, if there is one."""
    if _lives(home):  # else Prefect would end whatever has its number now
        _prefect(home, "stop")
    (home / "server.pid").unlink(missing_ok=True)
    environment.note(home).unlink(missing_ok=True)


def settings(url: str, given: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Variables for a server at ``url``; those ``given`` have the last word on its address and patience."""
    variables = {
        # The pages of version 1 show the help texts of forms with their lists; version 2 is a click away.
        "PREFECT_SERVER_UI_V2_ENABLED": "false",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    }
    if not any(given.get(name) for name in PAGES_ASK):
        # Else the pages ask Prefect's own port, whatever port the server was given.
        variables[PAGES_ASK[0]] = url
    if "PREFECT_SERVER_DATABASE_TIMEOUT" not in given:
        # On a busy machine a write waits for another longer than the usual 10 s; it is then refused with 503.
        variables["PREFECT_SERVER_DATABASE_TIMEOUT"] = "60"
    return variables


def _prefect(home: Path, *command: str, variables: Mapping[str, str] | None = None) -> None:
    variables = {**os.environ, **environment.variables(home.parent), **(variables or {})}
    variables.pop("PREFECT_API_URL", None)
    program = [sys.executable, "-m", "prefect", "server", *command]
    # The server inherits the streams: files, because a pipe would stay open as long as the server lives.
    with (home / "server.log").open("w+", encoding="utf-8") as log:
        done = subprocess.run(program, env=variables, stdout=log, stderr=log, check=False)
        log.seek(0)
        if done.returncode:
            raise UserError(f"`prefect server {' '.join(command)}` failed:\n{log.read().strip()}")


def port() -> int:
    """The port that the server is to have; the one after it is the report's (`flows.serve`)."""
    text = os.environ.get(PORT_VARIABLE, str(PORT))
    if not text.isdecimal() or not 1024 <= int(text) <= 65534:
        raise UserError(f"{PORT_VARIABLE}: found {text!r}; allowed are ports from 1024 to 65534.")
    return int(text)


def _is_taken(port: int) -> bool:
    # Binding, not connecting: a program too busy to answer holds its port all the same.
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return True
    return False


def _lives(home: Path) -> bool:
    """Whether the process that the note names is this home's server, and not another of its number."""
    try:
        process = psutil.Process(int((home / "server.pid").read_text(encoding="utf-8")))
        its_home = Path(process.environ().get("PREFECT_HOME", "/")).resolve()
        return its_home == home.resolve() and "prefect" in " ".join(process.cmdline())
    except (OSError, ValueError, psutil.Error):
        return False


def main() -> None:
    """Start, stop or look for the server."""
    home = PROJECT / ".prefect"
    command = sys.argv[1] if len(sys.argv) == 2 else ""
    if command == "start":
        print(f"Prefect's server answers; its pages are at {start(home).removesuffix('/api')}")
    elif command == "stop":
        stop(home)
    elif command == "status":
        print(environment.running(home) or "no server is running")
    else:
        raise UserError("Say what to do: python -m flows.server start | stop | status")


if __name__ == "__main__":
    run_command(main)
