"""Review labels and judge pairs of answers in a real browser. Run it with ``make test-browser``."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from distillation import keys
from distillation.dataset.labels import read_labels
from distillation.dataset.writer import write_dataset
from distillation.evaluation.preferences import (
    preference_page,
    read_comparison,
    read_preferences,
    tuned_is_left,
    win_rates,
)
from distillation.evaluation.review import read_review, review_pages
from distillation.records import AnswerLine, Run
from distillation.storage import Bucket
from tests.browser.test_report import AXE, CHROMIUM, CHROMIUM_FLAGS, SCREENS
from tests.distillation.evaluation.labelled_run import labelled_run, next_run
from tests.support.builders import any_run, run_with_limits
from tests.support.formats import EXAMPLES, LABELS
from tests.support.stored import read_lines

pytestmark = [
    pytest.mark.skipif(not CHROMIUM, reason="opt-in: make test-browser, or CHROMIUM=path"),
    pytest.mark.skipif(not AXE.is_file(), reason="no axe-core: run make setup"),
]
HOSTILE = "<img src=x onerror=alert(1)>"
NAMES = {
    3: f"{HOSTILE}.jpg",
    4: "</script><script>alert(2)</script>.jpg",
    5: "=cmd|' /C calc'!A0.jpg",
    6: '\'-b;@c, "d".jpg',
    7: "Фото\u202e\u200b 1.jpg",
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """Yield a profile of the browser with an empty storage."""
    context = browser.new_context(accept_downloads=True, **SCREENS["light"])
    yield context
    context.close()


@pytest.fixture
def problems() -> list[str]:
    """Console messages, script errors, unexpected dialogs and requests to other hosts."""
    return []


def open_page(context: BrowserContext, path: Path, problems: list[str]) -> Page:
    page = context.new_page()
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("dialog", lambda dialog: problems.append(dialog.message))
    page.on("request", lambda request: None if _is_local(request.url) else problems.append(request.url))
    page.goto(path.as_uri())
    return page


def _is_local(url: str) -> bool:
    return url.startswith(("file:", "data:", "blob:"))


def add_file(page: Page, path: Path, said: str) -> None:
    """Add a file of labels and wait until the page says what it did."""
    page.set_input_files("#open", path)
    page.locator("#status").filter(has_text=said).wait_for()


def write_pages(folder: Path, run: Run, data: Bucket, limit: int = 500) -> list[Path]:
    paths = []
    for number, html in enumerate(review_pages(read_review(run, data), data, limit), 1):
        path = folder / f"review-{number}.html"
        path.write_text(html, "utf-8")
        paths.append(path)
    return paths


def download(page: Page, folder: Path) -> Path:
    with page.expect_download() as started:
        page.click("#download")
    path = folder / started.value.suggested_filename
    started.value.save_as(path)
    return path


def rows(path: Path) -> dict[str, dict[str, str]]:
    return {row["photo"]: row for row in csv.DictReader(io.StringIO(path.read_text("utf-8-sig"), newline=""))}


def keywords(count: int) -> list[str | None]:
    return [f"cat, sofa, thing {number}" for number in range(count)]


def test_1000_images_are_reviewed_on_two_pages_over_a_reload_and_used_by_the_next_run(
    context: BrowserContext, problems: list[str], tmp_path: Path
) -> None:
    run = run_with_limits(1, 25)
    texts = keywords(1000)
    texts[9] = None
    texts[8] = f"{HOSTILE}, =sum, cat"
    data = labelled_run(run, texts, NAMES, {11: {"disagreement": 0.75}, 3: {"disagreement": 0.5}})
    first, second = write_pages(tmp_path, run, data)
    page = open_page(context, first, problems)

    # The refused label comes first, then the least certain ones. It cannot be accepted as it is.
    assert page.inner_text("#name") == "0009.jpg"
    assert "refusal" in page.inner_text("#problem")
    page.keyboard.press("a")
    assert page.inner_text("#status") == "A label cannot be empty. Write one, or reject the photo."
    page.keyboard.press("e")
    page.keyboard.type("written by hand")
    page.keyboard.press("Enter")
    assert page.inner_text("#name") == "0011.jpg"
    assert page.inner_text("#notes") == "Look closely: the teacher's answers about it differ by 75 %."
    page.keyboard.press("r")
    assert page.inner_text("#name") == NAMES[3]
    page.keyboard.press("a")
    for _ in range(247):
        page.keyboard.press("a")
    assert page.inner_text("#counts") == "250 of 500 reviewed: 248 accepted, 1 edited, 1 rejected"

    # The progress survives a reload, which goes on at the first image that is not reviewed.
    page.reload()
    assert page.inner_text("#counts") == "250 of 500 reviewed: 248 accepted, 1 edited, 1 rejected"
    assert page.inner_text("#position") == "251 of 500"
    for _ in range(250):
        page.keyboard.press("a")
    assert page.inner_text("#counts") == "500 of 500 reviewed: 498 accepted, 1 edited, 1 rejected"
    of_first = download(page, tmp_path)
    assert of_first.name == "labels.csv"

    # The second page takes over the file of the first.
    page = open_page(context, second, problems)
    assert page.inner_text("#counts").startswith("0 of 500 reviewed")
    add_file(page, of_first, "500 rows")
    page.keyboard.press("r")
    page.reload()
    both = download(page, tmp_path / "both")
    decided = rows(both)
    assert len(decided) == 501
    assert sum(row["use"] == "no" for row in decided.values()) == 2

    _, data = next_run(run, data, both.read_bytes())
    inventory = {line["photo"]: line for line in read_lines(data, keys.inventory_key("holiday-2"))}
    rejected = {photo for photo, line in inventory.items() if line["status"] == "excluded"}
    assert len(rejected) == 2
    assert "holiday/0011.jpg" in rejected
    owned = {photo for photo, line in inventory.items() if line.get("labelled_by") == "owner"}
    assert len(owned) == 499
    assert {f"holiday/{name}" for name in NAMES.values()} <= owned | rejected | set(inventory)
    labels = read_labels(run.model_copy(update={"name": "holiday-2"}), data)
    assert labels[f"{9:064x}"].text == "written by hand"
    assert labels[f"{3:064x}"].text == "cat, sofa, thing 3"
    (size,) = write_dataset(run.model_copy(update={"name": "holiday-2"}), 1, [1000], data).sizes
    learned = data.read(keys.dataset_key("holiday-2", f"train-{size}")).decode()
    in_training = {line["image"] for line in read_lines(data, keys.split_key("holiday-2", "train"))}
    assert len(learned.splitlines()) == len(in_training)
    assert f"{11:064x}.jpg" not in learned
    assert (f"{9:064x}" in in_training) == ("written by hand" in learned)
    assert problems == []


@pytest.mark.parametrize("name", NAMES.values(), ids=["element", "script", "formula", "quotes", "invisible"])
def test_hostile_name_and_label_are_text_on_the_page_and_whole_in_the_file(
    context: BrowserContext, problems: list[str], tmp_path: Path, name: str
) -> None:
    run = run_with_limits(1, 25)
    label = f"{HOSTILE}, </script>, =sum; @b"
    data = labelled_run(run, [label, *keywords(30)], {0: name}, {0: {"disagreement": 1.0}})
    (path,) = write_pages(tmp_path, run, data)
    page = open_page(context, path, problems)
    page.keyboard.press("a")
    _, data = next_run(run, data, download(page, tmp_path).read_bytes())

    assert problems == []
    (line,) = read_lines(data, keys.own_labels_key("holiday-2"))
    assert line["photo"] == f"holiday/{name}"
    assert "img src=x onerror=alert" in line["text"]
    assert page.locator("img[src=x]").count() == 0


@pytest.mark.parametrize("name", EXAMPLES)
def test_labels_of_each_format_are_edited_and_learned(
    context: BrowserContext, problems: list[str], tmp_path: Path, name: str
) -> None:
    run = any_run().model_copy(update={"answers": EXAMPLES[name].model_dump()})
    data = labelled_run(run, [LABELS[name][number % len(LABELS[name])] for number in range(30)])
    (path,) = write_pages(tmp_path, run, data)
    page = open_page(context, path, problems)
    for _ in range(29):
        page.keyboard.press("a")
    page.keyboard.press("r")
    second, data = next_run(run, data, download(page, tmp_path).read_bytes())

    assert problems == []
    before, after = read_labels(run, data), read_labels(second, data)
    owned = {image: line.text for image, line in after.items() if line.answerer == "owner"}
    assert len(owned) == 29
    assert owned == {image: before[image].text for image in owned}


def test_page_offers_the_labels_of_a_class(context: BrowserContext, problems: list[str], tmp_path: Path) -> None:
    run = any_run().model_copy(update={"answers": {"format": "class", "labels": ["cat", "dog", "bird"]}})
    data = labelled_run(run, ["cat"] * 30)
    (path,) = write_pages(tmp_path, run, data)
    page = open_page(context, path, problems)
    assert page.eval_on_selector_all("#fields option", "all => all.map(o => o.textContent)") == ["cat", "dog", "bird"]
    name = page.inner_text("#name")
    page.select_option("#fields select", "bird")

    assert page.inner_text("#counts") == "1 of 30 reviewed: 0 accepted, 1 edited, 0 rejected"
    assert rows(download(page, tmp_path)) == {name: {"photo": name, "label": "bird", "use": "yes"}}


def test_escape_restores_a_label_and_an_empty_one_is_no_decision(
    context: BrowserContext, problems: list[str], tmp_path: Path
) -> None:
    run = run_with_limits(1, 25)
    data = labelled_run(run, keywords(30))
    (path,) = write_pages(tmp_path, run, data)
    page = open_page(context, path, problems)
    before = page.input_value("#fields textarea")
    page.keyboard.press("e")
    page.keyboard.type("other")
    assert page.inner_text("#counts").startswith("1 of 30 reviewed: 0 accepted, 1 edited")
    page.keyboard.press("Escape")
    assert page.inner_text("#counts").startswith("0 of 30")
    assert page.input_value("#fields textarea") == before
    page.keyboard.press("e")
    page.keyboard.press("Delete")
    assert page.inner_text("#counts").startswith("0 of 30")
    page.keyboard.press("Enter")
    assert page.inner_text("#position") == "1 of 30"


def test_lines_of_the_present_file_stay_until_they_are_decided_anew(
    context: BrowserContext, problems: list[str], tmp_path: Path
) -> None:
    run = run_with_limits(1, 25)
    second, data = next_run(run, labelled_run(run, keywords(30)), b'photo,label\n0001.jpg,"my cat"\n')
    lines = [
        ("0001.jpg", "newer", True),
        ("elsewhere.jpg", "dog", True),
        ("0002.jpg", "", False),
        ("0003.jpg", "x", True),
    ]
    review = replace(read_review(second, data), file_rows=lines)
    path = tmp_path / "review.html"
    path.write_text(next(review_pages(review, data)), "utf-8")
    page = open_page(context, path, problems)
    while page.inner_text("#name") != "0003.jpg":
        page.keyboard.press("ArrowRight")
    page.keyboard.press("a")

    assert {name: (row["label"], row["use"]) for name, row in rows(download(page, tmp_path)).items()} == {
        "0001.jpg": ("newer", "yes"),
        "0002.jpg": ("", "no"),
        "0003.jpg": ("cat, sofa, thing 3", "yes"),
        "elsewhere.jpg": ("dog", "yes"),
    }
    assert problems == []


def test_own_labels_and_rejections_of_the_run_stay_in_the_file(
    context: BrowserContext, problems: list[str], tmp_path: Path
) -> None:
    run = run_with_limits(1, 25)
    data = labelled_run(run, keywords(30))
    mine = 'photo,label,use\n0001.jpg,"my cat",yes\n0002.jpg,,no\n0003.jpg,"my dog",yes\n'
    second, data = next_run(run, data, mine.encode())
    paths = write_pages(tmp_path, second, data, limit=14)
    page = open_page(context, paths[0], problems)
    page.keyboard.press("a")
    decided = rows(download(page, tmp_path))

    assert len(paths) == 3
    kept = [(row["label"], row["use"]) for row in (decided.pop(f"000{number}.jpg") for number in (1, 2, 3))]
    assert kept == [("my cat", "yes"), ("", "no"), ("my dog", "yes")]
    assert [row["use"] for row in decided.values()] == ["yes"]
    assert "This is your own label." in open_page(context, paths[2], problems).inner_text("#item")
    assert problems == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("name,text\na,b\n", "its first line must name photo, label. Save it as CSV UTF-8"),
        ('photo,label\n0001.jpg,"cat', "a quotation mark is not closed"),
        ("photo,label\n0001.jpg,cat,dog\n", "row 2 has 3 fields, not 2"),
        ("photo,label,use\n0001.jpg,cat,maybe\n", "row 2 has use maybe"),
        (b"\xff\xfe\xff", "its first line must name photo, label"),
    ],
    ids=["columns", "quotes", "fields", "use", "no text"],
)
def test_file_that_cannot_be_added_is_refused_with_the_reason(
    context: BrowserContext, problems: list[str], tmp_path: Path, content: str | bytes, message: str
) -> None:
    run = run_with_limits(1, 25)
    (path,) = write_pages(tmp_path, run, labelled_run(run, keywords(30)))
    page = open_page(context, path, problems)
    file = tmp_path / "labels.csv"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    add_file(page, file, "is not used")

    assert message in page.inner_text("#status")
    assert page.inner_text("#counts").startswith("0 of 30")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_added_file_with_semicolons_marks_and_another_case_gives_decisions(
    context: BrowserContext, problems: list[str], tmp_path: Path, encoding: str
) -> None:
    run = run_with_limits(1, 25)
    (path,) = write_pages(tmp_path, run, labelled_run(run, keywords(30), NAMES))
    page = open_page(context, path, problems)
    file = tmp_path / "mine.csv"
    lines = [
        "Use;Photo;Label",
        "NO;0001.jpg;",
        ";'=cmd|' /C calc'!A0.jpg;'=a, \"b\"",
        ";elsewhere.jpg;cat",
        ";Фото 1.jpg;dog",
        "",
    ]
    file.write_bytes("\r\n".join(lines).encode(encoding))
    add_file(page, file, "4 rows")
    decided = rows(download(page, tmp_path))

    assert page.inner_text("#counts") == "3 of 30 reviewed: 0 accepted, 2 edited, 1 rejected"
    assert decided[NAMES[7]]["label"] == "dog"
    assert decided["0001.jpg"]["use"] == "no"
    assert decided["'=cmd|' /C calc'!A0.jpg"]["label"] == '\'=a, "b"'
    assert decided["elsewhere.jpg"] == {"photo": "elsewhere.jpg", "label": "cat", "use": "yes"}


def comparison_run() -> tuple[Run, Bucket]:
    """Return a run whose tuned model n12 is as long as the label, and whose base gives other keywords."""
    run = run_with_limits(1, 25)
    data = labelled_run(run, [f"cat, {HOSTILE}, thing {number}" for number in range(200)])
    test = [line["image"] for line in read_lines(data, keys.split_key(run.name, "test"))]
    answers: dict[str, list[dict[str, Any]]] = {"base": [], "n12": []}
    for number, image in enumerate(test):
        same = f"cat, {HOSTILE}, thing {int(image, 16)}"
        for name, text in (("base", "dog, sea"), ("n12", same if number < 5 else "cat, tuned")):
            line = AnswerLine(image=image, answerer=name, status="ok", text=text)
            answers[name].append(line.model_dump(exclude_none=True))
    for name, lines in answers.items():
        data.write_lines(keys.predictions_key(run.name, name), lines)
    return run, data


def test_pairs_are_judged_by_keyboard_over_a_reload_and_give_the_win_rates(
    context: BrowserContext, problems: list[str], tmp_path: Path
) -> None:
    run, data = comparison_run()
    comparison = read_comparison(run, "n12", data)
    pairs = comparison.pairs(50)
    path = tmp_path / "prefer.html"
    path.write_text(preference_page(comparison, pairs, data), "utf-8")
    page = open_page(context, path, problems)

    # The tuned model wins against base and loses against the teacher; some pairs are ties or both bad.
    expected = {"teacher": [0, 0, 0, 0], "base": [0, 0, 0, 0]}
    for number, pair in enumerate(pairs):
        if number == 20:
            page.reload()
            assert page.inner_text("#counts") == "20 of 50 judged"
            assert page.inner_text("#position") == "21 of 50"
        is_left = tuned_is_left(run.name, pair.image, pair.against)
        if number % 9 < 2:
            key, outcome = (("t", 2), ("b", 3))[number % 9]
        else:
            key = "ArrowLeft" if is_left == (pair.against == "base") else "ArrowRight"
            outcome = 0 if pair.against == "base" else 1
        expected[pair.against][outcome] += 1
        sides = page.inner_text("#left-answer"), page.inner_text("#right-answer")
        assert (sides[0] if is_left else sides[1]) == comparison.cells("n12", pair.image)[0]
        page.keyboard.press(key)
    assert page.inner_text("#counts") == "50 of 50 judged"
    file = download(page, tmp_path)

    test = [line["image"] for line in read_lines(data, keys.split_key(run.name, "test"))]
    rates = win_rates(read_preferences(file.read_bytes(), "file"), run.name, "n12", test, "file")
    assert {rate.against: [rate.wins, rate.losses, rate.ties, rate.both_bad] for rate in rates} == expected
    assert [(rate.pairs, rate.equal) for rate in rates] == [(25, 5), (25, 0)]
    assert rates[0].rate < 0.5 < rates[1].rate
    assert problems == []


def test_names_of_the_models_are_not_shown_on_a_side(
    context: BrowserContext, problems: list[str], tmp_path: Path
) -> None:
    run, data = comparison_run()
    comparison = read_comparison(run, "n12", data)
    path = tmp_path / "prefer.html"
    path.write_text(preference_page(comparison, comparison.pairs(50), data), "utf-8")
    page = open_page(context, path, problems)

    texts = page.inner_text(".item")
    assert not any(word in texts for word in ("teacher", "base", "n12", "before training"))


@pytest.mark.parametrize("screen", SCREENS)
@pytest.mark.parametrize("kind", ["review", "prefer"])
def test_page_is_accessible_and_not_wider_than_the_screen(
    browser: Browser, problems: list[str], tmp_path: Path, screen: str, kind: str
) -> None:
    run, data = comparison_run()
    path = tmp_path / "page.html"
    if kind == "review":
        path.write_text(next(review_pages(read_review(run, data), data)), "utf-8")
    else:
        comparison = read_comparison(run, "n12", data)
        path.write_text(preference_page(comparison, comparison.pairs(50), data), "utf-8")
    with browser.new_context(**SCREENS[screen]) as context:
        page = open_page(context, path, problems)
        page.evaluate(AXE.read_text("utf-8"))
        violations = page.evaluate("axe.run().then(result => result.violations.map(v => [v.id, v.nodes[0].html]))")

        assert violations == []
        assert problems == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
