from __future__ import annotations

import json
import webbrowser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cli.console import Refused, Unreachable
from cli.report import FILES, fetch_report
from cli.stage import fetch
from distillation import keys
from distillation.storage import ObjectMissing
from tests.support.bedrock_state import ended_run
from tests.support.fakes import bucket

REPORT = {keys.report_key("r", name): b"{}" for name in FILES}


def stage(objects: dict[str, bytes]) -> Any:
    return SimpleNamespace(name="dev", data=bucket(**objects))


def test_objects_are_fetched_whole_or_not_at_all(tmp_path: Path) -> None:
    data = bucket(**{"runs/r/results.csv": b"c", "runs/r/results.jsonl": b"j"})

    assert [path.read_bytes() for path in fetch(data, data.keys(""), tmp_path / "whole")] == [b"c", b"j"]
    with pytest.raises(ObjectMissing, match="runs/r/none"):
        fetch(data, ["runs/r/results.csv", "runs/r/none"], tmp_path / "half")
    assert not (tmp_path / "half").exists()


def test_report_is_fetched_and_its_page_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    fetch_report(stage(REPORT), "r", tmp_path, show=True, as_json=False)

    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(FILES)
    assert opened == [(tmp_path / "report.html").as_uri()]


def test_of_a_run_that_applied_a_model_the_tables_are_fetched(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tables = {keys.results_key("r", kind): kind.encode() for kind in ("csv", "jsonl")}
    report = {"applied": "old", "verdict": "The model of run old wrote keywords.", "files": list(tables)}
    objects = tables | {keys.report_key("r", "report.json"): json.dumps(report).encode()}
    fetch_report(stage(objects), "r", tmp_path, show=True, as_json=False)

    assert capsys.readouterr().out.splitlines() == [
        report["verdict"],
        str(tmp_path / "results.csv"),
        str(tmp_path / "results.jsonl"),
    ]
    assert (tmp_path / "results.csv").read_bytes() == b"csv"


def test_run_without_a_report_is_told_from_one_that_there_is_not(tmp_path: Path) -> None:
    begun = {key: body for key, body in ended_run("r", None).items() if "report" not in key}
    with pytest.raises(Unreachable, match="distill watch r --stage dev"):
        fetch_report(stage(begun), "r", tmp_path, show=False, as_json=False)
    with pytest.raises(Refused, match="no run 's'") as unknown:
        fetch_report(stage(begun), "s", tmp_path, show=False, as_json=False)
    assert unknown.value.exit_code == 2
