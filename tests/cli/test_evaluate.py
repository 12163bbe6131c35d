from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

import pytest

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


LABELS = {"a": "cat, sofa, lamp", "b": "sea, sky", "c": "tree"}


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
