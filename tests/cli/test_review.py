from __future__ import annotations

import json
import webbrowser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cli.console import CommandError, NotReachable
from cli.review import write_review
from distillation import keys
from distillation.storage import Bucket
from tests.distillation.evaluation.labelled_run import labelled_run
from tests.distillation.evaluation.test_review import content
from tests.support.bedrock_state import claimed_run
from tests.support.builders import run_with_limits
from tests.support.fakes import bucket

RUN = run_with_limits(1, 25)


def stage(data: Bucket, **photos: bytes) -> Any:
    return SimpleNamespace(name="dev", data=data, photos=bucket(**photos))


@pytest.fixture
def labelled() -> Bucket:
    """Return the Data bucket of a run with 30 labels."""
    data = labelled_run(RUN, [f"cat, sofa, thing {number}" for number in range(30)])
    data.write_document(keys.request_key(RUN.name), RUN)
    return data


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the pages that a browser was asked to open."""
    pages: list[str] = []
    monkeypatch.setattr(webbrowser, "open", pages.append)
    return pages


def test_pages_are_written_and_the_first_is_opened(
    labelled: Bucket, opened: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_review(stage(labelled), RUN.name, 20, tmp_path / "out", show=True, as_json=False)
    paths = [tmp_path / f"out/review-{number}.html" for number in (1, 2)]
    *printed, hint = capsys.readouterr().out.splitlines()

    assert printed == list(map(str, paths))
    assert hint.startswith("30 images, the least certain first.")
    assert hint.endswith("distill upload FOLDER holiday/ --stage dev")
    assert opened == [paths[0].as_uri()]
    assert ["page 1 of 2" in path.read_text("utf-8") for path in paths] == [True, False]


def test_json_names_the_files_and_opens_nothing(
    labelled: Bucket, opened: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_review(stage(labelled), RUN.name, 500, tmp_path, show=True, as_json=True)

    assert json.loads(capsys.readouterr().out) == {
        "run": RUN.name,
        "images": 30,
        "files": [str(tmp_path / "review-1.html")],
    }
    assert opened == []


def test_unknown_run_and_run_without_labels_are_refused(labelled: Bucket, tmp_path: Path) -> None:
    for key in list(labelled.keys("work/")):
        labelled.client.objects.pop(key)  # type: ignore[attr-defined] - the fake has it
    with pytest.raises(CommandError, match="no run 's'"):
        write_review(stage(labelled), "s", 500, tmp_path, show=False, as_json=False)
    with pytest.raises(NotReachable, match="has no labels yet, so there is nothing to review"):
        write_review(stage(labelled), RUN.name, 500, tmp_path, show=False, as_json=False)
    with pytest.raises(NotReachable, match="it is still running, or it failed"):
        write_review(stage(bucket(**claimed_run("r"))), "r", 500, tmp_path, show=False, as_json=False)
    with pytest.raises(NotReachable, match="it applied a model"):
        write_review(stage(bucket(**claimed_run("r", apply="x"))), "r", 500, tmp_path, show=False, as_json=False)
    assert list(tmp_path.iterdir()) == []


def test_pages_take_over_the_file_of_labels_beside_the_photos(labelled: Bucket, tmp_path: Path) -> None:
    mine = b"photo,label,use\nelsewhere.jpg,my cat,yes\n0001.jpg,,no\n0002.jpg,x,maybe\n"
    where = stage(labelled, **{"holiday/labels.csv": mine})
    write_review(where, RUN.name, 500, tmp_path, show=False, as_json=False)

    assert content((tmp_path / "review-1.html").read_text("utf-8"))["others"] == [
        ["elsewhere.jpg", "my cat", "yes"],
        ["0001.jpg", "", "no"],
    ]


def test_lines_of_the_file_name_photos_as_the_run_does(tmp_path: Path) -> None:
    names = {3: "Café\u200b.jpg"}
    data = labelled_run(RUN, [f"cat, sofa, thing {number}" for number in range(30)], names)
    data.write_document(keys.request_key(RUN.name), RUN)
    mine = 'photo,label\nCafe\u0301.jpg,"my cat"\n'.encode()
    write_review(stage(data, **{"holiday/labels.csv": mine}), RUN.name, 500, tmp_path, show=False, as_json=False)

    others = content((tmp_path / "review-1.html").read_text("utf-8"))["others"]
    assert others == [["Café\u200b.jpg", "my cat", "yes"]]


def test_file_of_labels_that_cannot_be_read_is_a_warning(
    labelled: Bucket, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = stage(labelled, **{"holiday/labels.csv": b"photo,label\n01.jpg,\xff\n"})
    write_review(where, RUN.name, 500, tmp_path, show=False, as_json=False)

    assert "own labels beside the photos are left out: labels.csv line 2 is not UTF-8" in capsys.readouterr().err
    assert (tmp_path / "review-1.html").exists()
