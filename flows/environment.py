"""Prefect's environment variables, which have to be set before Prefect is imported."""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from pathlib import Path

ANSWER_SECONDS = 3.0  # refused at once where nothing listens; a busy server takes its time


def variables(project: Path) -> dict[str, str]:
    """What keeps Prefect inside the project and quiet; with the server's address, if that answers."""
    home = project / ".prefect"
    # A server that the user named is left alone; else only the project's own is looked for.
    url = None if "PREFECT_API_URL" in os.environ else running(home)
    return {
        "PREFECT_HOME": str(home),
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        # A temporary server takes 15 s to start here, and far longer on a machine that is busy.
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "180",
        # The terminal shows our own progress and summaries; Prefect's log goes to its server and UI.
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
    } | ({"PREFECT_API_URL": url} if url else {})


def note(home: Path) -> Path:
    """The file that says where the project's server listens; ``home`` is the ``.prefect`` folder."""
    return home / "server.url"


def running(home: Path) -> str | None:
    """The API address of the project's server, if it answers."""
    try:
        url = note(home).read_text(encoding="utf-8").strip()
        with urllib.request.urlopen(f"{url}/health", timeout=ANSWER_SECONDS) as answer:
            return url if answer.status == 200 else None
    except (urllib.error.URLError, OSError, ValueError):
        return None
