"""Files of answers, read by ``distill evaluate``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from distillation.plain_text import csv_table
from tests.cli.test_evaluate import CATEGORY, LABELS, write_answers
from tests.support.command import distill


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "contains no answers"),
        ("{", "student.jsonl:1: not valid JSON"),
        ("[1]", "no image name"),
        ('{"image": "a", "text": true}', "student.jsonl:1: text"),
        ("name,size\na,b", "student.jsonl:1: the columns 'name, size' name no image or no answer"),
        ("image,text\na,cat, sofa", "student.jsonl:2: not as many fields as line 1"),
        ('[{"image": "a", "text": "cat"}, {"text": "cat"}]', "student.jsonl: answer 2: the answer has no image name"),
        ('{"image": "a"}\n{"image": "a"}', "student.jsonl:2: second answer about a."),
        ('{"image": "a", "group": ["x"]}', "student.jsonl:1: group is not a string"),
        ('{"image": "z"}', "no image in common"),
    ],
)
def test_invalid_file_is_named_with_line_and_remedy(tmp_path: Path, text: str, message: str) -> None:
    arguments = write_answers(tmp_path, ["a", "b"])[:4]
    (tmp_path / "student.jsonl").write_text(text, "utf-8")

    result = distill("evaluate", *arguments, "--out", tmp_path / "out")

    assert result.exit_code == 2
    assert message in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("body", "layout"),
    [
        (json.dumps([{"image": image, "text": text} for image, text in LABELS.items()]), "JSON"),
        (json.dumps([{"image": image, "keywords": text.split(", ")} for image, text in LABELS.items()]), "JSON"),
        (json.dumps(LABELS), "JSON"),
        (json.dumps({"answers": [{"photo": image, "text": text} for image, text in LABELS.items()]}, indent=1), "JSON"),
        ("image,text\n" + "".join(f'{image},"{text}"\r\n' for image, text in LABELS.items()), "CSV"),
        ("photo;label\n" + "".join(f"{image};{text}\n" for image, text in LABELS.items()), "CSV"),
        ("\n".join(json.dumps({"image": image, "text": text}) for image, text in LABELS.items()), "JSON Lines"),
        ('{"image": "a", "text": "cat, sofa\u2028lamp"}\n', "JSON Lines"),
        ('{"image": "a", "text": {"cat": 0.9, "sofa": 0.8, "lamp": 0.7}}\n', "JSON Lines"),
        ('{"image": "a", "labels": [{"Name": "Cat"}, {"Name": "Sofa"}, {"Name": "Lamp"}]}\n', "JSON Lines"),
    ],
)
def test_answers_are_read_from_json_lines_json_and_csv(tmp_path: Path, body: str, layout: str) -> None:
    teacher, student = tmp_path / "teacher.jsonl", tmp_path / "student"
    teacher.write_text("".join(json.dumps({"image": i, "text": t}) + "\n" for i, t in LABELS.items()), "utf-8")
    student.write_text(body, "utf-8", newline="")
    result = distill("evaluate", "--teacher", teacher, "--student", student, "--out", tmp_path / "out", "--json")
    report = json.loads(result.stdout)

    assert report["files"]["student"]["layout"] == layout
    answered = report["files"]["student"]["answers"]
    assert report["unanswered"] == 3 - answered
    assert report["evaluation"]["agreement"]["tuned"]["student"]["mean"] == pytest.approx(answered / 3)


def test_csv_that_was_protected_from_formulas_has_the_original_names_and_keywords(tmp_path: Path) -> None:
    (tmp_path / "results.csv").write_bytes(csv_table([["photo", "label"], ["-cat.jpg", "=sum, @home"]]))
    (tmp_path / "student.jsonl").write_text('{"image": "-cat.jpg", "text": "=sum, @home"}', "utf-8")
    files = ("--teacher", tmp_path / "results.csv", "--student", tmp_path / "student.jsonl")

    report = json.loads(distill("evaluate", *files, "--out", tmp_path / "out", "--json").stdout)

    assert report["files"]["student"]["unknown"] == []
    assert report["evaluation"]["agreement"]["tuned"]["student"]["mean"] == 1


FIELDS_PROMPT = """
system = "You fill in forms."
user = "Fill in the form. {answer_format}"
[answers]
format = "fields"
[[answers.fields]]
name = "Name"
type = "string"
[[answers.fields]]
name = "text"
type = "list"
[[answers.fields]]
name = "people"
type = "number"
"""


@pytest.mark.parametrize(
    ("prompt", "table", "answer"),
    [
        (
            FIELDS_PROMPT,
            [["photo", "status", "Name", "text", "people", "reason"], ["a.jpg", "ok", "=cat", "red, old", -2, ""]],
            {"Name": "=cat", "text": ["old", "red"], "people": -2},
        ),
        ("category", [["photo", "status", "class", "reason"], ["a.jpg", "ok", "animals", ""]], "animals"),
    ],
    ids=["fields", "class"],
)
def test_table_of_results_in_any_format_is_read(
    tmp_path: Path, prompt: str, table: list[list[Any]], answer: object
) -> None:
    blank = ["b.jpg", "set aside", *[""] * (len(table[0]) - 3), "damaged"]
    (tmp_path / "results.csv").write_bytes(csv_table([*table, blank]))
    lines = [{"photo": photo, "answer": answer} for photo in ("a.jpg", "b.jpg")]
    (tmp_path / "teacher.jsonl").write_text("\n".join(map(json.dumps, lines)), "utf-8")
    if "\n" in prompt:
        (tmp_path / "form.toml").write_text(prompt, "utf-8")
        prompt = str(tmp_path / "form.toml")
    files = ("--teacher", tmp_path / "teacher.jsonl", "--student", tmp_path / "results.csv")
    result = distill("evaluate", *files, "--prompt", prompt, "--out", tmp_path / "out", "--json")

    assert json.loads(result.stdout)["evaluation"]["agreement"]["tuned"]["student"]["mean"] == 0.5


def test_json_objects_without_their_prompt_are_named_as_such(tmp_path: Path) -> None:
    labels = dict.fromkeys(LABELS, '{"subject": "cat", "people": 0}')
    for name in ("teacher", "student"):
        (tmp_path / f"{name}.json").write_text(json.dumps(labels), "utf-8")
    files = ("--teacher", tmp_path / "teacher.json", "--student", tmp_path / "student.json")
    result = distill("evaluate", *files, "--out", tmp_path / "out")

    assert "JSON objects, read as keywords: if they have fields, name their prompt with --prompt" in result.stdout


def test_row_without_an_answer_is_not_counted_as_one_in_the_format(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("photo,class\na.jpg,people\nb.jpg,\n", "utf-8")
    files = ("--teacher", tmp_path / "a.csv", "--student", tmp_path / "a.csv")
    result = distill("evaluate", *files, "--prompt", "category", "--out", tmp_path / "out")

    assert "1 of 2 are one of the labels" in result.stdout


def test_label_that_is_a_number_is_read_as_text(tmp_path: Path) -> None:
    (tmp_path / "grade.toml").write_text(CATEGORY.replace('"cat", "sea", "tree"', '"1", "2", "3"'), "utf-8")
    for name in ("teacher", "student"):
        (tmp_path / f"{name}.jsonl").write_text('{"image": "a", "label": 3}\n{"image": "b", "label": 2}', "utf-8")
    files = ("--teacher", tmp_path / "teacher.jsonl", "--student", tmp_path / "student.jsonl")
    result = distill("evaluate", *files, "--prompt", tmp_path / "grade.toml", "--out", tmp_path / "out", "--json")

    assert json.loads(result.stdout)["evaluation"]["agreement"]["tuned"]["student"]["mean"] == 1
