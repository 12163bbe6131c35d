from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from distillation import keys
from distillation.answers.own_labels import parse_own_labels
from distillation.evaluation.review import Review, read_review, review_pages
from distillation.photos.inventory import read_inventory
from distillation.plain_text import csv_table
from distillation.records import AnswerLine, Run
from distillation.storage import Bucket
from tests.distillation.evaluation.labelled_run import labelled_run, next_run, photo_name
from tests.support.builders import any_run, run_with_limits
from tests.support.formats import EXAMPLES, LABELS
from tests.support.stored import read_lines

TEXTS = [f"cat, sofa, thing {number}" for number in range(30)]


def content(page: str) -> dict[str, Any]:
    """Return the data of a page."""
    text = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert text
    return json.loads(text[1])


def photos(review: Review) -> list[str]:
    return [item.photo for item in review.items]


def test_refused_labels_come_first_and_then_the_least_certain_ones() -> None:
    run = run_with_limits(1, 25)
    texts: list[str | None] = [*TEXTS]
    texts[7] = None
    data = labelled_run(run, texts, fields={3: {"disagreement": 0.2}, 9: {"disagreement": 0.6}})
    inventory = list(read_lines(data, keys.inventory_key(run.name)))
    for line in inventory:
        if line["photo"] == "holiday/0005.jpg":
            line["flags"] = ["blurred", "dark"]
        if line["photo"] in ("holiday/0010.jpg", "holiday/0011.jpg"):
            line["group"] = inventory[10]["image"]
    data.write_lines(keys.inventory_key(run.name), inventory)
    second = [
        AnswerLine(image=f"{number:064x}", answerer="ceiling", status="ok", text=TEXTS[number]) for number in (1, 2)
    ]
    second[1] = second[1].model_copy(update={"text": "dog"})
    data.write_lines(keys.predictions_key(run.name, "ceiling"), [line.model_dump() for line in second])
    review = read_review(run, data)

    assert photos(review)[:7] == ["0007.jpg", "0002.jpg", "0009.jpg", "0010.jpg", "0011.jpg", "0003.jpg", "0005.jpg"]
    assert {item.photo: item.notes for item in review.items if item.notes} == {
        "0002.jpg": ["a second answer of the teacher differs by 100 %"],
        "0003.jpg": ["the teacher's answers about it differ by 20 %"],
        "0005.jpg": ["blurred", "dark"],
        "0009.jpg": ["the teacher's answers about it differ by 60 %"],
        "0010.jpg": ["the label of a near-duplicate differs by 50 %"],
        "0011.jpg": ["the label of a near-duplicate differs by 50 %"],
    }
    assert sorted(photos(review)) == [photo_name(number) for number in range(30)]


@pytest.mark.parametrize(("limit", "sizes"), [(500, [30]), (14, [14, 14, 2]), (15, [15, 15])])
def test_every_image_is_on_one_page_of_at_most_limit_images(limit: int, sizes: list[int]) -> None:
    run = run_with_limits(1, 25)
    data = labelled_run(run, TEXTS)
    pages = [content(page) for page in review_pages(read_review(run, data), data, limit)]

    assert [len(page["items"]) for page in pages] == sizes
    assert len({item["photo"] for page in pages for item in page["items"]}) == 30
    assert all(item["picture"].startswith("data:image/jpeg;base64,") for page in pages for item in page["items"])


def test_missing_and_damaged_pictures_leave_their_labels_on_the_page() -> None:
    run = run_with_limits(1, 25)
    data = labelled_run(run, TEXTS)
    data.write(keys.image_key(run.image_side, f"{3:064x}"), b"damaged")
    data.client.objects.pop(keys.image_key(run.image_side, f"{4:064x}"))  # type: ignore[attr-defined] - the fake has it
    (page,) = review_pages(read_review(run, data), data)

    assert {item["photo"] for item in content(page)["items"] if item["picture"] is None} == {"0003.jpg", "0004.jpg"}


def test_own_labels_come_last_and_rejected_photos_stay_rejected() -> None:
    run = run_with_limits(1, 25)
    first = labelled_run(run, TEXTS)
    second, data = next_run(run, first, b'photo,label,use\n0000.jpg,"my cat",yes\n0001.jpg,,no\n')
    review = read_review(second, data)
    pages = [content(page) for page in review_pages(review, data, 20)]

    assert photos(review)[-1] == "0000.jpg"
    assert "0001.jpg" not in photos(review)
    assert [page["others"] for page in pages] == [[["0000.jpg", "my cat", "yes"], ["0001.jpg", "", "no"]]] * 2
    known = replace(review, file_rows=[("0005.jpg", "dog", True), ("0006.jpg", "", False)])
    assert content(next(review_pages(known, data)))["others"] == [["0005.jpg", "dog", "yes"], ["0006.jpg", "", "no"]]
    assert [item["own"] for item in pages[1]["items"]] == [False] * 8 + [True]


def test_gold_labels_are_shown_instead_of_the_labels_of_the_teacher() -> None:
    run = run_with_limits(1, 25, own_labels="gold")
    first = labelled_run(run_with_limits(1, 25), TEXTS)
    second, data = next_run(run, first, b'photo,label\n0000.jpg,"my cat"\n')
    (item,) = [item for item in read_review(second, data).items if item.label.answerer == "owner"]

    assert (item.photo, item.label.text) == ("0000.jpg", "my cat")


@pytest.mark.parametrize("name", EXAMPLES)
def test_cells_of_each_format_are_read_as_own_labels_again(name: str) -> None:
    run = any_run().model_copy(update={"answers": EXAMPLES[name].model_dump()})
    data = labelled_run(run, [LABELS[name][number % 4] for number in range(30)])
    (page,) = review_pages(read_review(run, data), data)
    found = content(page)
    rows = [[item["photo"], *item["cells"], "yes"] for item in found["items"]]
    table = csv_table([["photo", *found["columns"], "use"], *rows])
    labels = parse_own_labels(run, "labels.csv", table, read_inventory(run, data)).labels

    assert [label.text for label in labels] == [item.label.text for item in read_review(run, data).items]
    for column, choices in found["choices"].items():
        place = found["columns"].index(column)
        assert {item["cells"][place] for item in found["items"]} <= set(choices)


def test_refused_label_with_fields_has_blank_cells_and_one_in_a_single_column_its_text() -> None:
    cells = {}
    for name in ("keywords", "fields"):
        run = any_run().model_copy(update={"answers": EXAMPLES[name].model_dump()})
        refused = {0: {"status": "refused", "text": "Sorry, I cannot\u202e help", "reason": "a refusal"}}
        data = labelled_run(run, [LABELS[name][number % 4] for number in range(30)], fields=refused)
        (page,) = review_pages(read_review(run, data), data)
        item = content(page)["items"][0]
        cells[name] = item["cells"]
        assert item["refused"] == "a refusal"

    assert cells == {"keywords": ["Sorry, I cannot help"], "fields": ["", "", "", "", ""]}


def test_page_escapes_markup_and_forbids_the_network() -> None:
    run = run_with_limits(1, 25)
    data = labelled_run(run, ["</script><script>alert(1)</script>, cat", *TEXTS], {0: "<b>\u202e.jpg"})
    run = run.model_copy(update={"collection": "holiday/"})
    (page,) = review_pages(read_review(run, data), data)

    assert "alert(1)" in page
    assert "<script>alert" not in page
    assert "<b>" not in page
    assert "\u202e" not in page
    assert "default-src 'none'" in page
    assert "http:" not in page
    assert "https:" not in page


def expire(data: Bucket, run: Run) -> None:
    """Delete all parts of a run, as the lifecycle rule does after 30 days."""
    for key in list(data.keys(f"work/{run.name}/")):
        data.client.objects.pop(key)  # type: ignore[attr-defined] - the fake has it


def test_labels_are_read_from_the_cache_after_the_parts_have_expired() -> None:
    run = run_with_limits(1, 25)
    data = labelled_run(run, TEXTS)
    before = {item.photo: item.label.text for item in read_review(run, data).items}
    usage = {"input_tokens": 1, "output_tokens": 1}
    for number, text in enumerate(TEXTS[:20]):
        answer = {"model": "m", "image": f"{number:064x}", "text": text, "stop_reason": "end_turn", "usage": usage}
        if number == 5:
            data.write_json(keys.label_retry_key(run.teacher.id, f"{number:064x}", 0), answer)
            answer |= {"text": "I'm sorry, I can't help with that."}
        if number == 6:
            answer |= {"stop_reason": "max_tokens"}
        data.write_json(keys.label_key(run.teacher.id, f"{number:064x}", 0), answer)
    expire(data, run)
    after = {item.photo: item.label for item in read_review(run, data).items}

    assert {photo: label.text for photo, label in after.items()} == {
        photo: text for photo, text in before.items() if photo < "0020.jpg"
    }
    assert [photo for photo, label in after.items() if label.status == "refused"] == ["0006.jpg"]


@pytest.mark.parametrize(
    ("name", "choices"),
    [
        ("keywords", {}),
        ("class", {"label": ["people", "animals", "food, drink", "street art"]}),
        ("fields", {"place": ["indoors", "outdoors", "under water"], "is_portrait": ["true", "false"]}),
        ("caption", {}),
    ],
    ids=["keywords", "class", "fields", "caption"],
)
def test_closed_columns_of_a_label_have_choices(name: str, choices: dict[str, list[str]]) -> None:
    run = any_run().model_copy(update={"answers": EXAMPLES[name].model_dump()})
    data = labelled_run(run, [LABELS[name][number % 4] for number in range(30)])
    (page,) = review_pages(read_review(run, data), data)

    assert content(page)["choices"] == choices
