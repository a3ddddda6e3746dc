"""The pages in a real browser: light and dark, phone and desk, keyboard and print."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

import pytest

from tests.browser.conftest import ARTIFACTS

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.browser, pytest.mark.slow]
Scheme = Literal["light", "dark"]
VIEWS: list[tuple[Scheme, int]] = [("light", 320), ("dark", 320), ("light", 1280), ("dark", 1280)]

FIND_CUT = """() => {
  const inside = (e) => e.closest(".scroll, .lines, pre, svg");
  const wide = [...document.querySelectorAll("body *")].filter((e) => {
    const box = e.getBoundingClientRect();
    return box.width && (box.right > innerWidth + 1 || box.left < -1) && !inside(e);
  });
  const texts = [...document.querySelectorAll("svg text")].filter((e) => {
    const box = e.getBoundingClientRect(), frame = e.ownerSVGElement.getBoundingClientRect();
    const off = box.right > frame.right + 2 || box.left < frame.left - 2;
    return frame.width && (off || box.bottom > frame.bottom + 2 || box.top < frame.top - 2);
  });
  return [...wide.map((e) => e.outerHTML.slice(0, 120)), ...texts.map((e) => "text " + e.textContent)];
}"""
COUNT_SHOWN = """() => [...document.querySelectorAll("figure.block")].map((figure) => {
  const shown = [...figure.querySelectorAll("svg.gx")].filter((svg) => svg.getBoundingClientRect().height > 60);
  return [figure.id, shown.length];
})"""


@contextmanager
def visit(browser: Browser, address: str, scheme: Scheme, width: int) -> Iterator[tuple[Page, list[str]]]:
    """A page at an address, and what its console complained of."""
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    complaints: list[str] = []
    # A busy machine takes its time to draw.
    page.set_default_timeout(120_000)
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(address)
    yield page, complaints
    page.close()


@pytest.mark.parametrize(("scheme", "width"), VIEWS)
def test_nothing_is_cut_and_every_figure_shows(
    browser: Browser, evidence_page: str, scheme: Scheme, width: int
) -> None:
    """No console error, no sideways scroll, no text beyond its figure, and of each figure the one fitting version."""
    ARTIFACTS.mkdir(exist_ok=True)
    with visit(browser, evidence_page, scheme, width) as (page, complaints):
        page.screenshot(path=ARTIFACTS / f"evidence-{scheme}-{width}.png", full_page=True)
        for number, section in enumerate(page.query_selector_all("main > section")):
            # A picture of an element would wait until it stands still in two frames, which a busy machine may not draw.
            path = ARTIFACTS / f"evidence-{scheme}-{width}-{number:02d}.png"
            page.screenshot(path=path, full_page=True, clip=section.bounding_box())
        assert complaints == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(FIND_CUT) == []
        shown = page.evaluate(COUNT_SHOWN)
        assert len(shown) > 10
        assert [figure for figure, count in shown if count != 1] == []


@pytest.mark.parametrize(("scheme", "width"), VIEWS)
@pytest.mark.parametrize("name", ["index.html", "evidence.html"])
def test_axe_finds_nothing_serious(browser: Browser, evidence_page: str, scheme: Scheme, width: int, name: str) -> None:
    """axe-core reports no serious or critical violation on either page, with all questions open."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    with visit(browser, evidence_page.replace("evidence.html", name), scheme, width) as (page, _):
        page.evaluate("document.querySelectorAll('details').forEach((e) => (e.open = true))")
        response = axe.Axe().run(page).response
        assert response["passes"]
        serious = [
            (found["id"], [node["target"] for node in found["nodes"][:3]])
            for found in response["violations"]
            if found["impact"] in ("serious", "critical")
        ]
        assert serious == []


def test_questions_open_with_the_keyboard(browser: Browser, evidence_page: str) -> None:
    """Tab reaches every question; Enter opens its answer, which quotes numbers; Space closes it."""
    with visit(browser, evidence_page, "light", 1280) as (page, _):
        summary = page.locator("details.question summary").nth(1)
        summary.focus()
        answer = page.locator("details.question").nth(1).locator("p").first
        assert not answer.is_visible()
        page.keyboard.press("Enter")
        assert answer.is_visible()
        assert page.locator("details.question").nth(1).locator(".quote").count() > 3
        page.keyboard.press("Space")
        assert not answer.is_visible()
        reached = page.evaluate("[...document.querySelectorAll('summary')].every((e) => e.tabIndex === 0)")
        assert reached


def test_the_theme_attribute_wins(browser: Browser, evidence_page: str) -> None:
    """data-theme on the root element turns page and figures, whatever the system prefers; print is on white."""
    paper = "getComputedStyle(document.querySelector('html')).backgroundColor"
    with visit(browser, evidence_page, "dark", 1280) as (page, _):
        dark = page.evaluate(paper)
        page.evaluate("document.documentElement.dataset.theme = 'light'")
        light = page.evaluate(paper)
        assert (dark, light) == ("rgb(20, 24, 28)", "rgb(255, 255, 254)")
        page.evaluate("document.documentElement.dataset.theme = 'dark'")
        assert page.evaluate(paper) == dark
        page.emulate_media(media="print")
        assert page.evaluate(paper) == light


def test_the_page_reads_without_script(browser: Browser, evidence_page: str) -> None:
    """With scripts off every chapter and figure is there, and a question still opens."""
    context = browser.new_context(java_script_enabled=False, viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.goto(evidence_page)
    assert page.locator("main > section").count() > 8
    page.locator("details.question summary").first.click()
    assert page.locator("details.question p").first.is_visible()
    context.close()


def test_a_number_leads_to_its_run(browser: Browser, evidence_page: str) -> None:
    """A click on a quoted number shows the row of its run."""
    with visit(browser, evidence_page, "light", 1280) as (page, _):
        page.locator("details.question summary").nth(1).click()
        quote = page.locator("details.question").nth(1).locator(".quote").first
        target = quote.get_attribute("href")
        quote.click()
        row = page.locator(f"[id='{(target or '#')[1:]}']")
        row.wait_for(state="visible")
        assert row.bounding_box() is not None


@pytest.mark.parametrize("width", [320, 1280])
def test_the_study_report_holds_too(browser: Browser, study_page: str, width: int) -> None:
    """The default report has no console error, no sideways scroll and nothing cut either."""
    with visit(browser, study_page, "light", width) as (page, complaints):
        page.screenshot(path=ARTIFACTS / f"study-{width}.png", full_page=True)
        assert complaints == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(FIND_CUT) == []


def test_the_policy_lets_the_page_work_and_nothing_else(browser: Browser, study_page: str) -> None:
    """A click sorts a table and colours are set; a script or an image that slipped into the page is refused."""
    with visit(browser, study_page, "dark", 1280) as (page, complaints):
        swatch = "getComputedStyle(document.querySelector('.swatch path')).stroke"
        assert page.evaluate(swatch) == "rgb(86, 180, 233)"
        table = page.locator("table.sortable").first
        column = (
            "[...document.querySelector('table.sortable').tBodies[0].rows].map((row) => row.cells[2].dataset.order)"
        )
        table.locator("thead button").nth(2).click()
        assert page.evaluate(column) == sorted(page.evaluate(column), key=float)
        table.locator("thead button").nth(2).click()
        assert page.evaluate(column) == sorted(page.evaluate(column), key=float, reverse=True)
        assert complaints == []
        page.evaluate(
            """() => {
              const script = document.createElement("script");
              script.textContent = "window.slipped = true";
              document.body.append(script);
              const button = document.createElement("button");
              button.setAttribute("onclick", "window.slipped = true");
              document.body.append(button);
              button.click();
              const image = document.createElement("img");
              image.src = "https://example.invalid/x.png";
              document.body.append(image);
            }"""
        )
        page.wait_for_timeout(100)
        assert page.evaluate("window.slipped") is None
        assert len([text for text in complaints if "Content Security Policy" in text]) == 3
