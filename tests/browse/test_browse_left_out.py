"""The page's list of what the stages left out, in headless Chromium."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

from browse_driven import go, wait


def test_what_was_left_out_is_listed_and_leads_to_its_image(page):
    go(page, view="left-out", stage="parse")
    page.locator("#left-out tbody tr").nth(2).wait_for()
    assert page.locator("#left-out tbody tr").count() == 3
    page.locator("#left-out tbody a").nth(1).click()
    page.locator("#scene h1", has_text="three").wait_for()
    assert "the evening" in page.locator(".rejects").inner_text()


def rejects(route, stage="parse", of=250):
    """Answer a question for what was left out with rows of a made list."""
    query = parse_qs(urlsplit(route.request.url).query)
    offset, limit = (int(query[name][0]) for name in ("offset", "limit"))
    rows = [
        {"stage": stage, "message": "made", "key": str(number), "image_id": None}
        for number in range(offset, min(offset + limit, of))
    ]
    route.fulfill(json={"rows": of, "rejects": rows})


def left_out(page, column):
    """The texts of a column of the rows that are listed."""
    return page.locator(f"#left-out tbody td:nth-child({column})").all_inner_texts()


def test_more_of_what_was_left_out_is_asked_for_once(page):
    held = []
    page.route("**/api/rejects?*", lambda route: held.append(route))
    go(page, view="left-out")
    for rows in (100, 200, 250):
        wait(page, lambda: held)
        while held:
            rejects(held.pop(0))
        wait(page, lambda rows=rows: len(left_out(page, 3)) >= rows)
        page.locator("#left-out .button").evaluate("more => { more.click(); more.click(); }")
    assert left_out(page, 3) == [str(number) for number in range(250)]


def test_an_answer_about_another_stage_than_is_shown_is_dropped(page):
    held = []
    page.route("**/api/rejects?*", lambda route: held.append(route))
    go(page, view="left-out")
    wait(page, lambda: held)
    page.locator("#left-out .reasons a[href*='stage=parse']").first.click()
    wait(page, lambda: len(held) == 2)
    for route, stage in zip(held, ("ingest", "parse"), strict=True):
        rejects(route, stage, of=3)
    wait(page, lambda: "parse" in left_out(page, 1))
    assert left_out(page, 1) == ["parse"] * 3
