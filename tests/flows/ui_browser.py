"""The pages of the Prefect UI in headless Chromium, as a person uses them.

The tests use it, and `scripts/prefect_pictures.py`, which makes the pictures of the documentation.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Locator, Page, Response, TimeoutError, expect, sync_playwright
from ui_workspace import PATIENCE

REFUSED = re.compile("less than the minimum|must be (greater|at least)|minimum")
# A page whose data a busy server refused (503) may never show it: it is opened again after this part of the
# patience, each time a larger one, so that a slow machine gets its time too.
SHARES = (10, 5, 2, 1)
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

        def walk() -> None:
            self.page.goto(f"{self.address}/deployments")
            self.page.get_by_role("link", name=name, exact=True).first.click()
            self.page.get_by_role("button", name="Run", exact=True).click()
            self.page.get_by_text("Custom run").click()
            self.page.locator(".schema-form-property").last.wait_for()

        self._patiently(walk)

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

    def submit(self) -> str:
        """Submit the form, again while the server is too busy to take it (503); gives the id of the run."""
        taken = self._press("Submit", request="/create_flow_run$")
        self.page.wait_for_url("**tab=Runs**")
        return str(taken.json()["id"])

    def submit_in_vain(self) -> None:
        """Submit a form with a value that is refused, and wait until the page says so."""

        def press() -> None:
            self._click("Submit")
            self.wait_for(REFUSED)

        self._patiently(press)

    def open_run(self, run: str, state: str) -> None:
        """The page of a flow run, which comes to say that it is in the state."""

        def look() -> None:
            self.page.goto(f"{self.address}/runs/flow-run/{run}")
            self.wait_for(state, exact=True)

        self._patiently(look)

    def cancel(self, run: str) -> None:
        """Open the page of a run, and cancel it once it is running."""
        self.open_run(run, "Running")
        self._press("Cancel", "Confirm", request=f"/flow_runs/{run}/set_state$")

    def open_artifacts(self) -> None:
        """The artifacts of the run whose page is open."""

        def look() -> None:
            self.page.reload()
            self.page.get_by_text("Artifacts", exact=True).first.click()
            self.wait_for("tables")

        self._patiently(look)

    def open_artifact(self, artifact: str, key: str) -> None:
        """The page of an artifact."""

        def look() -> None:
            self.page.goto(f"{self.address}/artifacts/artifact/{artifact}")
            self.wait_for(key)

        self._patiently(look)

    def wait_for(self, text: str | re.Pattern[str], exact: bool = False) -> None:
        """Wait until the page shows the text."""
        self.page.get_by_text(text, exact=exact).first.wait_for()

    def picture(self, file: Path) -> None:
        """Keep what the page shows, once nothing moves any more."""
        self.page.wait_for_timeout(1500)
        self.page.screenshot(path=file)

    def _press(self, *buttons: str, request: str) -> Response:
        """Press buttons, one after the other, until the request that comes of it is taken; its answer."""
        # Or the page asks first whether the values are valid, and is told that the server is busy.
        asked = re.compile(f"{request}|/schemas/validate$")
        for _ in range(10):
            with self.page.expect_response(
                lambda answer: (
                    bool(asked.search(answer.url)) and (not answer.ok or not answer.url.endswith("/validate"))
                )
            ) as answer:
                for button in buttons:
                    self._click(button)
            if answer.value.ok:
                return answer.value
            self.page.wait_for_timeout(1000)
        raise AssertionError(f"{buttons[-1]}: the server did not take it: {self.refused}")

    def _click(self, button: str) -> None:
        found = self.page.get_by_role("button", name=button, exact=True)
        expect(found).to_be_enabled(timeout=1000 * PATIENCE)
        # Not by the mouse: messages that some other request of the page went wrong come and go over it.
        found.dispatch_event("click")

    def _patiently(self, act: Callable[[], None]) -> None:
        """Do what leads to a page, from its start again while the page does not come."""
        for share in SHARES:
            self.page.set_default_timeout(1000 * PATIENCE / share)
            try:
                return act()
            except TimeoutError as error:
                if share == SHARES[-1]:
                    raise AssertionError(f"the page did not come; refused were {self.refused}") from error
            finally:
                self.page.set_default_timeout(1000 * PATIENCE)

    def _note(self, response: Response) -> None:
        if response.status >= 400:
            self.refused.append(f"{response.request.method} {response.url}: {response.status}")
