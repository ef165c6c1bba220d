"""Make the pictures of the Prefect UI that README and docs show: `make pictures`.

    python scripts/prefect_pictures.py FOLDER [ADDRESS]

It clones this repository's last commit into a temporary folder, starts `make serve` there, builds everything
with the profile `smoke`, and does in headless Chromium what tests/flows/test_ui_browser.py tests: fills in a
form, submits it, waits for the run and opens artifacts. That takes some minutes, and chromium. With the
ADDRESS of a server (http://127.0.0.1:4297/api) whose workspace is built, it uses that one, and changes its
annotation source.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "flows")]

import ui_browser  # noqa: E402
import ui_workspace  # noqa: E402
from ui_api import ENDED, Api  # noqa: E402

from flows import server  # noqa: E402

SOURCE = "open_clip"
DRAWING = 8000  # milliseconds that a run's graph, a canvas, may take to be drawn


def main(out: Path, address: str = "") -> None:
    """Make the pictures in the folder."""
    if address:
        return take(address, out)
    with tempfile.TemporaryDirectory(prefix="patchwords-pictures-") as temporary:
        workspace = Path(temporary) / "patchwords"
        subprocess.run(["git", "clone", "-q", ROOT, workspace], check=True)
        os.environ[server.PORT_VARIABLE] = str(_free_port())
        os.environ.pop("PREFECT_API_URL", None)
        url = server.start(workspace / ".prefect")
        try:
            with ui_workspace.served(workspace, url):
                api = Api(url)
                run = api.start("rebuild", profile="smoke")
                while api.state(run)["type"] not in ENDED:
                    time.sleep(5)
                take(url, out)
        finally:
            server.stop(workspace / ".prefect")


def take(url: str, out: Path) -> None:
    """Pictures of a form, of a value that is refused, of a run at its end, and of artifacts."""
    api = Api(url)
    before = api.latest("rebuild")
    with ui_browser.opened(height=1000) as page:
        pages = ui_browser.Pages(page, url)
        pages.open_form("rebuild")
        pages.choose("Annotation source", SOURCE)
        pages.fill("Seed", "-3")
        pages.submit_in_vain()
        pages.picture(out / "prefect-refused.png")
        page.reload()
        pages.choose("Annotation source", SOURCE)
        pages.choose("Stages", "patch_words")
        page.evaluate("window.scrollTo(0, 0)")
        pages.picture(out / "prefect-form.png")
        run = pages.submit()
        ui_workspace.until(lambda: ended(api, run), seconds=1800)
        assert api.state(run)["type"] == "COMPLETED", api.log(run)
        pages.open_run(before, "Completed")  # the whole pipeline
        page.wait_for_timeout(DRAWING)
        pages.picture(out / "prefect-run.png")
        for key in ("results", "tables", "overlay-1"):
            pages.open_artifact(api.artifact(before, key), key)
            pages.picture(out / f"prefect-{key}.png")


def ended(api: Api, run: str) -> bool:
    """Whether the run has ended, well or not."""
    return api.state(run)["type"] in ENDED


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((server.HOST, 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), *sys.argv[2:])
