"""The page in headless Chromium: what lights, what is counted, what a link reopens."""

from __future__ import annotations

import shutil

import browse_made
import pytest
from browse_driven import WAIT, go, serve, until

from pipeline.tables import dataset


@pytest.fixture(scope="module")
def patch_words(data):
    """Rows of the table by phrase."""
    return {row["phrase_id"]: row for row in dataset.read(data / "patch_words").to_pylist()}


def word(page, text):
    return page.locator(".captions .word", has_text=text).first


def lit(page, stage=0):
    """Patches that are lit in a stage, with their coverage."""
    rects = page.locator(".stage").nth(stage).locator(".patches rect")
    return dict(rects.evaluate_all("all => all.map(r => [+r.dataset.patch, +r.dataset.coverage])"))


def expected(row):
    return {
        patch: pytest.approx(value, abs=1e-6)
        for patch, value in zip(row["patches"], row["coverage"], strict=True)
    }


def counts(page):
    page.wait_for_selector("#counts")
    found = page.locator("#counts")
    return int(found.get_attribute("data-images")), int(found.get_attribute("data-rows"))


def test_pointing_at_a_word_lights_its_patches_and_leaving_it_puts_them_out(page, patch_words):
    go(page, image="two")
    for text, phrase_id in (("red", "two/c0/p0"), ("blue", "two/c0/p1")):
        word(page, text).hover()
        assert lit(page) == expected(patch_words[phrase_id])
    page.mouse.move(5, 5)
    assert lit(page) == {}


def test_focusing_a_word_by_keyboard_lights_its_patches(page, patch_words):
    go(page, image="two")
    word(page, "red").wait_for()
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent") == "blue":
            break
    assert lit(page) == expected(patch_words["two/c0/p1"])


def test_lit_patches_lie_where_the_object_is(page):
    """The blue cup of image ``two`` covers pixels 40 to 60 across and 14 to 38 down: patches of 8 x 8."""
    go(page, image="two")
    word(page, "blue").hover()
    boxes = page.locator(".stage .patches rect").evaluate_all(
        "all => all.map(r => ['x', 'y', 'width', 'height'].map(n => +r.getAttribute(n)))"
    )
    assert min(x for x, *_ in boxes) == 40 and max(x + w for x, _, w, _ in boxes) == 64
    assert min(y for _, y, *_ in boxes) == 8 and max(y + h for _, y, _, h in boxes) == 40


def test_a_word_that_is_on_no_patch_says_why(page):
    go(page, image="two")
    word(page, "table").hover()
    assert lit(page) == {}
    assert "nothing was found" in page.locator(".readout").inner_text()


def test_a_patch_lists_its_words_and_leads_to_the_caption_s_characters(page, data, patch_words):
    go(page, image="two")
    row = patch_words["two/c0/p0"]
    patch = row["patches"][row["coverage"].index(max(row["coverage"]))]
    page.locator(".stage svg image").first.wait_for()
    hit = page.locator(".stage .hit")
    side = hit.bounding_box()["width"] / 8
    hit.click(position={"x": (patch % 8 + 0.5) * side, "y": (patch // 8 + 0.5) * side})
    page.locator("#patch").wait_for()
    listed = page.locator("#patch [data-phrase]").evaluate_all("all => all.map(each => each.dataset.phrase)")
    assert listed == [
        name for name, each in patch_words.items() if each["image_id"] == "two" and patch in each["patches"]
    ]
    page.locator("#patch [data-phrase]").first.click()
    page.locator("#lineage").wait_for()
    phrase = next(p for p in dataset.read(data / "phrases").to_pylist() if p["phrase_id"] == listed[0])
    caption = next(
        c for c in dataset.read(data / "captions").to_pylist() if c["caption_id"] == phrase["caption_id"]
    )
    characters = page.locator("#characters")
    assert characters.get_attribute("data-start") == str(phrase["start"])
    assert characters.get_attribute("data-end") == str(phrase["end"])
    assert page.locator("#cited mark").inner_text() == caption["text"][phrase["start"] : phrase["end"]]
    assert page.locator("#cited").inner_text() == caption["text"]
    assert row["region_ids"][0] in page.locator("#lineage").inner_text()


def test_filters_give_the_table_s_counts(page, patch_words):
    go(page)
    assert counts(page) == (6, len(patch_words))
    page.locator("label.choice", has_text="train").click()
    page.wait_for_selector("#counts[data-images='3']")
    page.locator("#word").fill("red")
    page.keyboard.press("Enter")
    page.wait_for_selector("#counts[data-rows='3']")
    page.locator("#where").fill("score >= 0.3")
    page.keyboard.press("Enter")
    page.wait_for_selector("#counts[data-images='2']")
    chosen = [
        row
        for row in patch_words.values()
        if row["split"] == "train" and row["score"] >= 0.3 and any(w["lemma"] == "red" for w in row["words"])
    ]
    assert counts(page) == (len({row["image_id"] for row in chosen}), len(chosen))
    assert page.locator(".card a[data-number]").count() == 2
    page.locator(".chips button", has_text="split").click()
    page.wait_for_selector("#counts[data-images='5']")


def test_a_filter_with_a_typo_names_the_columns(page):
    go(page, where="scroe < 0.3")
    page.locator("#where-told:not(:empty)").wait_for()
    told = page.locator("#where-told").inner_text()
    assert "scroe" in told and "score" in told and "annotator" in told


def test_a_link_reopens_the_same_view(browser, page, address, patch_words):
    go(page, split="test", word="cup")
    page.locator(".card a", has_text="dir/five six").click()
    word(page, "blue").click()
    page.locator("#lineage").wait_for()
    page.locator(".stage svg").focus()
    for key in ("ArrowRight", "ArrowDown", "ArrowDown", "ArrowRight", "Enter"):
        page.keyboard.press(key)
    page.locator("#patch").wait_for()
    shown = page.locator("#scene").inner_text()
    page.mouse.move(2, 2)
    link, patches = page.url, lit(page)
    assert patches == expected(patch_words["dir/five six/c0/p1"])
    other = browser.new_context(viewport={"width": 1280, "height": 800})
    again = other.new_page()
    again.set_default_timeout(WAIT)
    again.goto(link)
    again.locator("#patch").wait_for()
    again.locator(".maps img").first.wait_for()
    assert lit(again) == patches
    assert again.locator("#patch h2").inner_text() == page.locator("#patch h2").inner_text()
    assert again.locator("#lineage").inner_text() == page.locator("#lineage").inner_text()
    assert "1 of 2" in shown and "1 of 2" in again.locator(".steps").inner_text()
    other.close()


def test_keys_go_from_the_gallery_into_an_image_and_back(page):
    go(page)
    page.locator(".card a").nth(5).wait_for()
    page.locator(".card a").first.focus()
    page.keyboard.press("ArrowRight")
    until(page, "document.activeElement.dataset.number === '1'")
    page.keyboard.press("Enter")
    page.locator("#scene h1", has_text="two").wait_for()
    page.keyboard.press("ArrowRight")
    page.locator("#scene h1", has_text="three").wait_for()
    word(page, "red").click()
    page.locator("#lineage").wait_for()
    page.keyboard.press("Escape")
    page.locator("#lineage").wait_for(state="detached")
    page.keyboard.press("Escape")
    page.locator("#counts").wait_for()
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "where"


def test_annotators_stand_side_by_side_and_light_together(page, patch_words):
    go(page, image="one")
    word(page, "red").hover()
    assert page.locator(".stage").count() == 3
    both, owl, dino = (set(lit(page, number)) for number in range(3))
    assert both == set(patch_words["one/c0/p0"]["patches"]) == owl | dino
    assert owl and dino and owl != dino


def test_both_arms_maps_are_shown_for_a_phrase_that_has_them(page):
    go(page, image="last", phrase="last/c0/p0")
    page.locator(".maps figure").nth(3).wait_for()
    names = page.locator(".maps figure").evaluate_all("all => all.map(each => each.dataset.map)")
    assert names == [
        "caption/similarity_maps", "patch_aligned/similarity_maps",
        "caption/similarity_maps_finetuned", "patch_aligned/similarity_maps_finetuned",
    ]  # fmt: skip
    page.locator(".maps img").last.scroll_into_view_if_needed()
    until(page, "[...document.querySelectorAll('.maps img')].every(i => i.naturalWidth > 300)")


def test_what_is_filtered_by_is_written_as_it_was_typed(page):
    go(page, where="phrase_id = 'two/c0/p0'", rejects="ground/not_found")
    page.locator(".chips button").nth(1).wait_for()
    chips = [text.rstrip("×").strip() for text in page.locator(".chips button").all_inner_texts()]
    assert chips == ["filter: phrase_id = 'two/c0/p0'", "left out: ground/not found"]


def test_a_phone_s_width_needs_no_scrolling_sideways(browser, address):
    context = browser.new_context(viewport={"width": 360, "height": 740}, base_url=address)
    page = context.new_page()
    page.set_default_timeout(WAIT)
    for state in (
        {},
        {"image": "one", "phrase": "one/c0/p0", "patch": "8"},
        {"view": "left-out"},
        {"view": "tables"},
    ):
        go(page, **state)
        page.wait_for_load_state("networkidle")
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, state
    context.close()


def test_an_image_that_was_moved_away_says_what_is_missing(browser, data, tmp_path):
    shutil.copytree(data, tmp_path / "data")
    found, running, thread = serve(tmp_path / "data")  # there is no raw folder beside this copy
    page = browser.new_page(base_url=found)
    page.set_default_timeout(WAIT)
    try:
        go(page, image="last")
        page.locator(".stage .missing").wait_for()
        assert browse_made.FILE in page.locator(".stage .missing").inner_text()
        assert "A red cup" in page.locator(".captions").inner_text()
        go(page, split="test")
        page.locator(".card .missing").wait_for()
    finally:
        page.close()
        running.should_exit = True
        thread.join(timeout=10)


def test_many_images_scroll_without_all_being_loaded(browser, tmp_path):
    many = 1500
    found, running, thread = serve(browse_made.make(tmp_path, many))
    page = browser.new_page(base_url=found, viewport={"width": 1280, "height": 800})
    page.set_default_timeout(WAIT)
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    try:
        go(page)
        page.locator(".card a").nth(10).wait_for()
        assert counts(page)[0] == many
        page.evaluate("scrollTo(0, document.body.scrollHeight)")
        page.locator(f".card a[data-number='{many - 1}']").wait_for()
        assert page.locator(".card").count() < 80
        assert sum("/api/gallery" in url for url in asked) <= 4
        assert sum("/picture/thumbnail" in url for url in asked) < 160
        until(page, "Number(new URLSearchParams(location.search).get('at')) > 1400")
        again = browser.new_page(viewport={"width": 1280, "height": 800})
        again.set_default_timeout(WAIT)
        again.goto(page.url)
        again.locator(f".card a[data-number='{many - 1}']").wait_for()
        again.close()
    finally:
        page.close()
        running.should_exit = True
        thread.join(timeout=10)
