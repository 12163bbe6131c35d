"""Open the report in a real browser. Run it with ``make test-browser``; without a Chromium the tests are skipped.

``REPORT=path`` opens that report instead, and saves the screenshots in docs/pictures.
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

from tests.cli.test_evaluate import PHOTOS, write_answers
from tests.support.command import distill

ROOT = Path(__file__).parents[2]
AXE = ROOT / "node_modules/axe-core/axe.min.js"
CHROMIUM = os.environ.get("CHROMIUM", "")
CHROMIUM_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
SCREENS: dict[str, dict[str, Any]] = {
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
    """Return the path of a report of 100 images by ``distill evaluate``, or ``REPORT`` if that is set."""
    if path := os.environ.get("REPORT"):
        return Path(path).resolve()
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
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def problems() -> list[str]:
    """Console messages, script errors and requests to other hosts."""
    return []


def open_page(browser: Browser, report: Path, problems: list[str], screen: str) -> Page:
    page = browser.new_page(**SCREENS[screen])
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda request: problems.append(request.url) if _is_remote(request.url) else None)
    page.goto(report.as_uri())
    return page


def _is_remote(url: str) -> bool:
    return not url.startswith(("file:", "data:"))


def test_report_of_100_images_is_smaller_than_3_mb(report: Path) -> None:
    assert report.stat().st_size < 3_000_000


@pytest.mark.parametrize("screen", SCREENS)
def test_page_is_accessible_without_errors_and_not_wider_than_the_screen(
    browser: Browser, report: Path, problems: list[str], screen: str
) -> None:
    page = open_page(browser, report, problems, screen)
    # The page's content security policy blocks script elements, so axe-core is evaluated directly.
    page.evaluate(AXE.read_text("utf-8"))
    violations = page.evaluate("axe.run().then(result => result.violations.map(v => [v.id, v.nodes[0].html]))")

    assert violations == []
    assert problems == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_gallery_is_sorted_by_keyboard_and_announces_the_order(
    browser: Browser, report: Path, problems: list[str]
) -> None:
    page = open_page(browser, report, problems, "light")
    gains = "[...document.querySelectorAll('#gallery > li')].map(card => +card.dataset.gain)"
    first = page.evaluate(gains)
    page.focus("#order")
    page.keyboard.press("ArrowDown")
    second = page.evaluate(gains)

    assert first == sorted(first, reverse=True)
    assert second == sorted(second)
    assert first[0] > first[-1]
    assert page.inner_text("#sorted") == "Sorted by gain, smallest first."
    assert problems == []


def test_tables_sort_order_and_details_can_be_reached_by_keyboard(
    browser: Browser, report: Path, problems: list[str]
) -> None:
    page = open_page(browser, report, problems, "light")
    reached = set()
    for _ in range(12):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.tagName"))

    assert {"DIV", "SELECT", "SUMMARY"} <= reached


def test_screenshots_are_taken_on_every_screen_and_in_print(
    browser: Browser, report: Path, problems: list[str], tmp_path: Path
) -> None:
    folder = ROOT / "docs/pictures" if "REPORT" in os.environ else tmp_path
    folder.mkdir(exist_ok=True)
    for screen in SCREENS:
        page = open_page(browser, report, problems, screen)
        page.screenshot(path=folder / f"report-{screen}.png")
    page = browser.new_page(viewport={"width": 794, "height": 1123})
    page.emulate_media(media="print")
    page.goto(report.as_uri())
    page.screenshot(path=folder / "report-print.png")
    pdf = page.pdf(format="A4")

    assert pdf.startswith(b"%PDF")
    assert all(path.stat().st_size < 400_000 for path in folder.glob("report-*.png"))
