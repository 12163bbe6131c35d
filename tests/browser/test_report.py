"""The report in a real browser: ``make test-browser``, which names the Chromium; skipped without one.

``REPORT=path`` looks at that report instead, and keeps the pictures in docs/pictures.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.cli.test_evaluate_files import PHOTOS, write_answers
from tests.support.command import distill

ROOT = Path(__file__).parents[2]
AXE = ROOT / "node_modules/axe-core/axe.min.js"
CHROMIUM = os.environ.get("CHROMIUM", "")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"viewport": {"width": 1180, "height": 1500}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1180, "height": 1500}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "color_scheme": "light"},
}

pytestmark = [
    pytest.mark.skipif(not CHROMIUM, reason="opt-in: make test-browser, or CHROMIUM=path"),
    pytest.mark.skipif(not AXE.is_file(), reason="no axe-core: run make setup"),
]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a hundred images, by the operator's command; or one that REPORT names."""
    if named := os.environ.get("REPORT"):
        return Path(named).resolve()
    folder = tmp_path_factory.mktemp("report")
    generator = random.Random(6)
    images = folder / "images"
    images.mkdir()
    names = [f"photo {number}.jpg" for number in range(100)]
    for name in names:
        shutil.copy(generator.choice(PHOTOS), images / name)
    files = write_answers(folder, names)
    assert distill("evaluate", *files, "--images", images, "--out", folder / "out").exit_code == 0
    return folder / "out/report.html"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture
def complaints() -> list[str]:
    return []


def opened(browser: Browser, report: Path, complaints: list[str], look: str) -> Page:
    page = browser.new_page(**LOOKS[look])
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: complaints.append(request.url) if _outside(request.url) else None)
    page.goto(report.as_uri())
    return page


def _outside(url: str) -> bool:
    return not url.startswith(("file:", "data:"))


def test_report_of_a_hundred_images_stays_under_3_mb(report: Path) -> None:
    assert report.stat().st_size < 3_000_000


@pytest.mark.parametrize("look", LOOKS)
def test_page_is_quiet_accessible_and_never_wider_than_the_screen(
    browser: Browser, report: Path, complaints: list[str], look: str
) -> None:
    page = opened(browser, report, complaints, look)
    # The page's own policy forbids foreign scripts, so the checker comes in from outside it.
    page.evaluate(AXE.read_text("utf-8"))
    violations = page.evaluate("axe.run().then(result => result.violations.map(v => [v.id, v.nodes[0].html]))")

    assert violations == []
    assert complaints == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_gallery_sorts_by_keyboard_and_says_so(browser: Browser, report: Path, complaints: list[str]) -> None:
    page = opened(browser, report, complaints, "light")
    gains = "[...document.querySelectorAll('#gallery > li')].map(card => +card.dataset.gain)"
    first = page.evaluate(gains)
    page.focus("#order")
    page.keyboard.press("ArrowDown")
    then = page.evaluate(gains)

    assert first == sorted(first, reverse=True)
    assert then == sorted(then)
    assert first[0] > first[-1]
    assert page.inner_text("#sorted") == "Sorted by gain, least first."
    assert complaints == []


def test_keyboard_reaches_tables_order_and_details(browser: Browser, report: Path, complaints: list[str]) -> None:
    page = opened(browser, report, complaints, "light")
    reached = set()
    for _ in range(12):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.tagName"))

    assert {"DIV", "SELECT", "SUMMARY"} <= reached


def test_pictures_of_every_look_are_taken(
    browser: Browser, report: Path, complaints: list[str], tmp_path: Path
) -> None:
    folder = ROOT / "docs/pictures" if "REPORT" in os.environ else tmp_path
    folder.mkdir(exist_ok=True)
    for look in LOOKS:
        page = opened(browser, report, complaints, look)
        page.screenshot(path=folder / f"report-{look}.png")
    page = browser.new_page(viewport={"width": 794, "height": 1123})
    page.emulate_media(media="print")
    page.goto(report.as_uri())
    page.screenshot(path=folder / "report-print.png")
    pdf = page.pdf(format="A4")

    assert pdf.startswith(b"%PDF")
    assert all(path.stat().st_size < 400_000 for path in folder.glob("report-*.png"))
