"""Runs started in the Prefect UI, in a browser and over REST, in a workspace whose stages are soon done.

``PATCHWORDS_SCREENSHOTS=FOLDER`` keeps pictures of the pages; those of the documentation were made so.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import ui_workspace
import yaml

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SCREENSHOTS = os.environ.get("PATCHWORDS_SCREENSHOTS")
SECONDS = 1000 * ui_workspace.PATIENCE
pytestmark = ui_workspace.ON_REQUEST


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ui_workspace.make(tmp_path_factory.mktemp("workspace") / "patchwords")


@pytest.fixture(scope="module")
def api(workspace, prefect_server) -> Iterator[ui_workspace.Api]:
    with ui_workspace.served(workspace, prefect_server):
        yield ui_workspace.Api(prefect_server)


@pytest.fixture(scope="module")
def page(api) -> Iterator:
    if CHROMIUM is None:
        pytest.skip("there is no Chromium (Debian: apt install chromium)")
    playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 1100})
        page.set_default_timeout(SECONDS)
        yield page
        browser.close()


def keep(page, name: str) -> None:
    if SCREENSHOTS:
        page.wait_for_timeout(1500)  # what is still moving
        page.screenshot(path=Path(SCREENSHOTS) / f"prefect-{name}.png")


def pages(api: ui_workspace.Api) -> str:
    return api.url.removesuffix("/api")


def open_form(page, api: ui_workspace.Api, name: str) -> None:
    page.goto(f"{pages(api)}/deployments")
    page.get_by_role("link", name=name, exact=True).first.click()
    page.get_by_role("button", name="Run", exact=True).click()
    page.get_by_text("Custom run").click()
    page.get_by_text("Annotation source").first.wait_for()


def choose(page, field: str, value: str) -> None:
    """Choose a value from the drop-down below the field's title."""
    box = page.locator(".schema-form-property", has=page.get_by_text(field)).last
    box.locator("button, input").last.focus()
    page.keyboard.press("ArrowDown")
    page.locator(".p-select-option").filter(has_text=re.compile(rf"^\s*{value}\s*$")).first.click()
    page.get_by_text("Parameters", exact=True).first.click()  # closes a list of several


def submit(page) -> None:
    """Submit the form; once more if the page says that the server was too busy to take it."""
    for _ in range(3):
        page.get_by_role("button", name="Submit").click()
        ui_workspace.until(lambda: "tab=Runs" in page.url or page.get_by_text("Oops").count())
        if "tab=Runs" in page.url:
            return
        page.locator(".p-toast button").first.click()  # closes the message, which lies over the button
    raise AssertionError("the server did not take the form")


def processes_below(folder: Path) -> list[psutil.Process]:
    """Processes that work for a run in the folder: DVC, its guard and the stages."""
    found = []
    for process in psutil.process_iter(["cwd", "cmdline"]):
        words = " ".join(process.info["cmdline"] or [])
        if process.info["cwd"] == str(folder) and re.search(r"-m dvc|going on and on|flows\.ingest", words):
            found.append(process)
    return found


def test_a_run_is_set_started_and_watched_in_the_browser(page, api, workspace):
    open_form(page, api, "rebuild")
    assert "dataset's own human annotations" in page.content()
    choose(page, "Annotation source", "open_clip")
    choose(page, "Stages", "ground")
    keep(page, "form")
    submit(page)
    run = api.latest("rebuild")
    page.goto(f"{pages(api)}/runs/flow-run/{run}")
    page.get_by_text("Completed", exact=True).first.wait_for()
    keep(page, "run")
    assert api.tasks(run) == [("ingest", "Completed"), ("ground", "Completed")]
    assert "grounding with open_clip" in api.log(run)
    assert yaml.safe_load((workspace / "params.yaml").read_text())["ground"]["source"] == "open_clip"
    page.get_by_text("Artifacts", exact=True).first.click()
    page.get_by_text("tables", exact=False).first.wait_for()
    keep(page, "artifacts")
    assert api.artifacts(run)["ingest-progress"] == 100
    assert "| data/images | ingest | 400 |" in api.artifacts(run)["tables"]
    assert "up to date" in ui_workspace.dvc(workspace, "status", "ingest", "ground")


def test_what_has_not_changed_is_shown_as_cached_with_why(api):
    run = api.start("rebuild", stages=["ground"])
    assert api.ended(run)["type"] == "COMPLETED"
    body = {"flow_runs": {"id": {"any_": [run]}}, "sort": "EXPECTED_START_TIME_ASC"}
    states = [task["state"] for task in api.call("/task_runs/filter", body)]
    assert [state["name"] for state in states] == ["Cached", "Cached"]
    assert "neither its inputs, nor its settings, nor its code have changed" in states[0]["message"]


def test_a_run_cancelled_in_the_browser_leaves_no_process_within_ten_seconds(page, api, workspace):
    run = api.start("rebuild", stages=["encoder"])
    ui_workspace.until(lambda: "going on and on" in api.log(run))
    page.goto(f"{pages(api)}/runs/flow-run/{run}")
    page.get_by_text("Running", exact=True).first.wait_for()
    page.get_by_role("button", name="Cancel", exact=True).click()
    page.get_by_role("button", name="Confirm", exact=True).click()
    assert ui_workspace.until(lambda: not processes_below(workspace)) < 10
    assert api.ended(run)["type"] == "CANCELLED"
    assert "didn't change" in ui_workspace.dvc(workspace, "repro", "ground")


def test_a_bad_value_is_refused_in_the_browser_before_a_run_starts(page, api):
    before = api.call("/flow_runs/count", {})
    open_form(page, api, "rebuild")
    field = page.locator(".schema-form-property", has=page.get_by_text("Seed", exact=False)).last
    field.locator("input").first.fill("-3")
    page.get_by_role("button", name="Submit").click()
    page.get_by_text(re.compile("less than the minimum|must be (greater|at least)|minimum")).first.wait_for()
    keep(page, "refused")
    assert api.call("/flow_runs/count", {}) == before


@pytest.mark.parametrize(
    "wrong", [{"annotation_source": "nobody"}, {"samples": 0}, {"stages": ["nothing"]}, {"seed": "seven"}]
)
def test_a_bad_value_is_refused_over_rest_before_a_run_starts(api, wrong):
    assert re.match("409 .*Validation failed|422", api.refused("rebuild", **wrong))


def test_a_killed_worker_leaves_a_crashed_run_and_a_sound_workspace(api, workspace):
    run = api.start("rebuild", stages=["encoder"])
    ui_workspace.until(lambda: "going on and on" in api.log(run))
    workers = [
        process
        for process in psutil.process_iter(["cwd", "cmdline"])
        if process.info["cwd"] == str(workspace)
        and (process.info["cmdline"] or [])[1:5] == ["-m", "prefect", "worker", "start"]
        and "default-pool" in process.info["cmdline"]
    ]
    [worker] = workers
    os.kill(worker.pid, signal.SIGKILL)
    ui_workspace.until(lambda: not processes_below(workspace))
    state = api.ended(run)
    assert state["type"] == "CRASHED" and "`dvc repro` goes on from here" in state["message"]
    assert "didn't change" in ui_workspace.dvc(workspace, "repro", "ground")


def test_an_experiment_is_listed_and_the_workspace_is_as_it_was(api, workspace):
    before = (workspace / "params.yaml").read_text()
    run = api.start("rebuild", stages=["ground"], samples=30, where="as an experiment", experiment="thirty")
    state = api.ended(run)
    assert state["type"] == "COMPLETED", api.log(run)
    assert "| data/images | ingest | 130 |" in api.artifacts(run)["tables"]
    listed = ui_workspace.dvc(workspace, "exp", "show", "--csv", "--only-changed")
    assert "thirty" in listed and "source.scenes.train" in listed
    assert (workspace / "params.yaml").read_text() == before
    assert "up to date" in ui_workspace.dvc(workspace, "status", "ingest", "ground")


def test_wrong_settings_are_told_and_not_tried_again(api):
    run = api.start("rebuild", experiment="named")
    state = api.ended(run)
    assert state["type"] == "FAILED" and "but the run is in place" in state["message"]
    assert "Trying again" not in api.log(run)
