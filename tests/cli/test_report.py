from __future__ import annotations

import json
import webbrowser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cli.console import CommandError, NotReachable
from cli.report import REPORT_FILES, fetch_report
from distillation import keys
from tests.support.bedrock_state import ended_run
from tests.support.builders import any_apply_report, any_report, any_run
from tests.support.fakes import bucket

REPORT = {keys.report_key("r", name): any_report().model_dump_json().encode() for name in REPORT_FILES}


def stage(objects: dict[str, bytes]) -> Any:
    return SimpleNamespace(name="dev", data=bucket(**objects))


def test_report_is_downloaded_and_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    fetch_report(stage(REPORT), "r", tmp_path, None, show=True, as_json=False)

    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(REPORT_FILES)
    assert opened == [(tmp_path / "report.html").as_uri()]


def test_tables_of_a_run_that_applied_a_model_are_downloaded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tables = {keys.results_key("r", extension): extension.encode() for extension in ("csv", "jsonl")}
    report = any_apply_report(files=list(tables))
    objects = tables | {keys.report_json_key("r"): report.model_dump_json().encode()}
    fetch_report(stage(objects), "r", tmp_path, None, show=True, as_json=False)

    assert capsys.readouterr().out.splitlines() == [
        report.verdict,
        str(tmp_path / "results.csv"),
        str(tmp_path / "results.jsonl"),
    ]
    assert (tmp_path / "results.csv").read_bytes() == b"csv"


def test_run_without_a_report_is_exit_code_3_and_unknown_run_is_2(tmp_path: Path) -> None:
    objects = {key: body for key, body in ended_run("r", None).items() if "report" not in key}
    with pytest.raises(NotReachable, match="distill watch r --stage dev"):
        fetch_report(stage(objects), "r", tmp_path, None, show=False, as_json=False)
    with pytest.raises(CommandError, match="no run 's'") as unknown:
        fetch_report(stage(objects), "s", tmp_path, None, show=False, as_json=False)
    assert unknown.value.exit_code == 2


def test_answers_of_a_run_that_applied_a_model_are_written_beside_the_photos(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = {"photo": "a.jpg", "status": "ok", "answered_by": "tuned", "answer": ["cat"], "reason": None, "image": "ab"}
    key = keys.results_key("r", "jsonl")
    objects = {
        key: json.dumps(line).encode(),
        keys.request_key("r"): any_run(apply="old").model_dump_json().encode(),
        keys.report_json_key("r"): any_apply_report(files=[key]).model_dump_json().encode(),
    }
    photos = tmp_path / "photos"

    assert fetch_report(stage(objects), "r", tmp_path, None, photos, show=True, as_json=False)
    assert "1 XMP sidecar written" in capsys.readouterr().out
    assert fetch_report(stage(objects), "r", tmp_path, None, photos, show=True, as_json=True)
    assert json.loads(capsys.readouterr().out)["xmp"]["unchanged"] == 1
    (photos / "a.jpg.xmp").write_text("not XMP")
    assert not fetch_report(stage(objects), "r", tmp_path, None, photos, show=True, as_json=False)
    assert "not written: a.jpg.xmp is not an XMP file" in capsys.readouterr().out


def test_run_that_applied_no_model_has_no_answers_for_sidecars(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="applied no model"):
        fetch_report(stage(REPORT), "r", tmp_path / "out", None, tmp_path / "photos", show=False, as_json=False)
    assert not (tmp_path / "out").exists()
