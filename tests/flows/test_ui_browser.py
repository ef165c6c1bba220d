"""Runs started, watched and cancelled in the pages of the Prefect UI, in headless Chromium."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import ui_workspace
import yaml

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

import ui_browser

pytestmark = pytest.mark.skipif(
    ui_browser.chromium() is None, reason="there is no Chromium (Debian: apt install chromium)"
)


@pytest.fixture(scope="module")
def pages(api) -> Iterator[ui_browser.Pages]:
    with ui_browser.opened() as page:
        yield ui_browser.Pages(page, api.url)


def test_a_run_is_set_started_and_watched(pages, api, workspace):
    busy = {"status": 503, "body": '{"exception_message": "busy"}'}
    pages.page.route("**/create_flow_run", lambda route: route.fulfill(**busy), times=1)
    pages.open_form("rebuild")
    assert "dataset's own human annotations" in pages.page.content()
    pages.choose("Annotation source", "open_clip")
    pages.choose("Stages", "ground")
    run = pages.submit()
    pages.open_run(run, "Completed")
    assert api.ended(run)["type"] == "COMPLETED", api.log(run)
    assert api.tasks(run) == [("ingest", "Completed"), ("ground", "Completed")]
    assert "grounding with open_clip" in api.log(run)
    assert yaml.safe_load((workspace / "params.yaml").read_text())["ground"]["source"] == "open_clip"
    pages.open_artifacts()
    assert api.artifacts(run)["ingest-progress"] == 100
    assert "| data/images | ingest | 400 |" in api.artifacts(run)["tables"]
    assert "up to date" in ui_workspace.dvc(workspace, "status", "ingest", "ground")


def test_a_cancelled_run_leaves_no_process_and_whoever_waits_goes_on(pages, api, workspace):
    ui_workspace.dvc(workspace, "repro", "ground")
    run = api.start("rebuild", stages=["encoder"])
    api.wait_for_log(run, "going on and on")
    assert len(ui_workspace.of_run(run)) >= 3  # the run, DVC, its stage

    # One writer at a time: the shell is refused, a second run waits.
    in_shell = ui_workspace.dvc(workspace, "repro", "encoder")
    assert "busy, it is being blocked by" in in_shell and "repro encoder" in in_shell
    second = api.start("rebuild", stages=["ground"])
    name = api.call(f"/flow_runs/{run}")["name"]
    api.wait_for_log(second, f"is being written to by the run {name}")

    pages.cancel(run)
    # Of itself the stage would end in ten minutes.
    ui_workspace.until(lambda: not ui_workspace.of_run(run))
    assert api.ended(run)["type"] == "CANCELLED"

    # The one that waited finds what the shell has built.
    assert api.ended(second)["type"] == "COMPLETED", api.log(second)
    assert api.tasks(second) == [("ingest", "Cached"), ("ground", "Cached")]
    unchanged = "neither its inputs, nor its settings, nor its code have changed"
    assert all(unchanged in why for why in api.messages(second))
    assert "didn't change" in ui_workspace.dvc(workspace, "repro", "ground")


def test_a_bad_value_is_refused_before_a_run_starts(pages, api):
    rebuilds = {"deployments": {"name": {"any_": ["rebuild"]}}}
    before = api.call("/flow_runs/count", rebuilds)
    pages.open_form("rebuild")
    pages.fill("Seed", "-3")
    pages.submit_in_vain()
    assert api.call("/flow_runs/count", rebuilds) == before
