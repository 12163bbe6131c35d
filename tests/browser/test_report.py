"""Open the report in a real browser. Run it with ``make test-browser``; without a Chromium the tests are skipped.

``REPORT=path`` opens that report instead, and saves the screenshots in docs/pictures.
"""

from __future__ import annotations

import json
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

FORMATS = {
    "category": ["people", "animals", "food"],
    "listing": [
        json.dumps({"subject": subject, "place": place, "colours": ["red", subject], "people": people, "mood": "calm"})
        for people, (subject, place) in enumerate([("two children", "city"), ("dog", "indoors"), ("boats", "studio")])
    ],
    "alt_text": [
        "A brown dog runs along a sandy beach at dusk, chasing a red ball.",
        "Two children, seen from behind, sit on a low wall and look out over the harbour.",
        "A bowl of ripe tomatoes stands on a wooden kitchen table in bright morning light.",
    ],
}
"""Texts of the answers, keyed by the prompt of samples/prompts that asks for them."""

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
    names = [f"photo {number}.jpg" for number in range(100)]
    return write_report(folder, names, *write_answers(folder, names))


@pytest.fixture(scope="module", params=FORMATS)
def report_of_format(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the path of a report of 30 images in each answer format."""
    prompt, texts = request.param, FORMATS[request.param]
    folder = tmp_path_factory.mktemp("report")
    names = [f"photo {number}.jpg" for number in range(30)]
    arguments = ["--prompt", prompt]
    for role, wrong in (("teacher", 0), ("student", 7), ("base", 2), ("ceiling", 15)):
        lines = [
            {"image": name, "text": texts[(number + bool(wrong and number % wrong == 0)) % len(texts)]}
            for number, name in enumerate(names)
        ]
        # An answer that is not valid has a card of its own.
        lines[3] |= {} if role == "teacher" else {"text": "Sorry, I cannot help with this image."}
        path = folder / f"{role}.jsonl"
        path.write_text("\n".join(map(json.dumps, lines)), "utf-8")
        arguments += [f"--{role}", str(path)]
    return write_report(folder, names, *arguments)


def write_report(folder: Path, names: list[str], *arguments: str) -> Path:
    """Run ``distill evaluate`` on files of answers about photos with these names, and return the report."""
    generator = random.Random(6)
    images = folder / "images"
    images.mkdir()
    for name in names:
        shutil.copy(generator.choice(PHOTOS), images / name)
    result = distill("evaluate", *arguments, "--images", images, "--out", folder / "out")
    assert result.exit_code == 0, result.output
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


@pytest.mark.parametrize("screen", SCREENS)
def test_page_of_each_format_is_accessible_without_errors_and_not_wider_than_the_screen(
    browser: Browser, report_of_format: Path, problems: list[str], screen: str
) -> None:
    page = open_page(browser, report_of_format, problems, screen)
    page.evaluate("document.querySelectorAll('details').forEach(details => details.open = true)")
    page.evaluate(AXE.read_text("utf-8"))
    violations = page.evaluate("axe.run().then(result => result.violations.map(v => [v.id, v.nodes[0].html]))")

    assert violations == []
    assert problems == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    # The gallery hides what is wider than a card.
    assert page.evaluate("[...document.querySelectorAll('.card')].every(card => card.scrollWidth <= card.clientWidth)")
    assert page.locator(".card mark").count() > 0


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
