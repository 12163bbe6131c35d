from __future__ import annotations

import json
import webbrowser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cli.console import CommandError, NotReachable
from cli.prefer import write_preference_page
from distillation import keys
from distillation.storage import Bucket
from tests.distillation.evaluation.test_preferences import compared_run, images_in
from tests.support.bedrock_state import ended_run
from tests.support.builders import any_apply_report, any_report
from tests.support.fakes import bucket


def stage(data: Bucket) -> Any:
    return SimpleNamespace(name="dev", data=data)


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


def test_fewer_pairs_than_requested_are_reported(
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
