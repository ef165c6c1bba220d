"""Make the pictures of the Prefect UI that README and docs show: `make pictures`.

    python scripts/prefect_pictures.py FOLDER

It clones this repository's last commit into a temporary folder, switches it to the profile `smoke`, starts
`make serve` there, and does in headless Chromium what tests/flows/test_ui_browser.py tests: fills in the
form, submits it, waits for the run and opens its artifacts. Takes some minutes; needs chromium.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "flows")]

import ui_browser  # noqa: E402
import ui_workspace  # noqa: E402
from ui_api import Api  # noqa: E402

from flows import server  # noqa: E402

RUN = {"profile": "smoke", "where": "in place"}


def main(out: Path) -> None:
    """Make the pictures in the folder."""
    with tempfile.TemporaryDirectory(prefix="patchwords-pictures-") as temporary:
        workspace = Path(temporary) / "patchwords"
        subprocess.run(["git", "clone", "-q", ROOT, workspace], check=True)
        (workspace / ".venv").symlink_to(Path(sys.prefix))
        os.environ[server.PORT_VARIABLE] = str(_free_port())
        os.environ.pop("PREFECT_API_URL", None)
        url = server.start(workspace / ".prefect")
        try:
            with ui_workspace.served(workspace, url), ui_browser.opened(height=1000) as page:
                take(ui_browser.Pages(page, url), Api(url), out)
        finally:
            server.stop(workspace / ".prefect")


def take(pages: ui_browser.Pages, api: Api, out: Path) -> None:
    """Pictures of a form, of the run while it works and at its end, and of its artifacts."""
    first = api.start("rebuild", **RUN)  # so that the second has a run before to compare with
    assert api.ended(first)["type"] == "COMPLETED", api.log(first)
    pages.open_form("rebuild")
    pages.choose("Annotation source", "open_clip")
    pages.fill("Seed", "-3")
    pages.press_submit()
    pages.wait_for("minimum")
    pages.picture(out / "prefect-refused.png")
    pages.fill("Seed", "17")
    pages.page.evaluate("window.scrollTo(0, 0)")
    pages.picture(out / "prefect-form.png")
    pages.submit()
    run = api.latest("rebuild")
    pages.open_run(run)
    ui_workspace.until(lambda: ("patch_words", "Running") in api.tasks(run) or pages_done(api, run))
    pages.picture(out / "prefect-running.png")
    assert api.ended(run)["type"] == "COMPLETED", api.log(run)
    pages.open_run(run)
    pages.wait_for("Completed", exact=True)
    pages.picture(out / "prefect-run.png")
    pages.open_artifacts()
    pages.picture(out / "prefect-artifacts.png")
    for key in ("results", "tables", "overlay-1", "ingest-progress"):
        pages.open_artifact(api.artifact(run, key))
        pages.picture(out / f"prefect-{key}.png")


def pages_done(api: Api, run: str) -> bool:
    """Whether the run has ended, well or not."""
    return api.state(run)["type"] in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((server.HOST, 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "docs").resolve())
