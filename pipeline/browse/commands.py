"""The `patchwords browse` command; `pipeline.cli` registers it."""

from __future__ import annotations

import socket
import webbrowser
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from pipeline import params
from pipeline.errors import UserError

DATA = Path("data")
PORT = 8365
HOST = "127.0.0.1"
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""Hosts that stand for every address of the machine, each with the one to open in a browser on it."""


def register(app: typer.Typer) -> None:
    """Add this room's command to the command line."""
    app.command("browse")(browse)


def browse(
    data: Annotated[Path, typer.Argument(help="Folder of the datasets.")] = DATA,
    compare: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=PATH", help="Another folder of datasets to show beside it; may be repeated."
        ),
    ] = None,
    root: Annotated[
        Path | None, typer.Option(help="The source's root, for images kept by path; source.path by default.")
    ] = None,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0 for any that is free.")
    ] = PORT,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = HOST,
    allow_remote: Annotated[
        bool, typer.Option("--allow-remote", help="Let --host be an address that other machines reach.")
    ] = False,
    open_browser: Annotated[
        bool, typer.Option("--open/--no-open", help="Open the page in the browser.")
    ] = True,
) -> None:
    """Look at a whole dataset in the browser: a local page, until ctrl-C."""
    from pipeline.browse import guard

    guard.check_address(host, allow_remote)
    listening = listen(host, port)
    # After the port is taken: what is refused is refused before anything is read.
    from pipeline.browse import server, service

    folders = {name: Path(path) for name, path in map(named_folder, compare or [])}
    if len(folders) < len(compare or []):
        raise UserError("Two folders to compare have one name: give each a name of its own.")
    settings = params.load() if params.PARAMS_FILE.exists() else None
    if root is None:
        root = Path(settings.source.path) if settings else Path()
    rules = (
        settings.patch_words
        if settings
        else params.PatchWordsParams(use="masks", min_coverage=0.0, min_score=0.0)
    )
    app = server.make(service.Service(data, root, folders, rules), [host], allow_remote)
    port = listening.getsockname()[1]
    here = EVERYWHERE.get(host, host)
    address = f"http://{f'[{here}]' if ':' in here else here}:{port}/"
    console = Console(soft_wrap=True)
    console.print(Text.assemble(f"{data} is open at ", (address, "bold"), " (ctrl-C ends it)"))
    if here != host:
        console.print(Text(f"From other machines: at an address of this machine, port {port}"))
    if open_browser:
        webbrowser.open(address)
    _serve(app, listening)


def named_folder(text: str) -> tuple[str, str]:
    """``NAME=PATH`` in two.

    Raises:
        UserError: a part is missing.
    """
    name, equals, path = text.partition("=")
    if not (name and equals and path):
        raise UserError(f"--compare {text!r} is not NAME=PATH: write, say, --compare open_clip=../other/data")
    return name, path


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens on the address.

    Raises:
        UserError: the port is taken, or the address is not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((host, port))
        found.listen()
    except OSError as error:
        found.close()
        raise UserError(
            f"Cannot listen on {host}, port {port}: {error.strerror or error}. If another program has the"
            " port (perhaps another `patchwords browse`), give another --port, or --port 0 for any."
        ) from error
    return found


def _serve(app: object, listening: socket.socket) -> None:
    import uvicorn

    config = uvicorn.Config(app, log_level="warning", access_log=False, server_header=False)  # type: ignore[arg-type]
    uvicorn.Server(config).run(sockets=[listening])
