from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distillation import keys
from distillation.answers.own_labels import read_own_labels
from distillation.documents import ApplyReport, Audit
from distillation.errors import InvalidRequest, ObjectDamaged, ObjectMissing, ToleranceExceeded
from distillation.records import InventoryLine, Run
from distillation.run_documents import read_report
from distillation.runs.list_images import list_images
from distillation.runs.notification import run_message
from distillation.runs.result_tables import write_results
from distillation.storage import Bucket
from tests.support.apply_run import REFUSED_PHOTO, answer_line, resized_photos
from tests.support.builders import any_interval, any_run
from tests.support.fakes import bucket
from tests.support.stored import read_lines


def test_each_photo_has_a_row_with_its_keywords_or_a_reason() -> None:
    run, data = resized_photos(
        {"photo": "holiday/a.jpg", "image": "aa"},
        {"photo": "holiday/b.jpg", "image": "aa"},
        {"photo": "holiday/d.jpg", "image": "dd"},
        REFUSED_PHOTO,
    )
    list_images(run, data, bucket())
    answers = [answer_line("aa", "cat, sofa"), answer_line("dd", "I cannot", "refused")]
    data.write_lines(keys.part_key(run.name, "predict", "b"), answers)
    result = write_results(run, None, data)
    table = list(csv.DictReader(io.StringIO(data.read(result.results_key).decode())))
    lines = [json.loads(line) for line in data.iter_lines(keys.results_key(run.name, "jsonl"))]

    assert [(row["photo"], row["keywords"], row["reason"], row["answered_by"]) for row in table] == [
        ("a.jpg", "cat, sofa", "", "tuned"),
        ("b.jpg", "cat, sofa", "", "tuned"),
        ("c.jpg", "", "damaged", ""),
        ("d.jpg", "", "not a list", ""),
    ]
    assert lines[0]["answer"] == ["cat", "sofa"]
    assert result.verdict.endswith("answered about 2 of 4 photos.")
    subject, text = run_message(run.name, data)
    assert "2 set aside" in subject
    assert "results.csv" in text


@given(
    st.lists(st.sampled_from(["=1+2", "-cat", "@dog", "+x", "'=y", "می\u200cخواهم", "lamp"]), min_size=1, unique=True)
)
def test_table_of_results_can_be_uploaded_as_own_labels_without_a_change(names: list[str]) -> None:
    run, data = resized_photos(*({"photo": f"holiday/{name}", "image": f"{name}"} for name in names))
    list_images(run, data, bucket())
    data.write_lines(keys.part_key(run.name, "predict", "b"), [answer_line(name, f"{name}, sofa") for name in names])
    labels = data.read(write_results(run, None, data).results_key)
    rows = list(csv.reader(io.StringIO(labels.decode())))
    inventory = [InventoryLine(photo=f"holiday/{name}", status="ok", image=name) for name in names]
    parsed = read_own_labels(any_run(own_labels="gold"), bucket(**{"holiday/labels.csv": labels}), inventory).labels

    assert not [cell for row in rows for cell in row if cell.startswith(("=", "+", "-", "@"))]
    assert {label.photo for label in parsed} == {f"holiday/{name}" for name in names}


LISTING: dict[str, Any] = {
    "format": "fields",
    "fields": [
        {"name": "Subject", "type": "string"},
        {"name": "height", "type": "number"},
        {"name": "colours", "type": "list"},
        {"name": "is_portrait", "type": "boolean"},
    ],
}


def test_answer_with_fields_has_a_column_for_each_and_can_be_uploaded_as_own_labels() -> None:
    run, data = resized_photos(*({"photo": f"holiday/{name}.jpg", "image": name} for name in "abc"))
    run = run.model_copy(update={"answers": LISTING})
    list_images(run, data, bucket())
    answers = {
        "a": {"Subject": "=dog", "height": -2, "colours": ["blue, pale", "red"], "is_portrait": True},
        "b": {"Subject": "", "height": 1.5, "colours": [], "is_portrait": False},
        "c": {"Subject": "cat", "colours": ["-red"], "is_portrait": False},
    }
    lines = [answer_line(image, f"```json\n{json.dumps(answer)}\n```") for image, answer in answers.items()]
    data.write_lines(keys.part_key(run.name, "predict", "b"), lines)
    table = data.read(write_results(run, None, data).results_key)
    results = list(read_lines(data, keys.results_key(run.name, "jsonl")))
    inventory = [InventoryLine(photo=f"holiday/{image}.jpg", status="ok", image=image) for image in answers]
    owner = any_run().model_copy(update={"answers": LISTING})
    complete = b"".join(table.splitlines(keepends=True)[:3])
    labels = read_own_labels(owner, bucket(**{"holiday/labels.csv": complete}), inventory).labels

    assert list(csv.reader(io.StringIO(table.decode()))) == [
        ["photo", "status", "Subject", "height", "colours", "is_portrait", "reason", "answered_by"],
        ["a.jpg", "ok", "'=dog", "-2", '["blue, pale", "red"]', "true", "", "tuned"],
        ["b.jpg", "ok", "", "1.5", "", "false", "", "tuned"],
        ["c.jpg", "ok", "cat", "", "'-red", "false", "", "tuned"],
    ]
    assert {line["image"]: line["answer"] for line in results} == answers
    assert [json.loads(label.text) for label in labels] == [answers["a"], answers["b"]]
    with pytest.raises(InvalidRequest, match=r"line 4 has a label that does not have every field: 'height' is missing"):
        read_own_labels(owner, bucket(**{"holiday/labels.csv": table}), inventory)


@pytest.mark.parametrize(
    ("answers", "text", "column", "cell"),
    [
        ({"format": "class", "labels": ["cat", "none"]}, "None.", "class", "none"),
        ({"format": "caption"}, "A cat sleeps on an old red sofa beside a large window.", "caption", None),
    ],
    ids=["class", "caption"],
)
def test_answer_of_one_column_is_in_the_column_of_its_format(
    answers: dict[str, Any], text: str, column: str, cell: str | None
) -> None:
    run, data = resized_photos({"photo": "holiday/a.jpg", "image": "aa"})
    run = run.model_copy(update={"answers": answers})
    list_images(run, data, bucket())
    data.write_lines(keys.part_key(run.name, "predict", "b"), [answer_line("aa", text)])
    table = data.read(write_results(run, None, data).results_key)
    (line,) = read_lines(data, keys.results_key(run.name, "jsonl"))
    inventory = [InventoryLine(photo="holiday/a.jpg", status="ok", image="aa")]
    owner = any_run().model_copy(update={"answers": answers})
    (label,) = read_own_labels(owner, bucket(**{"holiday/labels.csv": table}), inventory).labels

    assert next(csv.DictReader(io.StringIO(table.decode())))[column] == (cell or text)
    assert line["answer"] == label.text == (cell or text)


def test_table_and_keywords_have_no_invisible_characters_and_names_for_programs_have_them() -> None:
    run, data = resized_photos({"photo": "holiday/a\u202egpj.exe", "image": "aa"})
    list_images(run, data, bucket())
    data.write_lines(keys.part_key(run.name, "predict", "b"), [answer_line("aa", "c\u200bat, =sofa\x07")])
    key = write_results(run, None, data).results_key

    assert data.read(key).decode().splitlines()[1] == 'agpj.exe,ok,"cat, =sofa",,tuned'
    assert next(read_lines(data, keys.results_key(run.name, "jsonl"))) | {"image": None} == {
        "photo": "a\u202egpj.exe",
        "status": "ok",
        "answered_by": "tuned",
        "answer": ["cat", "=sofa"],
        "reason": None,
        "image": None,
    }


def test_more_refused_answers_than_the_tolerance_fail_the_run() -> None:
    run, data = resized_photos(*({"photo": f"holiday/{n}.jpg", "image": f"{n}"} for n in range(3)))
    list_images(run, data, bucket())
    answers = [answer_line(f"{n}", "no", "refused") for n in range(3)]
    data.write_lines(keys.part_key(run.name, "predict", "b"), answers)
    with pytest.raises(ToleranceExceeded, match="not a list"):
        write_results(run, None, data)


def applied_run() -> tuple[Run, Bucket]:
    """Return a run with ``apply`` about three images, in two batches, after PredictImages."""
    run, data = resized_photos(*({"photo": f"holiday/{n}.jpg", "image": f"{n % 3}"} for n in range(4)))
    list_images(run, data, bucket())
    run = run.model_copy(update={"images_per_batch": 2})
    for images in (["0", "1"], ["2"]):
        part = keys.part_key(run.name, "predict", keys.batch_id(images))
        data.write_lines(part, [answer_line(image, "cat, sofa") for image in images])
    return run, data


def applied_with_fallback(*lines: dict[str, Any], **request: Any) -> tuple[Run, Bucket]:
    """Return a run with ``fallback`` about the images ``aa`` (of two photos) and ``dd``, with these answers."""
    run, data = resized_photos(
        {"photo": "holiday/a.jpg", "image": "aa"},
        {"photo": "holiday/b.jpg", "image": "aa"},
        {"photo": "holiday/d.jpg", "image": "dd"},
        fallback="teacher",
        **request,
    )
    list_images(run, data, bucket())
    data.write_lines(keys.part_key(run.name, "predict", "b"), lines)
    return run, data


def test_photo_without_a_valid_answer_of_the_tuned_model_has_the_teachers() -> None:
    run, data = applied_with_fallback(
        answer_line("aa", "I cannot", "refused"),
        answer_line("dd", "cat, sofa"),
        answer_line("aa", "lamp, table", answerer="fallback"),
        answer_line("dd", "an answer of the audit", answerer="audit"),
    )
    result = write_results(run, None, data)
    table = list(csv.DictReader(io.StringIO(data.read(result.results_key).decode())))
    report = read_report(run.name, data)

    assert [(row["photo"], row["status"], row["keywords"], row["answered_by"]) for row in table] == [
        ("a.jpg", "ok", "lamp, table", "teacher"),
        ("b.jpg", "ok", "lamp, table", "teacher"),
        ("d.jpg", "ok", "cat, sofa", "tuned"),
    ]
    assert isinstance(report, ApplyReport)
    assert (report.fallbacks, report.set_aside) == (2, 0)
    assert result.verdict == (
        "The model of run tuned-1 answered about 1 of 3 photos. "
        "The teacher answered about 2 more, where the model's answer was not valid."
    )


def test_photo_that_neither_model_answered_about_has_both_reasons() -> None:
    run, data = applied_with_fallback(
        answer_line("aa", "I cannot", "refused"),
        answer_line("dd", "cat, sofa"),
        answer_line("aa", "no", "refused", answerer="fallback"),
        tolerance=1,
    )
    table = list(csv.DictReader(io.StringIO(data.read(write_results(run, None, data).results_key).decode())))

    assert table[0]["reason"] == "tuned model: not a list; teacher: not a list"
    assert (table[0]["status"], table[0]["answered_by"]) == ("set aside", "")


def test_missing_answer_of_the_fallback_is_named() -> None:
    run, data = applied_with_fallback(answer_line("aa", "I cannot", "refused"), answer_line("dd", "cat, sofa"))
    with pytest.raises(ObjectMissing, match="1 of 1 images have no line of the teacher, the fallback"):
        write_results(run, None, data)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        (
            {},
            "Audit: on 20 random images the model agrees with the teacher by 0.50 (95 % CI 0.49-0.51); in its",
        ),
        ({}, "in its evaluation by 0.52 (95 % CI 0.51-0.53)."),
        ({"asked": 22}, "(2 more have no label of the teacher); in its"),
        ({"evaluation": None}, "(95 % CI 0.49-0.51); its evaluation cannot be compared with it."),
        ({"drifted": True}, "The photos have drifted from those that the model was trained on: train again"),
        (
            {"images": 0, "agreement": None, "reason": "no access"},
            "The audit failed: the teacher labelled none of 20 images. no access",
        ),
    ],
)
def test_verdict_has_the_audit_beside_the_evaluation(fields: dict[str, Any], text: str) -> None:
    audit = Audit(
        **{
            **{"asked": 20, "images": 20, "agreement": any_interval(0.5), "evaluation": any_interval(0.52)},
            **{"drifted": False},
            **fields,
        }
    )
    run, data = applied_run()

    assert text in write_results(run, audit, data).verdict
    assert text in run_message(run.name, data)[1]
    report = read_report(run.name, data)
    assert isinstance(report, ApplyReport)
    assert report.audit == audit


def test_missing_part_of_the_answers_is_named() -> None:
    run, data = applied_run()
    part = keys.part_key(run.name, "predict", keys.batch_id(["2"]))
    del data.client.objects[part]  # type: ignore[attr-defined]

    with pytest.raises(
        ObjectMissing, match=f"1 of 3 images have no line of the tuned model. First 2: s3://data/{part}"
    ):
        write_results(run, None, data)


def test_inventory_that_was_cut_off_is_named() -> None:
    run, data = applied_run()
    key = keys.inventory_key(run.name)
    data.write(key, b"".join(data.read(key).splitlines(keepends=True)[:-1]))

    with pytest.raises(ObjectDamaged, match=f"s3://data/{key} has no line of 1 of 4 photos, first 'holiday/3.jpg'"):
        write_results(run, None, data)


@pytest.mark.parametrize("damage", [b"", b"\xff", b"{}"])
def test_damaged_estimate_does_not_lose_the_answers(damage: bytes) -> None:
    run, data = applied_run()
    data.write(keys.estimate_key(run.name), damage)

    assert write_results(run, None, data).verdict.endswith("answered about 4 of 4 photos.")
    assert "estimated: unknown" in run_message(run.name, data)[1]
