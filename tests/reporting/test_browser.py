"""The report in a real browser: nothing is run, nothing is fetched, nothing sticks out, day and night, wide and narrow."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
VIEWS = {
    "wide, light": (1200, "light"),
    "wide, dark": (1200, "dark"),
    "phone": (360, "light"),
    "phone, dark": (360, "dark"),
}


@pytest.fixture(scope="session")  # as the page, so that where there is none no page is made
def browser() -> Iterator[Any]:
    """Chromium without a window."""
    if CHROMIUM is None:
        pytest.skip("NOT RUN: no chromium is installed (apt-get install chromium)")
    api = pytest.importorskip("playwright.sync_api", reason="NOT RUN: playwright is not installed")
    with api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM)
        yield opened
        opened.close()


def brightness(color: str) -> float:
    """Of "rgb(1, 2, 3)", 0 to 255."""
    return sum(map(int, re.findall(r"\d+", color)[:3])) / 3


@pytest.mark.parametrize("view", VIEWS)
def test_the_page_of_a_hostile_log(browser: Any, hostile_page: Path, view: str) -> None:
    width, scheme = VIEWS[view]
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: said.append("a dialog"))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(hostile_page.as_uri())
    for figure in page.locator("figure").all():
        figure.scroll_into_view_if_needed()
    assert said == []
    assert asked == [hostile_page.as_uri()]
    assert page.evaluate("window.attacked") is None
    assert page.title() == "Recommender report"
    assert page.locator("script, iframe, img, bdi *").count() == 0
    text = page.inner_text("body")
    for title in ("<script>window.attacked = 1", "<img src=x onerror=", "{{ 7 * 7 }}", "שלום עולם", "東京物語"):
        assert title in text, title

    assert page.evaluate("document.documentElement.scrollWidth") <= width
    # What is wider scrolls in its own box; everything else ends where the page ends.
    outside = """(width) => [...document.querySelectorAll('body *')].filter(e => !e.closest('.scroll, svg')
        && e.getBoundingClientRect().right > width + 1).map(e => e.outerHTML.slice(0, 200))"""
    assert page.evaluate(outside, width) == []

    color = "(selector) => getComputedStyle(document.querySelector(selector)).%s"
    paper = brightness(page.evaluate(color % "backgroundColor", "body"))
    for selector in ("body", ".soft", "figcaption", "svg text"):
        ink = brightness(page.evaluate(color % ("fill" if "svg" in selector else "color"), selector))
        assert ink - paper > 80 if scheme == "dark" else paper - ink > 80, selector
    page.close()


def test_it_prints_and_needs_no_script(browser: Any, hostile_page: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(hostile_page.as_uri())
    assert page.locator("article").count() == 10
    assert page.locator("svg").first.bounding_box()["height"] > 100
    pages = len(re.findall(rb"/Type\s*/Page\b", page.pdf(format="A4")))
    assert 4 <= pages <= 25
    context.close()
