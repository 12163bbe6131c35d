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
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.cli.test_evaluate import PHOTOS, write_answers
from tests.support.command import distill

ROOT = Path(__file__).parents[2]
AXE = ROOT / "node_modules/axe-core/axe.min.js"
CHROMIUM = os.environ.get("CHROMIUM", "")
CHROMIUM_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
SCREENS: dict[str, dict[str, Any]] = {
    "light": {"viewport": {"width": 1200, "height": 1500}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1200, "height": 1500}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "color_scheme": "light"},
    "wide": {"viewport": {"width": 1920, "height": 1080}, "color_scheme": "dark"},
}
FIRST = 48
"""Images that the gallery shows at first."""

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


@pytest.fixture
def page(browser: Browser, report: Path, problems: list[str]) -> Iterator[Page]:
    """Return the report on a light screen; the test fails if the page has a problem."""
    page = open_page(browser, report, problems, "light")
    yield page
    assert problems == []


@pytest.fixture(scope="module")
def large_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the path of a report of 500 images."""
    folder = tmp_path_factory.mktemp("large")
    names = [f"photo {number}.jpg" for number in range(500)]
    return write_report(folder, names, *write_answers(folder, names))


def shown(page: Page) -> list[dict[str, str]]:
    """Return the data of the cards that are shown, in their order."""
    return page.evaluate(
        "[...document.querySelectorAll('#gallery > li:not([hidden])')].map(card => ({...card.dataset}))"
    )


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


def test_gallery_is_sorted_by_keyboard_and_announces_the_order(page: Page) -> None:
    first = [float(card["gain"]) for card in shown(page)]
    page.focus("#order")
    page.keyboard.press("ArrowDown")
    second = [float(card["gain"]) for card in shown(page)]

    assert first == sorted(first, reverse=True)
    assert second == sorted(second)
    assert first[0] > first[-1]
    assert page.inner_text("#shown").endswith("sorted by gain, smallest first.")


def test_tables_controls_and_photos_can_be_reached_by_keyboard(page: Page) -> None:
    reached = set()
    for _ in range(20):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.className"))

    assert {"copy", "wide stacked", "search", "order", "photo", "more"} <= reached


def test_search_shows_the_images_with_every_word_in_name_or_answers(page: Page) -> None:
    page.fill("#search", "PHOTO 42.jpg")
    expect(page.locator("#shown")).to_contain_text("1 of 100 images shown")

    assert [card["name"] for card in shown(page)] == ["photo 42.jpg"]
    page.fill("#search", "no such words")
    expect(page.locator("#shown")).to_contain_text("0 of 100 images shown")
    assert not page.is_visible("#more")


@pytest.mark.parametrize("kind", ["gained", "lost", "invalid"])
def test_filter_shows_the_images_that_it_counts(page: Page, kind: str) -> None:
    button = page.locator(f"[data-filter={kind}]")
    button.click()
    page.evaluate(
        "while (!document.getElementById('more').parentElement.hidden) document.getElementById('more').click()"
    )
    cards = shown(page)

    assert button.get_attribute("aria-pressed") == "true"
    assert page.locator("[data-filter='']").get_attribute("aria-pressed") == "false"
    assert len(cards) == int(button.inner_text().split()[-1])
    assert all(kind in card["kinds"].split() for card in cards)


def test_more_images_are_shown_on_request_and_the_first_new_one_has_the_focus(page: Page) -> None:
    assert len(shown(page)) == FIRST
    page.click("#more")

    assert len(shown(page)) == 2 * FIRST
    assert page.evaluate("document.activeElement.closest('li').dataset.name") == shown(page)[FIRST]["name"]
    assert page.inner_text("#more") == "Show 4 more"


def test_photo_opens_larger_with_its_answers_and_the_arrow_keys_turn_the_pages(page: Page) -> None:
    names = [card["name"] for card in shown(page)]
    photo = page.locator(".photo").first
    small = photo.bounding_box()
    photo.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    opened = page.locator("#viewer img")
    large = opened.bounding_box()
    assert small is not None
    assert large is not None

    assert opened.get_attribute("alt") == names[1]
    assert large["width"] * large["height"] > 2 * small["width"] * small["height"]
    assert "Teacher" in page.inner_text("#viewer")
    page.keyboard.press("ArrowRight")
    assert opened.get_attribute("alt") == names[2]
    page.click("#viewer [data-step='-1']")
    page.keyboard.press("ArrowLeft")
    assert opened.get_attribute("alt") == names[0]
    assert page.locator("#viewer [data-step='-1']").is_disabled()
    page.keyboard.press("Escape")
    assert not page.locator("#viewer").is_visible()
    assert page.evaluate("document.activeElement.closest('li').dataset.name") == names[0]


@pytest.mark.parametrize("screen", SCREENS)
def test_opened_photo_is_accessible_and_fits_the_screen(
    browser: Browser, report: Path, problems: list[str], screen: str
) -> None:
    page = open_page(browser, report, problems, screen)
    page.locator(".photo").first.click()
    page.evaluate(AXE.read_text("utf-8"))
    violations = page.evaluate("axe.run('#viewer').then(result => result.violations.map(v => [v.id, v.nodes[0].html]))")
    box = page.locator("#viewer").bounding_box()
    assert box is not None

    assert violations == []
    assert problems == []
    assert box["height"] <= SCREENS[screen]["viewport"]["height"]
    assert page.evaluate("document.querySelector('.view').scrollWidth <= document.querySelector('.view').clientWidth")


def test_summary_is_copied_as_markdown(browser: Browser, report: Path) -> None:
    context = browser.new_context(permissions=["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.goto(report.as_uri())
    page.click("#copy")
    expect(page.locator("#copied")).to_have_text("Copied as Markdown.")
    text = page.evaluate("navigator.clipboard.readText()")
    context.close()

    assert text.startswith("### Teacher teaches student\n\n")
    assert "| valid answers | **" in text


def test_summary_is_selected_where_the_browser_refuses_the_clipboard(page: Page) -> None:
    page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(new Error('refused')); }")
    page.click("#copy")
    page.wait_for_selector("#summary:visible")

    assert page.evaluate("getSelection().toString()").startswith("### Teacher teaches student")
    assert "press Ctrl+C" in page.inner_text("#copied")


def test_page_without_scripts_shows_every_image_and_no_control(browser: Browser, report: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(report.as_uri())

    assert page.locator("#gallery > li:visible").count() == 100
    assert page.locator("#copy:visible, #search:visible, #more:visible, #summary:visible").count() == 0
    context.close()


def test_every_table_fits_a_phone_with_the_heading_beside_each_value(
    browser: Browser, report: Path, problems: list[str]
) -> None:
    page = open_page(browser, report, problems, "phone")
    tables = "[...document.querySelectorAll('.wide')]"
    label = "getComputedStyle(document.querySelector('.stacked td.number'), '::before').content"

    assert page.evaluate(f"{tables}.length") > 1
    assert page.evaluate(f"{tables}.filter(table => table.scrollWidth > table.clientWidth).length") == 0
    assert page.evaluate(label).strip('"') == page.locator(".stacked td.number").first.get_attribute("data-head")


def test_report_of_500_images_is_smaller_than_12_mb_and_renders_the_first_only(
    browser: Browser, large_report: Path, problems: list[str]
) -> None:
    page = open_page(browser, large_report, problems, "light")
    painted = "[...document.querySelectorAll('.photo')].filter(photo => photo.checkVisibility()).length"

    assert large_report.stat().st_size < 12_000_000
    assert page.evaluate(painted) == FIRST
    page.select_option("#order", "name")
    assert [card["name"] for card in shown(page)][:2] == ["photo 0.jpg", "photo 1.jpg"]
    page.fill("#search", "photo 499.jpg")
    expect(page.locator("#shown")).to_contain_text("1 of 500 images shown")
    assert problems == []


def test_print_is_light_on_a_dark_screen_and_no_table_is_divided_between_pages(
    browser: Browser, report: Path, problems: list[str]
) -> None:
    page = open_page(browser, report, problems, "dark")
    screen = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.emulate_media(media="print")
    styles = "(selector, name) => [...document.querySelectorAll(selector)].map(each => getComputedStyle(each)[name])"

    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)" != screen
    assert page.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--accent')") == "#0b6b63"
    assert set(page.evaluate(f"({styles})('.wide', 'breakInside')")) == {"avoid"}
    assert set(page.evaluate(f"({styles})('.wide', 'overflow')")) == {"visible"}
    assert set(page.evaluate(f"({styles})('.controls, .actions', 'display')")) == {"none"}


def test_screenshots_are_taken_in_light_and_dark_on_a_phone_and_in_print(
    browser: Browser, report: Path, problems: list[str], tmp_path: Path
) -> None:
    folder = ROOT / "docs/pictures" if "REPORT" in os.environ else tmp_path
    folder.mkdir(exist_ok=True)
    for screen in ("light", "dark", "phone"):
        page = open_page(browser, report, problems, screen)
        page.screenshot(path=folder / f"report-{screen}.png")
    page = browser.new_page(viewport={"width": 794, "height": 1123})
    page.emulate_media(media="print")
    page.goto(report.as_uri())
    page.screenshot(path=folder / "report-print.png")
    pdf = page.pdf(format="A4")

    assert pdf.startswith(b"%PDF")
    assert all(path.stat().st_size < 400_000 for path in folder.glob("report-*.png"))
