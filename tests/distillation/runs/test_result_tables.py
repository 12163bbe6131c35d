from __future__ import annotations

import csv
import io
import json

import pytest

from distillation import keys
from distillation.errors import ToleranceExceeded
from distillation.runs.list_images import list_images
from distillation.runs.notification import run_message
from distillation.runs.result_tables import write_results
from tests.support.applying import REFUSED_PHOTO, answer_line, resized_photos


def test_each_photo_has_a_row_with_its_keywords_or_a_reason() -> None:
    run, data = resized_photos(
        {"photo": "holiday/a.jpg", "image": "aa"},
        {"photo": "holiday/b.jpg", "image": "aa"},
        {"photo": "holiday/d.jpg", "image": "dd"},
        REFUSED_PHOTO,
    )
    list_images(run, data)
    answers = [answer_line("aa", "cat, sofa"), answer_line("dd", "I cannot", "refused")]
    data.write_lines(keys.part_key(run.name, "predict", "b"), answers)
    result = write_results(run, data)
    table = list(csv.DictReader(io.StringIO(data.read(result.results_key).decode())))
    lines = [json.loads(line) for line in data.iter_lines(keys.results_key(run.name, "jsonl"))]

    assert [(row["photo"], row["keywords"], row["reason"]) for row in table] == [
        ("a.jpg", "cat, sofa", ""),
        ("b.jpg", "cat, sofa", ""),
        ("c.jpg", "", "damaged"),
        ("d.jpg", "", "not a list"),
    ]
    assert lines[0]["keywords"] == ["cat", "sofa"]
    assert result.verdict.endswith("answered about 2 of 4 photos.")
    subject, text = run_message(run.name, data)
    assert "2 set aside" in subject
    assert "results.csv" in text


def test_more_refused_answers_than_the_tolerance_fail_the_run() -> None:
    run, data = resized_photos(*({"photo": f"holiday/{n}.jpg", "image": f"{n}"} for n in range(3)))
    list_images(run, data)
    answers = [answer_line(f"{n}", "no", "refused") for n in range(3)]
    data.write_lines(keys.part_key(run.name, "predict", "b"), answers)
    with pytest.raises(ToleranceExceeded, match="not a list"):
        write_results(run, data)
