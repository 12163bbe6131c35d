from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lxml.etree as etree
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.answer_files import answer_text
from cli.console import CommandError
from cli.sidecars import Sidecars, check_sidecar_folder, print_sidecars, write_run_sidecars
from distillation import keys
from distillation.records import Run
from tests.distillation.answers.formats.test_properties import TEXTS
from tests.support.builders import any_run
from tests.support.fakes import bucket
from tests.support.formats import EXAMPLES, LABELS

EXPECTED: dict[str, tuple[list[str], str]] = {
    "keywords": (["soup", "bowl", "table", "breakfast"], ""),
    "class": (["food, drink"], ""),
    "fields": (
        ["indoors", "green"],
        "subject: bowl of soup\nplace: indoors\ncolours: green\npeople: 0\nis_portrait: false",
    ),
    "caption": ([], "On a wooden table stands a bowl of green soup for breakfast."),
}
"""Keywords and description of the third label of each format."""


def result_line(photo: str, answer: Any, status: str = "ok") -> dict[str, Any]:
    answered_by, reason = ("tuned", None) if status == "ok" else (None, "a refusal")
    return {
        "photo": photo,
        "status": status,
        "answered_by": answered_by,
        "answer": answer,
        "reason": reason,
        "image": "ab",
    }


def stage_with(run: Run, *lines: dict[str, Any]) -> Any:
    data = bucket()
    data.write_document(keys.request_key(run.name), run)
    data.write_lines(keys.results_key(run.name, "jsonl"), lines)
    return SimpleNamespace(name="dev", data=data)


def run_in_format(name: str) -> Run:
    return any_run().model_copy(update={"answers": EXAMPLES[name].model_dump(mode="json")})


def metadata(path: Path) -> tuple[list[str], str]:
    """Return keywords and description in a sidecar."""
    root = etree.fromstring(path.read_bytes())
    dc, rdf = "{http://purl.org/dc/elements/1.1/}", "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
    texts = [
        [str(item.text) for item in root.iterfind(f".//{dc}{name}//{rdf}li")] for name in ("subject", "description")
    ]
    return texts[0], "".join(texts[1])


@pytest.mark.parametrize("name", EXPECTED)
def test_answers_of_every_format_are_written_beside_their_photos(name: str, tmp_path: Path) -> None:
    answer = EXAMPLES[name].json_value(EXAMPLES[name].parse(LABELS[name][2]))
    (tmp_path / "2024").mkdir()
    (tmp_path / "2024/soup.jpg").touch()
    run = run_in_format(name)
    sidecars = write_run_sidecars(run.name, tmp_path, stage_with(run, result_line("2024/soup.jpg", answer)))

    assert sidecars == Sidecars(written=1)
    assert metadata(tmp_path / "2024/soup.jpg.xmp") == EXPECTED[name]


@pytest.mark.parametrize("name", EXAMPLES)
@given(data=st.data())
def test_answers_in_results_jsonl_are_read_as_the_values_that_were_written(name: str, data: st.DataObject) -> None:
    example = EXAMPLES[name]
    value = example.parse(data.draw(TEXTS[name]))

    assert example.parse(answer_text(json.loads(json.dumps(example.json_value(value))))) == value


def test_an_answer_that_is_a_number_is_read_as_its_text() -> None:
    assert (answer_text(5), answer_text(2.5)) == ("5", "2.5")


def test_photos_without_an_answer_get_no_sidecar_and_refused_sidecars_do_not_stop_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "b.jpg.xmp").write_text("<html/>")
    (tmp_path / "d.jpg.xmp").mkdir()
    run = any_run()
    lines = [
        result_line("a.jpg", None, "set aside"),
        result_line("b.jpg", ["cat"]),
        result_line("../c.jpg", ["cat"]),
        result_line("d.jpg", ["cat"]),
        result_line("e.jpg", ["cat", "new york, ny"]),
    ]
    folder = tmp_path
    stage = stage_with(run, *lines)
    sidecars = write_run_sidecars(run.name, folder, stage)

    assert (sidecars.written, sidecars.without_answer, sidecars.without_photo) == (1, 1, 1)
    assert [failure["photo"] for failure in sidecars.failed] == ["b.jpg", "../c.jpg", "d.jpg"]
    assert metadata(tmp_path / "e.jpg.xmp")[0] == ["cat", "new york, ny"]
    assert (tmp_path / "b.jpg.xmp").read_text() == "<html/>"
    assert not (tmp_path.parent / "c.jpg.xmp").exists()
    assert write_run_sidecars(run.name, folder, stage).unchanged == 1

    print_sidecars(sidecars, folder)
    printed = capsys.readouterr().out
    assert "1 XMP sidecar written, 0 had the answer already" in printed
    assert "not written: b.jpg.xmp is not an XMP file: its root is 'html'" in printed
    assert "not written: d.jpg.xmp cannot be written: Is a directory" in printed
    assert "No photo beside 1 sidecar: " in printed


def test_only_the_first_failures_are_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    failed = [{"photo": f"{number}.jpg", "reason": "is a link"} for number in range(7)]
    print_sidecars(Sidecars(kept_descriptions=2, failed=failed), tmp_path)
    printed = capsys.readouterr().out

    assert printed.count("is a link") == 5
    assert "not written: 2 more" in printed
    assert "Another description was kept in 2 sidecars" in printed


def test_folder_that_is_a_file_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "photos").touch()
    with pytest.raises(CommandError, match=r"--xmp .*photos is a file"):
        check_sidecar_folder(tmp_path / "photos")
