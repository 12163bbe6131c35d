from __future__ import annotations

import json
import random
from pathlib import Path

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
    assert report["evaluation"]["jaccard"]["ceiling"]["mean"] == 1
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
    assert "contains no list of keywords" in result.stderr


def test_refusal_is_not_a_label(tmp_path: Path) -> None:
    arguments = write_answers(tmp_path, ["a", "b"])[:4]
    refusal = {"image": "a", "text": "I cannot help with that."}
    (tmp_path / "teacher.jsonl").write_text(json.dumps(refusal), "utf-8")

    result = distill("evaluate", *arguments, "--out", tmp_path / "out")

    assert result.exit_code != 0
    assert "contains no list of keywords" in result.stderr


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
        ('{"image": "a", "text": 3}', "student.jsonl:1: text"),
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


def test_report_folder_that_is_a_file_is_an_error(tmp_path: Path) -> None:
    arguments = write_answers(tmp_path, ["a", "b"])[:4]
    (tmp_path / "out").write_text("mine", "utf-8")

    result = distill("evaluate", *arguments, "--out", tmp_path / "out")

    assert result.exit_code == 2
    assert "is a file. Name a folder." in result.stderr
    assert (tmp_path / "out").read_text("utf-8") == "mine"
