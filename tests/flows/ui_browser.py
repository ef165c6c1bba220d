"""The pages of the Prefect UI in headless Chromium, as a person uses them.

The tests use it, and `scripts/prefect_pictures.py`, which makes the pictures of the documentation.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Locator, Page, Response, sync_playwright
from ui_workspace import PATIENCE

REFUSED = re.compile("less than the minimum|must be (greater|at least)|minimum")
NAMES = ("chromium", "chromium-browser", "google-chrome")


def chromium() -> str | None:
    """The browser's program, if there is one."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def opened(width: int = 1280, height: int = 1100) -> Iterator[Page]:
    """An empty page of a browser."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": width, "height": height})
        page.set_default_timeout(1000 * PATIENCE)
        yield page
        browser.close()


class Pages:
    """What a person does in the Prefect UI."""

    def __init__(self, page: Page, api_url: str) -> None:
        self.page = page
        self.address = api_url.removesuffix("/api")
        self.refused: list[str] = []
        """What the server would not answer, for whoever asks why a page does not come."""
        page.on("response", self._note)

    def open_form(self, name: str) -> None:
        """From the list of deployments to the form of one."""
        self.page.goto(f"{self.address}/deployments")
        self.page.get_by_role("link", name=name, exact=True).first.click()
        self.page.get_by_role("button", name="Run", exact=True).click()
        self.page.get_by_text("Custom run").click()
        self.page.locator(".schema-form-property").last.wait_for()

    def field(self, title: str) -> Locator:
        """The field of the form below the title."""
        return self.page.locator(".schema-form-property", has=self.page.get_by_text(title)).last

    def choose(self, title: str, value: str) -> None:
        """Choose a value from a field's drop-down."""
        self.field(title).locator("button, input").last.focus()
        self.page.keyboard.press("ArrowDown")
        option = self.page.locator(".p-select-option")
        option.filter(has_text=re.compile(rf"^\s*{value}\s*$")).first.click()
        self.page.get_by_text("Parameters", exact=True).first.click()  # closes a list of several

    def fill(self, title: str, value: str) -> None:
        """Write into a field."""
        self.field(title).locator("input").first.fill(value)

    def press_submit(self) -> None:
        """Press the form's button, whatever comes of it."""
        # A message that some other request of the page went wrong stays, and covers the button.
        self.page.evaluate("document.querySelectorAll('.p-toast__close-btn').forEach(each => each.click())")
        self.page.locator(".p-toast__close-btn").first.wait_for(state="hidden")
        self.page.get_by_role("button", name="Submit").click()

    def submit(self) -> None:
        """Submit the form; again while the server is too busy to take it (503)."""
        for _ in range(5):
            with self.page.expect_response(re.compile("/create_flow_run$")) as answer:
                self.press_submit()
            if answer.value.ok:
                self.page.wait_for_url("**tab=Runs**")
                return
            self.page.wait_for_timeout(1000)
        raise AssertionError(f"the server did not take the form: {self.refused}")

    def open_run(self, run: str) -> None:
        """The page of a flow run."""
        self.page.goto(f"{self.address}/runs/flow-run/{run}")

    def cancel(self) -> None:
        """Cancel the run whose page is open, once it is running."""
        self.page.get_by_text("Running", exact=True).first.wait_for()
        self.page.get_by_role("button", name="Cancel", exact=True).click()
        self.page.get_by_role("button", name="Confirm", exact=True).click()

    def open_artifacts(self) -> None:
        """The artifacts of the run whose page is open."""
        self.page.get_by_text("Artifacts", exact=True).first.click()
        self.wait_for("tables")

    def open_artifact(self, artifact: str) -> None:
        """The page of an artifact."""
        self.page.goto(f"{self.address}/artifacts/artifact/{artifact}")

    def wait_for(self, text: str | re.Pattern[str], exact: bool = False) -> None:
        """Wait until the page shows the text."""
        self.page.get_by_text(text, exact=exact).first.wait_for()

    def picture(self, file: Path) -> None:
        """Keep what the page shows, once nothing moves any more."""
        self.page.wait_for_timeout(1500)
        self.page.screenshot(path=file)

    def _note(self, response: Response) -> None:
        if response.status >= 400:
            self.refused.append(f"{response.request.method} {response.url}: {response.status}")
