"""A real Chromium, found where the system or Playwright keeps one; without it these tests are skipped."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gptexp.report.build import build_report
from tests.report.lesson_runs import lesson_runs
from tests.report.synthetic import Run, write_runs

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ARTIFACTS = Path(__file__).parent / "artifacts"
"""Screenshots of the last run, kept to be looked at."""


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed (pip install -e '.[dev]')")
    system = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    with api.sync_playwright() as playwright:
        found = system or playwright.chromium.executable_path
        if not Path(found).exists():
            pytest.skip("no Chromium: install Debian's chromium, or run `playwright install chromium`")
        # A container's root has no sandbox to give.
        running = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield running
        running.close()


def ladder() -> list[Run]:
    """Four rates, with and without a warmup."""
    return [
        Run(
            f"{name}-{rate}",
            f"{rate}, {words}",
            1,
            {"lr": float(rate), "warmup_steps": steps, "schedule": "warmup-cosine"},
            floor,
            study="lr-ladder",
        )
        for name, words, steps in (("warmup", "warmup", 2), ("cold", "no warmup", 0))
        for rate, floor in (("1e-5", 3.4), ("1e-4", 3.0), ("1e-3", 2.5), ("1e-2", 2.6 if steps else 2.9))
    ]


@pytest.fixture(scope="session")
def lesson_page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of the lesson's page for readers over made-up runs, one of them diverged."""
    folder = tmp_path_factory.mktemp("lesson")
    runs = [*lesson_runs(), *ladder()]
    runs[0].diverge_at = 80
    write_runs(folder / "runs", runs)
    return build_report("lesson", runs_dir=folder / "runs", out=folder / "out").page.resolve().as_uri()


@pytest.fixture(scope="session")
def evidence_page(lesson_page: str) -> str:
    """The address of the evidence behind the lesson's page."""
    return lesson_page.replace("index.html", "evidence.html")


@pytest.fixture(scope="session")
def study_page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of the default report over the same runs."""
    folder = tmp_path_factory.mktemp("study")
    write_runs(folder / "runs", lesson_runs())
    return build_report(None, runs_dir=folder / "runs", out=folder / "out").page.resolve().as_uri()
