from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

import pytest

from distillation.plain_text import csv_table
from tests.support.command import distill

PHOTOS = sorted((Path(__file__).parents[2] / "samples/photos").glob("*.jpg"))
WORDS = ["cat", "sofa", "red cars", "natural light", "sea", "<b>bold</b>", "tree", "mountains", "sky", "café"]


def write_answers(folder: Path, names: list[str]) -> list[str]:
    """Write four files of answers and return the arguments. The student is closer to the teacher than base is."""
    generator = random.Random(7)
    arguments = []
    labels = {name: generator.sample(WORDS, 6) for name in names}
    for role, count in (("teacher", 6), ("student", 5), ("base", 2), ("ceiling", 6)):
        lines = [{"image": name, "text": ", ".join(label[:count] + WORDS[:1])} for name, label in labels.items()]
        path = folder / f"{role}.jsonl"
        path.write_text("\n".join(json.dumps(line) for line in lines), "utf-8")
        arguments += [f"--{role}", str(path)]
    return arguments


def test_two_files_of_answers_give_all_report_files(tmp_path: Path) -> None:
    arguments = write_answers(tmp_path, [photo.name for photo in PHOTOS[:20]])

    result = distill("evaluate", *arguments, "--images", PHOTOS[0].parent, "--out", tmp_path / "out")

    assert result.exit_code == 0

    report = json.loads((tmp_path / "out/report.json").read_text("utf-8"))
    page = (tmp_path / "out/report.html").read_text("utf-8")
    assert report["evaluation"]["gate"]["passed"]
    assert report["evaluation"]["agreement"]["ceiling"]["mean"] == 1
    assert "The student passes the gate" in result.stdout
    assert len((tmp_path / "out/scores.csv").read_text("utf-8").splitlines()) == 21
    assert page.count("data:image/jpeg;base64,") == 20
    assert "<b>bold" not in page
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org", "")


def test_prose_is_not_a_label(tmp_path: Path) -> None:
    arguments = write_answers(tmp_path, ["a", "b"])[:4]
    prose = {"image": "a", "text": "A cat sits on the sofa and looks out of the window."}
    (tmp_path / "teacher.jsonl").write_text(json.dumps(prose), "utf-8")

    result = distill("evaluate", *arguments, "--out", tmp_path / "out")

    assert result.exit_code != 0
    assert "has no answer that is a list of keywords" in result.stderr


def test_refusal_is_not_a_label(tmp_path: Path) -> None:
    arguments = write_answers(tmp_path, ["a", "b"])[:4]
    refusal = {"image": "a", "text": "I cannot help with that."}
    (tmp_path / "teacher.jsonl").write_text(json.dumps(refusal), "utf-8")

    result = distill("evaluate", *arguments, "--out", tmp_path / "out")

    assert result.exit_code != 0
    assert "has no answer that is a list of keywords" in result.stderr


def test_base_and_ceiling_are_optional(tmp_path: Path) -> None:
    arguments = write_answers(tmp_path, ["a", "b", "c"])[:4]

    assert distill("evaluate", *arguments, "--out", tmp_path / "out").exit_code == 0
    report = json.loads((tmp_path / "out/report.json").read_text("utf-8"))
    assert report["evaluation"]["gate"] is None


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


LABELS = {"a": "cat, sofa, lamp", "b": "sea, sky", "c": "tree"}


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


def compare(tmp_path: Path, student: dict[str, str], *more: str) -> Any:
    for name, answers in (("teacher", LABELS), ("student", student)):
        lines = (json.dumps({"image": image, "text": text}) for image, text in answers.items())
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines), "utf-8")
    files = ("--teacher", tmp_path / "teacher.jsonl", "--student", tmp_path / "student.jsonl")
    return distill("evaluate", *files, "--out", tmp_path / "out", *more)


def test_terminal_shows_form_interval_number_unanswered_and_unknown_ids(tmp_path: Path) -> None:
    output = compare(tmp_path, {"a": "cat, sofa, lamp", "b": "sea", "z": "cat"}).stdout.splitlines()

    assert output[0] == "teacher: teacher.jsonl, 3 answers (JSON Lines; lists of keywords, median 2)"
    assert output[1] == "student: student.jsonl, 3 answers (JSON Lines; lists of keywords, median 1)"
    assert re.fullmatch(
        r"Jaccard index 0\.500 \(95 % CI 0\.\d{3} to 1\.000\), n = 3 images, 1 without an answer, which score 0",
        output[2],
    )
    assert output[3] == "student: 1 not in the teacher's file, left out: z"
    assert output[4] == "The student's answers match the teacher's with an agreement of 0.50 on 3 images."


def test_one_image_has_no_interval(tmp_path: Path) -> None:
    for name in ("teacher", "student"):
        (tmp_path / f"{name}.jsonl").write_text('{"id": 7, "text": "cat"}', "utf-8")
    files = ("--teacher", tmp_path / "teacher.jsonl", "--student", tmp_path / "student.jsonl")

    output = distill("evaluate", *files, "--out", tmp_path / "out").stdout

    assert "Jaccard index 1.000 (no interval from one image), n = 1 image, 0 without an answer" in output
    assert "an agreement of 1.00 on 1 image." in output


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


def test_verdict_says_nothing_about_training(tmp_path: Path) -> None:
    arguments = write_answers(tmp_path, [photo.name for photo in PHOTOS[:20]])
    output = distill("evaluate", *arguments, "--out", tmp_path / "out").stdout

    assert "compared with the base answers" in output
    assert "train" not in output


@pytest.mark.parametrize(("threshold", "exit_code"), [("0.4", 0), ("0.5", 0), ("0.51", 1)])
def test_score_below_the_threshold_fails_the_command(tmp_path: Path, threshold: str, exit_code: int) -> None:
    result = compare(tmp_path, {"a": "cat, sofa, lamp", "b": "sea"}, "--fail-under", threshold)

    assert result.exit_code == exit_code
    assert ("is below --fail-under" in result.stderr) == bool(exit_code)
    assert (tmp_path / "out/report.html").exists()


def test_report_folder_that_is_a_file_is_an_error(tmp_path: Path) -> None:
    arguments = write_answers(tmp_path, ["a", "b"])[:4]
    (tmp_path / "out").write_text("mine", "utf-8")

    result = distill("evaluate", *arguments, "--out", tmp_path / "out")

    assert result.exit_code == 2
    assert "is a file. Name a folder." in result.stderr
    assert (tmp_path / "out").read_text("utf-8") == "mine"


CATEGORY = 'system = "s"\nuser = "u"\n[answers]\nformat = "class"\nlabels = ["cat", "sea", "tree"]\n'


def test_answers_are_compared_in_the_format_of_the_prompt(tmp_path: Path) -> None:
    (tmp_path / "category.toml").write_text(CATEGORY, "utf-8")
    for name, answers in (("teacher", "cat sea tree"), ("student", "Cat. cat tree")):
        lines = (json.dumps({"image": i, "text": text}) for i, text in zip("abc", answers.split(), strict=True))
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines), "utf-8")
    files = ("--teacher", tmp_path / "teacher.jsonl", "--student", tmp_path / "student.jsonl")
    result = distill("evaluate", *files, "--prompt", tmp_path / "category.toml", "--out", tmp_path / "out", "--json")
    report = json.loads(result.stdout)

    assert report["evaluation"]["format"] == "class"
    assert report["evaluation"]["agreement"]["tuned"]["student"]["mean"] == pytest.approx(2 / 3)


def test_prompt_that_does_not_exist_is_refused_before_the_answers_are_read(tmp_path: Path) -> None:
    result = compare(tmp_path, {"a": "cat"}, "--prompt", "poems")

    assert result.exit_code == 2
    assert "--prompt: there is no prompt file 'poems'" in result.stderr


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
