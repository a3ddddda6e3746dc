"""The reader's page under a reader's hand: guesses, drawing, readout by mouse, finger and keys, sliders and pins."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlparse

import pytest

from tests.browser.test_pages import FIND_CUT, visit

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

pytestmark = [pytest.mark.browser, pytest.mark.slow]
CURVES = "[id='lr-ablation-against-schedule']"


def open_all(page: Page) -> None:
    page.evaluate("document.querySelectorAll('details').forEach((e) => (e.open = true))")


def shown_svg(figure: Locator) -> Locator:
    return figure.locator("svg.gx:visible").first


def point_at(figure: Locator, share: float) -> tuple[float, float]:
    """The place on the screen at a share of the panel's width, in the middle of its height."""
    x, y = figure.evaluate(
        """(figure, share) => {
          const svg = [...figure.querySelectorAll("svg.gx")].find((one) => one.getBoundingClientRect().height);
          const { box } = JSON.parse(svg.querySelector("[data-plot]").dataset.plot);
          const frame = svg.getBoundingClientRect(), scale = frame.width / svg.viewBox.baseVal.width;
          return [frame.left + scale * (box[0] + share * (box[1] - box[0])), frame.top + scale * (box[2] + box[3]) / 2];
        }""",
        share,
    )
    return x, y


def test_a_guess_stands_beside_the_measured_value(browser: Browser, lesson_page: str) -> None:
    """Answers are closed at first; a typed guess opens its answer and is compared, a chosen arm too."""
    with visit(browser, lesson_page, "light", 1280) as (page, complaints):
        assert not page.locator("main details[open]").count()
        assert not page.locator("#initial-loss-initial-loss, #trace").first.is_visible()
        form = page.locator("#first-loss form.guess")
        form.locator("button").click()
        assert "Type a number first" in form.inner_text()
        form.locator("input").fill("9,5")
        form.locator("input").press("Enter")
        measured = float(form.get_attribute("data-value") or "nan")
        said = form.locator("output").inner_text()
        assert said.startswith("You said 9.5. It is 10.8")
        assert f"You are {abs(9.5 - measured):.2f}".rstrip("0") in said
        assert page.locator("#first-loss figure").first.is_visible()
        tokens = page.locator("#tokens form.guess")
        tokens.locator("input").fill("6")
        tokens.locator("button").click()
        assert tokens.locator("output").inner_text() == "You said 6. It is 5. You are 1 off."
        choice = page.locator("#moving-rate form.guess")
        choice.get_by_label("constant 1e-5").check()
        choice.locator("button").click()
        assert re.match(r"You said constant 1e-5\. (The lowest is|That is)", choice.locator("output").inner_text())
        assert complaints == []


def test_a_figure_answers_mouse_and_keys(browser: Browser, lesson_page: str) -> None:
    """A step under the mouse or the arrow keys has loss, perplexity and run of each arm; arms go off and on."""
    with visit(browser, lesson_page, "light", 1280) as (page, complaints):
        open_all(page)
        figure = page.locator(CURVES)
        figure.scroll_into_view_if_needed()
        page.mouse.move(*point_at(figure, 0.5))
        read = figure.locator(".read")
        step = int(re.search(r"Step (\d+)", read.inner_text())[1])  # type: ignore[index]
        assert abs(step - 60) <= 1
        assert read.locator("li").count() == 4
        assert re.search(r"train loss \d\.\d\d, perplexity \d", read.inner_text())
        assert (read.locator("a").first.get_attribute("href") or "").startswith("evidence.html#run-")
        slider = figure.locator("input[type=range]")
        slider.focus()
        page.keyboard.press("ArrowRight")
        assert f"Step {step + 1}" in read.inner_text()
        assert "train loss" in (slider.get_attribute("aria-valuetext") or "")
        for key, end in (("Home", "0"), ("End", slider.get_attribute("max"))):
            page.keyboard.press(key)
            assert f"Step {end}," in read.inner_text()
            assert read.locator("li").all_inner_texts()[-1].count("train loss") == 1
        toggle = figure.locator("button[aria-pressed]").first
        toggle.click()
        assert toggle.get_attribute("aria-pressed") == "false"
        assert read.locator("li").count() == 3
        assert shown_svg(figure).locator(".off").count() >= 3
        toggle.click()
        assert read.locator("li").count() == 4
        drawn = shown_svg(figure).locator("[data-role=train] path").first
        before = drawn.get_attribute("d")
        figure.locator("select").select_option("all")
        assert drawn.get_attribute("d") != before
        figure.locator("select").select_option("drawn")
        assert drawn.get_attribute("d") == before
        assert complaints == []


def test_the_readout_is_what_was_recorded(browser: Browser, lesson_page: str) -> None:
    """At an evaluated step the val loss that is read off the drawing is that of the figure's data, to a hundredth."""
    folder = Path(unquote(urlparse(lesson_page).path)).parent
    with (folder / "figures" / "lr-ablation-against-schedule.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["arm"] == "constant-1e-5" and row["val_loss"]]
    middle = rows[len(rows) // 2]
    with visit(browser, lesson_page, "light", 1280) as (page, _):
        open_all(page)
        figure = page.locator(CURVES)
        figure.locator("input[type=range]").fill(middle["step"])
        line = figure.locator(".read li", has_text="constant 1e-5").inner_text()
        found = re.search(r"val loss ([\d.]+) \(step ([\d,]+)\)", line)
        assert found is not None
        assert found[2].replace(",", "") == middle["step"]
        assert float(found[1]) == pytest.approx(float(middle["val_loss"]), abs=0.011)


def test_a_finger_reads_and_draws(browser: Browser, lesson_page: str) -> None:
    """On a touch screen a tap reads a step, and a finger's line stays among the runs that it is compared with."""
    context = browser.new_context(viewport={"width": 360, "height": 780}, has_touch=True, is_mobile=True)
    page = context.new_page()
    page.goto(lesson_page)
    pad = page.locator(".pad")
    pad.scroll_into_view_if_needed()
    pad.evaluate("""(pad) => {
      const frame = pad.getBoundingClientRect();
      const send = (kind, x, y) => pad.dispatchEvent(new PointerEvent(kind, { pointerId: 1, pointerType: "touch",
        clientX: frame.left + x * frame.width, clientY: frame.top + y * frame.height, bubbles: true }));
      pad.setPointerCapture = () => {};
      send("pointerdown", 0.3, 0.4); send("pointermove", 0.5, 0.5); send("pointermove", 0.8, 0.7);
      send("pointerup", 0.8, 0.7);
    }""")
    assert (page.locator(".pad .hand:visible").get_attribute("d") or "").count("L") == 2
    page.get_by_role("button", name="Show the runs").tap()
    figure = page.locator(CURVES)
    assert figure.locator(".hand:visible").count() == 1
    figure.scroll_into_view_if_needed()
    page.touchscreen.tap(*point_at(figure, 0.25))
    assert abs(int(re.search(r"Step (\d+)", figure.locator(".read").inner_text())[1]) - 30) <= 2  # type: ignore[index]
    context.close()


def test_the_line_can_be_drawn_with_keys(browser: Browser, lesson_page: str) -> None:
    """Arrow keys move the pen and draw; starting again leaves nothing."""
    with visit(browser, lesson_page, "light", 1280) as (page, _):
        page.locator(".pad").focus()
        for key in ("ArrowRight", "ArrowDown", "ArrowRight", "ArrowRight"):
            page.keyboard.press(key)
        assert (page.locator(".pad .hand:visible").get_attribute("d") or "").count("L") == 3
        page.get_by_role("button", name="Start again").click()
        assert page.locator(".pad .hand").count() == 0


def test_tokens_schedule_and_pins(browser: Browser, lesson_page: str) -> None:
    """Stepping shows ids and positions from 0; sliders redraw the formula; a pin opens its whole text."""
    with visit(browser, lesson_page, "dark", 1280) as (page, complaints):
        open_all(page)
        tokens = page.locator("#trace")
        assert "At position 0 the model has seen “The” and must predict “·cat”, token #3797" in tokens.inner_text()
        tokens.get_by_role("button", name="Next").click()
        assert "At position 1" in tokens.locator(".read").inner_text()
        assert tokens.locator(".token.seen").count() == 2
        schedule = page.locator("[data-tool=schedule]")
        before = schedule.locator(".hand:visible").get_attribute("d")
        warmup = schedule.get_by_label("Warmup steps")
        warmup.focus()
        page.keyboard.press("ArrowRight")
        assert schedule.locator(".hand:visible").get_attribute("d") != before
        pins = page.locator("[data-tool=pins]")
        pins.get_by_role("button", name=re.compile("^1, step")).click()
        assert pins.locator(".opened pre").inner_text().strip()
        assert complaints == []


def test_the_slider_over_rates_shows_gaps_as_gaps(browser: Browser, lesson_page: str) -> None:
    """At a measured rate stand the measured losses; between two, that nothing was measured there."""
    folder = Path(unquote(urlparse(lesson_page).path)).parent
    rows = json.loads((folder / "figures" / "lr-ladder-lr-ladder.json").read_text())["rows"]
    wanted = {row["series"]: row["final_val_loss"] for row in rows if row["lr"] == 1e-3}
    with visit(browser, lesson_page, "light", 1280) as (page, complaints):
        open_all(page)
        figure = page.locator("[data-tool=rates]")
        slider, read = figure.locator("input[type=range]"), figure.locator(".read")
        slider.fill("8")
        assert read.inner_text() == f"1e-3: warmup {wanted['warmup']:.3f}, no warmup {wanted['no warmup']:.3f}."
        slider.focus()
        page.keyboard.press("ArrowRight")
        assert read.inner_text() == "Nothing was measured between 1e-3 and 1e-2."
        assert slider.get_attribute("aria-valuetext") == "Nothing was measured between 1e-3 and 1e-2"
        figure.scroll_into_view_if_needed()
        page.mouse.move(*point_at(figure, 0.97))
        assert read.inner_text().startswith("1e-2: ")
        assert complaints == []


@pytest.mark.parametrize("width", [320, 360, 1000, 1280])
def test_everything_open_fits(browser: Browser, lesson_page: str, width: int) -> None:
    """With all answers open nothing is cut or wider than the page; from 1000 px on no line of code scrolls."""
    with visit(browser, lesson_page, "light", width) as (page, complaints):
        open_all(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(FIND_CUT) == []
        if width >= 1000 or width <= 360:
            wide = "[...document.querySelectorAll('.lines')].filter((e) => e.scrollWidth > e.clientWidth + 1).length"
            assert page.evaluate(wide) == 0
        assert complaints == []


def test_no_request_leaves_the_page(browser: Browser, lesson_page: str) -> None:
    """Open, used and printed, the page asks for nothing but itself."""
    page = browser.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(lesson_page)
    open_all(page)
    page.emulate_media(media="print")
    assert asked == [lesson_page]
    page.close()


def test_without_scripts_and_in_print_the_answers_are_there(browser: Browser, lesson_page: str) -> None:
    """Without scripts no empty control shows and answers open; on paper they are open already."""
    context = browser.new_context(java_script_enabled=False, viewport={"width": 1000, "height": 800})
    page = context.new_page()
    page.goto(lesson_page)
    assert not page.locator("form.guess, .draw").first.is_visible()
    page.locator("#tokens summary").click()
    assert page.locator("#trace table").is_visible()
    page.emulate_media(media="print")
    assert page.locator("#initial-loss-initial-loss").bounding_box() is not None
    context.close()
