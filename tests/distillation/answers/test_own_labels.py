from __future__ import annotations

import codecs
import json
from collections.abc import Iterable
from typing import Any

import pytest

from distillation import keys
from distillation.answers.own_labels import MAXIMUM_BYTES, parse_own_labels
from distillation.dataset.labels import read_labels
from distillation.dataset.writer import write_dataset
from distillation.errors import InvalidRequest
from distillation.evaluation.run_data import read_run
from distillation.photos.splits import split
from distillation.plain_text import csv_table
from distillation.records import InventoryLine, Run
from distillation.storage import Bucket
from tests.support.builders import run_with_limits
from tests.support.fakes import bucket
from tests.support.resized_collection import images_to_label
from tests.support.stored import read_json, read_lines

NAMES = [f"{n:02}.jpg" for n in range(40)]
LABEL = "cat, sofa, lamp"


def image_named(name: str) -> str:
    return f"{NAMES.index(name):064x}"


def resized_collection(*more_names: str) -> Bucket:
    """Return the Data bucket after ResizePhotos, with further photos that are duplicates."""
    data = bucket()
    lines: list[dict[str, Any]] = [
        {"photo": f"holiday/{name}", "status": "ok", "image": image_named(name), "width": 900, "height": 600}
        for name in NAMES
    ]
    lines += [lines[number] | {"photo": f"holiday/{name}"} for number, name in enumerate(more_names)]
    lines += [
        {"photo": "holiday/Café.jpg", "status": "ok", "image": image_named("00.jpg"), "width": 900, "height": 600},
        {"photo": "holiday/broken.jpg", "status": "refused", "reason": "damaged"},
        {"photo": "holiday/labels.csv", "status": "ignored"},
    ]
    data.write_lines(keys.part_key("holiday-1", "resize", "b"), lines)
    data.write_lines(keys.listing_key("holiday-1"), [{"photo": line["photo"]} for line in lines[:-1]])
    return data


def split_with(
    body: str | bytes, name: str = "labels.csv", run: Run | None = None, more_names: Iterable[str] = ()
) -> Bucket:
    """Split a collection with this file of own labels; return the Data bucket."""
    data = resized_collection(*more_names)
    encoded = body.encode() if isinstance(body, str) else body
    split(run or run_with_limits(3, 25), data, bucket(**{f"holiday/{name}": encoded}))
    return data


def csv_of(names: list[str]) -> str:
    return "photo,label\n" + "".join(f'{name},"{LABEL}"\n' for name in names)


def labels_by_photo(data: Bucket) -> dict[str, str]:
    return {line["photo"]: line["text"] for line in read_lines(data, keys.own_labels_key("holiday-1"))}


def test_mark_of_a_formula_and_invisible_characters_are_no_part_of_an_own_label() -> None:
    body = 'photo,label\n01.jpg,"\'=SUM, so\u200bfa\u202e, lamp"\n02.jpg,"می\u200cخواهم, sofa, lamp"\n'

    assert labels_by_photo(split_with(body)) == {
        "holiday/01.jpg": "=SUM, sofa, lamp",
        "holiday/02.jpg": "می\u200cخواهم, sofa, lamp",
    }


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("labels.csv", '\ufeffPhoto , Label,note\r\n01.jpg,"Cat; sofa\n- lamp",x\r\n'),
        ("labels.jsonl", '{"photo": "01.jpg", "label": "Cat, sofa, lamp."}\n\n'),
        ("labels.csv", "photo;label\r\n01.jpg;Cat, sofa, lamp\r\n"),
        ("labels.csv", "photo\tlabel\n01.jpg\tCat, sofa, lamp\n".encode("utf-16")),
        ("labels.csv", codecs.BOM_UTF16_BE + 'photo,label\n01.jpg,"Cat, sofa, lamp"\n'.encode("utf-16-be")),
        ("labels.jsonl", '{"photo": "01.jpg", "label": "Cat, sofa, lamp"}\n'.encode("utf-16")),
    ],
)
def test_own_labels_are_formatted_like_labels_of_the_teacher(name: str, body: str | bytes) -> None:
    assert labels_by_photo(split_with(body, name)) == {"holiday/01.jpg": "Cat, sofa, lamp"}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("", r"line 1 must name the columns photo and label"),
        ("photo,category\n01.jpg,cat", r"Instead of label it may name keywords \(missing: keywords; got"),
        ("photo,label,Label\n01.jpg,cat,dog", "line 1 names the column 'label' twice"),
        ("photo label\n01.jpg cat", r"line 1 must name the columns photo and label, separated by a comma, a semicolon"),
        (codecs.BOM_UTF16_LE + b"photo,label\n\n", "is not UTF-16"),
        ("photo,label\n", "contains no label"),
        ("photo,label\n01.jpg,cat, sofa, lamp\n", "line 2 does not have 2 fields.*double quotes"),
        ("photo,label\n01.jpg\n", "line 2 does not have 2 fields"),
        (
            "photo;label\n01.jpg;cat; sofa\n",
            "line 2 does not have 2 fields as line 1 has. Put labels with semicolons in",
        ),
        ('photo,label\n01.jpg,"cat, sofa\n', "Check its quotes"),
        (
            "photo,label\n1.jpg,cat\n",
            r"line 2 names '1.jpg', which is not a photo in 'holiday/'. Did you mean '.1.jpg'",
        ),
        ("photo,label\n,cat\n", "line 2 names no photo"),
        ("photo,label\nlabels.csv,cat\n", "line 2 names 'labels.csv', which is not a photo"),
        (f'{csv_of(["01.jpg"])}01.jpg,"{LABEL}"', "line 3 is a second label for '01.jpg', after line 2. Keep one"),
        (
            f'{csv_of(["00.jpg"])}Café.jpg,"dog, sea, sky"',
            "'Café.jpg' differently from 'holiday/00.jpg', .* same image",
        ),
        ("photo,label\n01.jpg,  \n", "line 2 has an empty label for '01.jpg'"),
        ("photo,label\n01.jpg,User: x\n", "line 2 has a label that contains User:, which Bedrock reserves"),
        ('photo,label\n01.jpg,"cat, sofa"\n', "that has 2 distinct keywords, not 3 to 25. .*set keywords_min to 2 in"),
        (f"photo,label\n01.jpg,{'x' * 1601}\n", "a label of 1601 characters, more than the 1600"),
        (b"photo,label\n01.jpg,\xe9t\xe9\n", "line 2 is not UTF-8. Save the file as UTF-8"),
        (b"x" * (MAXIMUM_BYTES + 1), "has 33,554,433 bytes, more than 33,554,432"),
    ],
)
def test_invalid_file_of_labels_is_refused_with_line_and_remedy(body: str | bytes, message: str) -> None:
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
        '{"photo": "01.jpg", "label": 5}',
        '{"photo": "01.jpg", "label": null}',
        r'{"photo": "a", "label": "\ud83d"}',
        r'{"photo": "a", "label": {"\ud83d": 1}}',
    ],
)
def test_invalid_line_of_json_is_refused_with_its_number(line: str) -> None:
    with pytest.raises(
        InvalidRequest,
        match=r"labels\.jsonl line 2 (is not valid JSON|must have the form|contains an unpaired surrogate)",
    ):
        split_with('{"photo": "01.jpg", "label": "cat, sofa, lamp"}\n' + line, "labels.jsonl")


FIELDS: dict[str, Any] = {
    "format": "fields",
    "fields": [
        {"name": "subject", "type": "string"},
        {"name": "Number of people", "type": "number"},
        {"name": "colours", "type": "list"},
        {"name": "is_portrait", "type": "boolean"},
    ],
}
CLASSES: dict[str, Any] = {"format": "class", "labels": ["none", "scratch", "dent"]}
OBJECT = {"subject": "old dog", "Number of people": 2, "colours": ["blue", "dark green"], "is_portrait": False}


def run_with_answers(answers: dict[str, Any], **request: Any) -> Run:
    return run_with_limits(1, 25, **request).model_copy(update={"answers": answers})


@pytest.mark.parametrize(
    ("name", "body"),
    [
        (
            "labels.csv",
            'Photo,Subject,number of people,colours,is_portrait,note\n01.jpg,old dog,2,"blue, dark green",FALSE,x\n',
        ),
        (
            "labels.csv",
            "photo;is_portrait;colours;subject;number of people\r\n01.jpg;no;blue,dark green;old dog;2,0\r\n",
        ),
        ("labels.csv", 'photo,label\n01.jpg,"' + json.dumps(OBJECT).replace('"', '""') + '"\n'),
        ("labels.jsonl", json.dumps({"photo": "01.jpg", "label": OBJECT})),
        ("labels.jsonl", json.dumps({"photo": "01.jpg", "label": json.dumps(OBJECT)})),
    ],
    ids=["columns", "semicolons", "object-in-cell", "object", "text"],
)
def test_own_label_with_fields_has_a_column_for_each_or_an_object(name: str, body: str) -> None:
    data = split_with(body, name, run_with_answers(FIELDS))

    assert {photo: json.loads(text) for photo, text in labels_by_photo(data).items()} == {"holiday/01.jpg": OBJECT}


@pytest.mark.parametrize("own_labels", ["train", "gold"])
@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            "01.jpg,dog,two,blue,true",
            "line 2 has a label that does not have every field: 'Number of people' is \"two\"",
        ),
        ("01.jpg,dog,,blue,true", "'Number of people' is missing"),
        ("01.jpg, ,,,", "line 2 has an empty label"),
        ("01.jpg,dog,1,User: red,true", "contains User:, which Bedrock reserves"),
    ],
    ids=["not-a-number", "missing", "empty", "reserved"],
)
def test_own_label_without_a_valid_value_of_each_field_is_refused(row: str, message: str, own_labels: str) -> None:
    with pytest.raises(InvalidRequest) as error:
        split_with(
            f"photo,subject,number of people,colours,is_portrait\n{row}\n",
            run=run_with_answers(FIELDS, own_labels=own_labels),
        )

    assert message in str(error.value)


def test_own_labels_without_a_column_of_a_field_are_refused_with_its_name() -> None:
    with pytest.raises(
        InvalidRequest, match=r"it may name subject, number of people, .*missing: colours, is_portrait;"
    ):
        split_with("photo,subject,number of people\n01.jpg,dog,1\n", run=run_with_answers(FIELDS))


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("labels.csv", "photo,label\n01.jpg,None\n02.jpg, scratch\n"),
        ("labels.csv", "photo,Class\n01.jpg,none\n02.jpg,Scratch\n"),
        ("labels.jsonl", '{"photo": "01.jpg", "label": "none"}\n{"photo": "02.jpg", "label": "scratch"}'),
    ],
    ids=["label", "class", "JSON Lines"],
)
def test_own_class_is_written_as_the_prompt_names_it(name: str, body: str) -> None:
    data = split_with(body, name, run_with_answers(CLASSES))

    assert labels_by_photo(data) == {"holiday/01.jpg": "none", "holiday/02.jpg": "scratch"}


def test_own_keywords_may_be_a_list_of_json() -> None:
    body = json.dumps({"photo": "01.jpg", "label": ["cat", "sofa", "lamp"]})

    assert labels_by_photo(split_with(body, "labels.jsonl")) == {"holiday/01.jpg": "cat, sofa, lamp"}


def test_error_lists_ten_problems_and_counts_the_rest() -> None:
    with pytest.raises(InvalidRequest) as error:
        split_with("photo,label\n" + "nothing,cat\n" * 13)

    assert str(error.value).count("nothing") == 10
    assert str(error.value).endswith("And 3 more.")


def test_message_about_limits_has_the_values_that_allow_all_labels() -> None:
    long = ", ".join(f"word {letter}" for letter in "abcdefgh")
    with pytest.raises(InvalidRequest) as error:
        split_with(f'photo,label\n01.jpg,"cat, sofa"\n02.jpg,"{long}"\n', run=run_with_limits(3, 5))

    assert str(error.value).endswith(
        "To train on all labels, set keywords_min to 2 and keywords_max to 8 in distill.json. "
        "Or set own_labels to gold."
    )


@pytest.mark.parametrize(
    ("label", "to_set"),
    [
        ("!!!", "set keywords_min to 2 in distill.json."),
        ("a label that is a whole long sentence", "set keywords_min to 2 in distill.json."),
        (
            ", ".join(f"word {number}" for number in range(130)),
            "set keywords_min to 2 and keywords_max to 100 in distill.json and shorten those with more than 100 "
            "keywords.",
        ),
    ],
)
def test_message_about_limits_has_only_values_that_a_request_may_have(label: str, to_set: str) -> None:
    with pytest.raises(InvalidRequest) as error:
        split_with(f'photo,label\n Cafe\u0301.jpg,"cat, sofa"\n02.jpg,"{label}"\n')

    assert str(error.value).endswith(f"To train on all labels, {to_set} Or set own_labels to gold.")


def test_limits_of_the_prompt_and_of_the_student_do_not_refuse_gold_labels() -> None:
    run = run_with_limits(15, 25, own_labels="gold", max_tokens=50)
    body = f'photo,label\n01.jpg,"cat, sofa"\n02.jpg,"{", ".join(f"long word {number}" for number in range(40))}"\n'

    assert len(labels_by_photo(split_with(body, run=run))) == 2


@pytest.mark.parametrize("name", ["Labels.CSV", "LABELS.jsonl"])
def test_file_name_in_another_case_is_refused_with_the_name_to_use(name: str) -> None:
    with pytest.raises(InvalidRequest, match=rf"{name} would not be read. Upload it as {name.lower()}"):
        split_with(csv_of(["01.jpg"]), name)


def test_file_is_checked_before_the_images_exist() -> None:
    inventory = [InventoryLine(photo="holiday/01.jpg", status="ok")]
    run = run_with_limits(3, 25)

    assert parse_own_labels(run, "labels.csv", csv_of(["01.jpg"]).encode(), inventory).labels == []
    with pytest.raises(InvalidRequest, match=r"line 2 names '02\.jpg', which is not a photo"):
        parse_own_labels(run, "labels.csv", csv_of(["02.jpg"]).encode(), inventory)


def test_two_files_and_a_missing_required_file_are_refused() -> None:
    files = {"holiday/labels.csv": b"", "holiday/labels.jsonl": b""}
    with pytest.raises(InvalidRequest, match=r"labels\.csv and labels\.jsonl are both in 'holiday/'. Keep one"):
        split(run_with_limits(3, 25), resized_collection(), bucket(**files))
    with pytest.raises(InvalidRequest, match=r"own_labels: neither .* Upload one"):
        split(run_with_limits(3, 25, own_labels="gold"), resized_collection(), bucket())


def test_own_label_replaces_the_label_of_the_teacher_in_training() -> None:
    data = split_with(csv_of(NAMES[:20]))
    run = run_with_limits(3, 25)
    to_label = set(images_to_label(data))
    inventory = {line["photo"]: line.get("labelled_by") for line in read_lines(data, keys.inventory_key(run.name))}

    assert to_label == {image_named(name) for name in NAMES[20:]}
    assert {inventory[f"holiday/{name}"] for name in NAMES[:20]} == {"owner"}
    assert {inventory[f"holiday/{name}"] for name in NAMES[20:]} == {"teacher"}
    answers = [{"image": image, "answerer": "teacher", "status": "ok", "text": "dog, sea, sky"} for image in to_label]
    data.write_lines(keys.part_key(run.name, "label", "b"), answers)
    labels = read_labels(run, data)
    assert {labels[image_named(name)].text for name in NAMES[:20]} == {LABEL}
    assert {line.answerer for line in labels.values()} == {"owner", "teacher"}
    (size,) = write_dataset(run, 1, [100], data).sizes
    lines = list(read_lines(data, keys.dataset_key(run.name, f"train-{size}")))
    assert {line["messages"][1]["content"][0]["text"] for line in lines} == {LABEL, "dog, sea, sky"}


def test_gold_labels_do_not_replace_labels_of_the_teacher() -> None:
    run = run_with_limits(3, 25, own_labels="gold")
    data = split_with(f'photo,label\n{NAMES[0]},"cat"\n', run=run)
    to_label = set(images_to_label(data))

    assert len(to_label) == 40
    assert read_labels(run, data) == {}
    answers = [{"image": image, "answerer": "teacher", "status": "ok", "text": "dog, sea, sky"} for image in to_label]
    data.write_lines(keys.part_key(run.name, "label", "b"), answers)
    gold_labels = read_run(run, 1, [], data)._gold_labels()
    assert {image: line.text for image, line in gold_labels.items()} == {image_named(NAMES[0]): "cat"}


def test_names_match_in_both_unicode_forms_of_an_accent() -> None:
    decomposed = "Cafe\u0301.jpg"

    assert labels_by_photo(split_with(f'photo,label\n{decomposed},"{LABEL}"\n')) == {"holiday/Café.jpg": LABEL}


def test_names_copied_from_the_table_of_results_match() -> None:
    names = (" =a\u200e.jpg", "'-b\n;@c.jpg")
    table = csv_table([("photo", "label"), *((name, LABEL) for name in names)])

    assert list(labels_by_photo(split_with(table, more_names=names))) == [f"holiday/{name}" for name in names]


def test_shown_name_of_several_photos_is_refused_and_their_exact_names_match() -> None:
    names = ("d\u200b.jpg", "d\u2060.jpg")
    with pytest.raises(InvalidRequest, match=r"names 'd\.jpg', which is not a photo"):
        split_with(csv_of(["d.jpg"]), more_names=names)
    assert list(labels_by_photo(split_with(csv_of(["d\u2060.jpg"]), more_names=names))) == ["holiday/d\u2060.jpg"]


def test_label_of_an_unusable_photo_is_left_out() -> None:
    data = split_with(f'{csv_of(["01.jpg"])}broken.jpg,"{LABEL}"\n')

    assert list(labels_by_photo(data)) == ["holiday/01.jpg"]
    assert read_json(data, keys.split_facts_key("holiday-1"))["own_labels"] == 1


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("labels.csv", f'photo,label,use\n01.jpg,"{LABEL}",yes\n02.jpg,,no\n03.jpg,"not, valid",No\n'),
        ("labels.csv", f'Use;Photo;Label\n;01.jpg;"{LABEL}"\nNO;02.jpg;\nFALSE;03.jpg;{LABEL}\n'),
        (
            "labels.jsonl",
            json.dumps({"photo": "01.jpg", "label": LABEL})
            + '\n{"photo": "02.jpg", "use": "no"}\n{"photo": "03.jpg", "label": "not, valid", "use": false}',
        ),
    ],
    ids=["CSV", "semicolons", "JSON Lines"],
)
@pytest.mark.parametrize("own_labels", ["train", "gold"])
def test_rejected_photos_are_in_no_set_and_the_inventory_says_why(name: str, body: str, own_labels: str) -> None:
    run = run_with_limits(3, 25, own_labels=own_labels)
    data = split_with(body, name, run)
    lines = {line["photo"]: line for line in read_lines(data, keys.inventory_key("holiday-1"))}
    rejected = {image_named("02.jpg"), image_named("03.jpg")}

    assert labels_by_photo(data) == {"holiday/01.jpg": LABEL}
    for photo in ("holiday/02.jpg", "holiday/03.jpg"):
        assert lines[photo]["status"] == "excluded"
        assert lines[photo]["reason"] == "rejected by your own labels"
        assert "set" not in lines[photo]
    listed = {
        line["image"] for set_ in ("train", "test") for line in read_lines(data, keys.split_key("holiday-1", set_))
    }
    assert len(listed) == 38
    assert not rejected & listed
    assert not rejected & set(images_to_label(data))
    facts = read_json(data, keys.split_facts_key("holiday-1"))
    assert (facts["excluded"], facts["rejected"], facts["own_labels"]) == (2, 2, 1)


def test_file_that_only_rejects_photos_needs_no_label() -> None:
    data = split_with("photo,use\n02.jpg,no\n")

    assert read_json(data, keys.split_facts_key("holiday-1"))["rejected"] == 1
    with pytest.raises(InvalidRequest, match=r"line 2 has an empty label for '02\.jpg'"):
        split_with("photo,use\n02.jpg,yes\n")


def test_rejected_photo_with_fields_needs_no_value_of_them() -> None:
    body = "photo,subject,number of people,colours,is_portrait,use\n01.jpg,,,,,no\n"
    data = split_with(body, run=run_with_answers(FIELDS))

    assert read_json(data, keys.split_facts_key("holiday-1"))["rejected"] == 1


@pytest.mark.parametrize(
    ("name", "body", "message"),
    [
        ("labels.csv", f'photo,label,use\n01.jpg,"{LABEL}",maybe\n', "has 'maybe' as use of '01.jpg'. Write yes or no"),
        ("labels.jsonl", json.dumps({"photo": "01.jpg", "label": LABEL, "use": [0]}), "Write yes or no"),
        ("labels.csv", "photo,label,use\nother.jpg,,no\n", "'other.jpg', which is not a photo"),
        ("labels.csv", f'photo,label,use\n01.jpg,,no\n01.jpg,"{LABEL}",yes\n', "is a second label"),
        ("labels.csv", f'photo,label,use,use\n01.jpg,"{LABEL}",yes,no\n', "names the column 'use' twice"),
        (
            "labels.csv",
            f'photo,label,use\n00.jpg,"{LABEL}",yes\nCafé.jpg,,no\n',
            "uses one of 'Café.jpg' and 'holiday/00.jpg', which are the same image",
        ),
    ],
    ids=["another word", "a list", "unknown photo", "twice", "column twice", "same image"],
)
def test_use_that_cannot_be_followed_is_refused(name: str, body: str, message: str) -> None:
    with pytest.raises(InvalidRequest) as error:
        split_with(body, name)

    assert message in str(error.value)
