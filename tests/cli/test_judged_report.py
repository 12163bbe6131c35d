"""``distill report RUN --preferences FILE``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cli.console import CommandError
from cli.report import fetch_report
from distillation import keys
from distillation.documents import Report
from distillation.errors import InvalidRequest
from distillation.storage import Bucket
from tests.cli.test_prefer import stage
from tests.distillation.evaluation.test_preferences import file_of, images_in
from tests.support.builders import any_report


def preferences_file(folder: Path, data: Bucket, **fields: Any) -> Path:
    judgements = [
        {"image": image, "against": against, "choice": "tie"}
        for image in images_in(data, "test")[:5]
        for against in ("teacher", "base")
    ]
    path = folder / "preferences.json"
    path.write_bytes(file_of(judgements, **fields))
    return path


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
