from __future__ import annotations

import json
import webbrowser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cli.console import CommandError, NotReachable
from cli.prefer import write_preference_page
from cli.report import REPORT_FILES, fetch_report
from distillation import keys
from distillation.documents import Report
from distillation.errors import InvalidRequest
from distillation.evaluation.preferences import MARKER
from distillation.storage import Bucket
from tests.distillation.evaluation.test_preferences import compared_run, file_of, images_in
from tests.support.bedrock_state import ended_run
from tests.support.builders import any_apply_report, any_report
from tests.support.fakes import bucket


def stage(data: Bucket) -> Any:
    return SimpleNamespace(name="dev", data=data)


@pytest.fixture
def judged_run() -> Bucket:
    """Return the Data bucket of a run with a report whose best model is n12."""
    run, data = compared_run()
    data.write_document(keys.request_key(run.name), run)
    for name in REPORT_FILES:
        data.write(keys.report_key(run.name, name), f"<p>{name}</p>{MARKER}".encode())
    data.write_document(keys.report_json_key(run.name), any_report(best="n12"))
    return data


def preferences_file(folder: Path, data: Bucket, **fields: Any) -> Path:
    judgements = [
        {"image": image, "against": against, "choice": "tie"}
        for image in images_in(data, "test")[:5]
        for against in ("teacher", "base")
    ]
    path = folder / "preferences.json"
    path.write_bytes(file_of(judgements, **fields))
    return path


def test_page_is_written_and_opened(
    judged_run: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    write_preference_page(stage(judged_run), "holiday-1", 20, tmp_path / "out", show=True, as_json=False)
    path, hint = capsys.readouterr().out.splitlines()

    assert path == str(tmp_path / "out/prefer.html")
    assert hint.startswith("20 pairs. Show the result in the report with: ")
    assert hint.endswith("distill report holiday-1 --preferences FILE --stage dev")
    assert opened == [Path(path).as_uri()]
    assert Path(path).read_text("utf-8").count('"against"') == 20


def test_fewer_pairs_than_asked_for_are_said(
    judged_run: Bucket, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_preference_page(stage(judged_run), "holiday-1", 5000, tmp_path, show=False, as_json=False)
    pairs = 2 * len(images_in(judged_run, "test"))

    assert f"{pairs} pairs, fewer than 5000 because no other answers differ." in capsys.readouterr().out
    write_preference_page(stage(judged_run), "holiday-1", 5000, tmp_path, show=False, as_json=True)
    assert json.loads(capsys.readouterr().out)["pairs"] == pairs


def test_run_without_a_trained_model_and_unknown_run_are_refused(judged_run: Bucket, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="no run 's'"):
        write_preference_page(stage(judged_run), "s", 50, tmp_path, show=False, as_json=False)
    untrained = bucket(**ended_run("r", None))
    untrained.write_document(keys.report_json_key("r"), any_report(evaluation=None))
    with pytest.raises(NotReachable, match="trained no model, so it has no answers to compare"):
        write_preference_page(stage(untrained), "r", 50, tmp_path, show=False, as_json=False)
    untrained.write_document(keys.report_json_key("r"), any_apply_report(run="r"))
    with pytest.raises(NotReachable, match="trained no model"):
        write_preference_page(stage(untrained), "r", 50, tmp_path, show=False, as_json=False)
    assert list(tmp_path.iterdir()) == []


def test_run_whose_answers_are_all_equal_has_no_pair(judged_run: Bucket, tmp_path: Path) -> None:
    run, equal = compared_run(equal=200)
    equal.write_document(keys.request_key(run.name), run)
    equal.write_document(keys.report_json_key(run.name), any_report(best="n12"))
    with pytest.raises(NotReachable, match="has no pair to judge: its models gave the same answers about all"):
        write_preference_page(stage(equal), run.name, 50, tmp_path, show=False, as_json=False)


def test_report_with_preferences_has_the_win_rates(
    judged_run: Bucket, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = preferences_file(tmp_path, judged_run)
    fetch_report(stage(judged_run), "holiday-1", tmp_path / "out", path, show=False, as_json=False)
    *sentences, shown = capsys.readouterr().out.splitlines()
    report = Report.model_validate_json((tmp_path / "out/report.json").read_bytes())

    assert [sentence.split(" in ")[0] for sentence in sentences] == [
        "A person preferred the tuned model's answer to that of the teacher",
        "A person preferred the tuned model's answer to that of the student before training",
    ]
    assert shown == str(tmp_path / "out/report.html")
    assert report.preferences is not None
    assert [(rate.against, rate.rate) for rate in report.preferences] == [("teacher", 0.5), ("base", 0.5)]
    assert all(sentence in Path(shown).read_text("utf-8").replace("&#39;", "'") for sentence in sentences)
    fetch_report(stage(judged_run), "holiday-1", tmp_path / "out", path, show=False, as_json=True)
    assert [rate["pairs"] for rate in json.loads(capsys.readouterr().out)["preferences"]] == [5, 5]


def test_preferences_that_cannot_be_used_are_refused_before_anything_is_downloaded(
    judged_run: Bucket, tmp_path: Path
) -> None:
    def fetch(path: Path, data: Bucket = judged_run) -> None:
        fetch_report(stage(data), "holiday-1", tmp_path / "out", path, show=False, as_json=False)

    with pytest.raises(CommandError, match="cannot be read"):
        fetch(tmp_path / "missing.json")
    with pytest.raises(InvalidRequest, match="is about run 'other', not 'holiday-1'"):
        fetch(preferences_file(tmp_path, judged_run, run="other"))
    path = preferences_file(tmp_path, judged_run)
    judged_run.write_document(keys.report_json_key("holiday-1"), any_report(evaluation=None))
    with pytest.raises(CommandError, match="trained no model, so nothing was compared"):
        fetch(path)
    assert not (tmp_path / "out").exists()
