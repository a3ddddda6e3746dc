"""The watched page in a real browser."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from gptexp.report.watch import PageServer
from tests.browser.conftest import ARTIFACTS
from tests.report.lesson_runs import lesson_runs
from tests.report.synthetic import write_runs
from tests.report.test_watch import watch

if TYPE_CHECKING:
    from playwright.sync_api import Browser


def test_the_page_is_replaced_where_it_was_scrolled_to(browser: Browser, tmp_path: Path) -> None:
    """The line above names what is running; new records bring a new page at the same place, without an error."""
    runs = lesson_runs()[:2]
    write_runs(tmp_path / "runs", runs[:1])
    folder = next(path for path in (tmp_path / "runs").iterdir() if path.is_dir())
    (folder / "result.json").unlink()
    watcher = watch(tmp_path / "runs")
    watcher.look()
    with PageServer(("127.0.0.1", 0), watcher) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page = browser.new_page(viewport={"width": 1000, "height": 700})
        problems: list[str] = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
        page.goto(server.url)
        page.wait_for_function("version === 1 && frame.contentWindow.document.querySelector('h1')")
        assert "step" in page.inner_text("#bar")
        page.evaluate("frame.contentWindow.scrollTo(0, 300)")
        write_runs(tmp_path / "runs", runs[1:])
        watcher.look()
        page.wait_for_function("version === 2 && frame.getAttribute('style') === null", timeout=20_000)
        assert page.evaluate("frame.contentWindow.scrollY") == 300
        assert page.locator("iframe").count() == 1
        page.screenshot(path=ARTIFACTS / "watch.png")
        server.shutdown()
        server.server_close()
        page.wait_for_function("document.getElementById('bar').textContent.includes('has ended')", timeout=20_000)
        page.close()
    assert [text for text in problems if "ERR_CONNECTION" not in text] == []
