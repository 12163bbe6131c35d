"""The owner's own labels: checked by line, used instead of asking, or measured against."""

from __future__ import annotations

import json
from typing import Any

import pytest

from distillation import keys
from distillation.answers.own_labels import MAXIMUM_BYTES
from distillation.dataset.examples import write_dataset
from distillation.dataset.labels import read_labels
from distillation.errors import InvalidRequest
from distillation.evaluation.run_data import read_run
from distillation.photos.listing import list_collection
from distillation.photos.splits import split
from distillation.records import Limits, Run
from distillation.storage import Bucket
from tests.support.builders import any_run
from tests.support.fakes import bucket

NAMES = [f"{n:02}.jpg" for n in range(40)]
LABEL = "cat, sofa, lamp"


def image_of(name: str) -> str:
    return f"{NAMES.index(name):064x}"


def resized() -> Bucket:
    data = bucket()
    lines: list[dict[str, Any]] = [
        {"photo": f"holiday/{name}", "status": "ok", "image": image_of(name), "width": 900, "height": 600}
        for name in NAMES
    ]
    lines += [
        {"photo": "holiday/Café.jpg", "status": "ok", "image": image_of("00.jpg"), "width": 900, "height": 600},
        {"photo": "holiday/broken.jpg", "status": "refused", "reason": "damaged"},
        {"photo": "holiday/labels.csv", "status": "ignored"},
    ]
    data.write_lines(keys.part_key("holiday-1", "resize", "b"), lines)
    return data


def asked_for(least: int, **request: Any) -> Run:
    return any_run(**request).model_copy(update={"limits": Limits(minimum=least, maximum=25)})


def split_with(body: str | bytes, name: str = "labels.csv", run: Run | None = None) -> Bucket:
    """Split a collection whose owner labelled some photos; return the Data bucket."""
    data = resized()
    encoded = body.encode() if isinstance(body, str) else body
    split(run or asked_for(3), data, bucket(**{f"holiday/{name}": encoded}))
    return data


def csv_of(names: list[str]) -> str:
    return "photo,label\n" + "".join(f'{name},"{LABEL}"\n' for name in names)


def own(data: Bucket) -> dict[str, str]:
    return {line["photo"]: line["text"] for line in data.read_lines(keys.own_labels_key("holiday-1"))}


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("labels.csv", '\ufeffPhoto , Label,note\r\n01.jpg,"Cat; sofa\n- lamp",x\r\n'),
        ("labels.jsonl", '{"photo": "01.jpg", "label": "Cat, sofa, lamp."}\n\n'),
    ],
)
def test_own_labels_are_laid_out_as_the_teachers(name: str, body: str) -> None:
    assert own(split_with(body, name)) == {"holiday/01.jpg": "Cat, sofa, lamp"}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("", r"line 1 must name the columns photo and label"),
        ("photo;label\n01.jpg;cat", r"line 1 must name the columns photo and label, separated by a comma"),
        ("photo,label\n", "holds no label"),
        ("photo,label\n01.jpg,cat, sofa, lamp\n", "line 2 has not 2 fields.*double quotes"),
        ("photo,label\n01.jpg\n", "line 2 has not 2 fields"),
        ('photo,label\n01.jpg,"cat, sofa\n', "check its quotes"),
        ("photo,label\n1.jpg,cat\n", r"line 2 names '1.jpg', which is no photo of 'holiday/'; is it '.1.jpg'"),
        ("photo,label\n,cat\n", "line 2 names no photo"),
        ("photo,label\nlabels.csv,cat\n", "line 2 names 'labels.csv', which is no photo"),
        (f'{csv_of(["01.jpg"])}01.jpg,"{LABEL}"', "line 3 is a second label of '01.jpg', after line 2; keep one"),
        (f'{csv_of(["00.jpg"])}Café.jpg,"dog, sea, sky"', "'Café.jpg' otherwise than 'holiday/00.jpg', .* same image"),
        ("photo,label\n01.jpg,  \n", "line 2 has an empty label of '01.jpg'"),
        ("photo,label\n01.jpg,User: x\n", "line 2 has a label that holds User:, which Bedrock reserves"),
        ('photo,label\n01.jpg,"cat, sofa"\n', "that has 2 distinct keywords, not 3 to 25; .*keywords_min"),
        (f"photo,label\n01.jpg,{'x' * 1601}\n", "a label of 1601 characters, more than the 1600"),
        (b"photo,label\n01.jpg,\xe9t\xe9\n", "line 2 is not UTF-8; save the file as UTF-8"),
        (b"x" * (MAXIMUM_BYTES + 1), "has 33,554,433 bytes, more than 33,554,432"),
    ],
)
def test_file_of_labels_that_is_wrong_is_refused_by_line_with_the_remedy(body: str | bytes, message: str) -> None:
    with pytest.raises(InvalidRequest, match=rf"labels\.csv.*{message}"):
        split_with(body)


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[" * 100_000,
        "[]",
        '{"photo": "01.jpg"}',
        '{"photo": 1, "label": "cat"}',
        r'{"photo": "a", "label": "\ud83d"}',
    ],
)
def test_line_of_json_that_is_no_label_is_refused_by_number(line: str) -> None:
    with pytest.raises(
        InvalidRequest, match=r"labels\.jsonl: line 2 (is not JSON|must be like|holds half a character)"
    ):
        split_with('{"photo": "01.jpg", "label": "cat, sofa, lamp"}\n' + line, "labels.jsonl")


def test_all_that_is_wrong_is_told_at_once_and_a_lot_is_counted() -> None:
    with pytest.raises(InvalidRequest) as refused:
        split_with("photo,label\n" + "nothing,cat\n" * 13)

    assert str(refused.value).count("nothing") == 10
    assert str(refused.value).endswith("and 3 more")


def test_two_files_or_none_where_one_is_asked_for_are_refused() -> None:
    files = {"holiday/labels.csv": b"", "holiday/labels.jsonl": b""}
    with pytest.raises(InvalidRequest, match=r"labels\.csv and labels\.jsonl are both in 'holiday/'; keep one"):
        split(asked_for(3), resized(), bucket(**files))
    with pytest.raises(InvalidRequest, match=r"own_labels: neither .* upload one"):
        split(asked_for(3, own_labels="gold"), resized(), bucket())


def test_photo_with_an_own_label_is_not_asked_about_and_is_trained_on_it() -> None:
    data = split_with(csv_of(NAMES[:20]))
    run = asked_for(3)
    to_label = {line["image"] for line in data.read_lines(keys.split_key(run.name, "to-label"))}
    inventory = {line["photo"]: line.get("labelled_by") for line in data.read_lines(keys.inventory_key(run.name))}

    assert to_label == {image_of(name) for name in NAMES[20:]}
    assert {inventory[f"holiday/{name}"] for name in NAMES[:20]} == {"owner"}
    assert {inventory[f"holiday/{name}"] for name in NAMES[20:]} == {"teacher"}
    answers = [{"image": image, "answerer": "teacher", "status": "ok", "text": "dog, sea, sky"} for image in to_label]
    data.write_lines(keys.part_key(run.name, "label", "b"), answers)
    labels = read_labels(run, data)
    assert {labels[image_of(name)].text for name in NAMES[:20]} == {LABEL}
    assert {line.answerer for line in labels.values()} == {"owner", "teacher"}
    (size,) = write_dataset(run, [100], data)["sizes"]
    lines = list(data.read_lines(keys.dataset_key(run.name, f"train-{size}")))
    assert {line["messages"][1]["content"][0]["text"] for line in lines} == {LABEL, "dog, sea, sky"}


def test_gold_is_measured_against_and_the_teacher_is_asked_all_the_same() -> None:
    run = asked_for(3, own_labels="gold")
    data = split_with(f'photo,label\n{NAMES[0]},"cat"\n', run=run)
    to_label = {line["image"] for line in data.read_lines(keys.split_key(run.name, "to-label"))}

    assert len(to_label) == 40
    assert read_labels(run, data) == {}
    assert {image: line.text for image, line in read_run(run, [], data)._gold().items()} == {image_of(NAMES[0]): "cat"}


def test_names_match_however_their_accents_are_written() -> None:
    decomposed = "Cafe\u0301.jpg"

    assert own(split_with(f'photo,label\n{decomposed},"{LABEL}"\n')) == {"holiday/Café.jpg": LABEL}


def test_label_of_a_photo_that_cannot_be_used_is_left_out() -> None:
    data = split_with(f'{csv_of(["01.jpg"])}broken.jpg,"{LABEL}"\n')

    assert list(own(data)) == ["holiday/01.jpg"]
    assert json.loads(data.read(keys.split_facts_key("holiday-1")))["own_labels"] == 1


def test_upload_is_not_over_before_the_labels_are_there() -> None:
    photos = bucket(**{"holiday/01.jpg": b"x"})
    before = list_collection(photos, "holiday/", "")
    photos.write("holiday/labels.csv", b"photo,label")
    after = list_collection(photos, "holiday/", before["digest"])

    assert (after["photos"], after["settled"]) == (1, False)
    assert list_collection(photos, "holiday/", after["digest"])["settled"]
