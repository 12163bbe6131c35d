from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import cli.apply
from cli.apply import apply_model
from cli.console import CommandError
from cli.sidecars import Sidecars
from distillation import keys
from distillation.errors import InvalidRequest
from tests.support.builders import any_apply_report, any_run
from tests.support.fakes import bucket


@pytest.mark.parametrize("limits", [{"tolerance": 7.0}, {"max_usd": -1.0}])
def test_invalid_limits_are_rejected_before_anything_starts(limits: dict[str, Any], tmp_path: Path) -> None:
    stage: Any = SimpleNamespace(name="dev", region="us-east-1")  # has no client that could start anything
    with pytest.raises(InvalidRequest, match=next(iter(limits))):
        apply_model("holiday", "r", limits, tmp_path, None, stage, as_json=False)


def test_folder_for_sidecars_is_checked_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "photos").touch()
    stage: Any = SimpleNamespace(name="dev", region="us-east-1")  # has no client that could start anything
    with pytest.raises(CommandError, match="--xmp"):
        apply_model("holiday", "r", {}, None, tmp_path / "photos", stage, as_json=False)


@pytest.mark.parametrize(
    ("photo", "run", "message"),
    [("work/a.jpg", "r", "holiday/ contains no photos"), ("holiday/a.jpg", "typo", "no run 'typo'")],
    ids=["collection", "run"],
)
def test_collection_and_run_must_exist_before_anything_starts(photo: str, run: str, message: str) -> None:
    data = bucket(**{keys.request_key("r"): any_run().model_dump_json().encode()})
    # No client could start anything.
    stage: Any = SimpleNamespace(name="dev", region="us-east-1", photos=bucket(**{photo: b"x"}), data=data)
    with pytest.raises(CommandError, match=message):
        apply_model("holiday", run, {}, None, None, stage, as_json=False)


@pytest.mark.parametrize("is_hostile", [False, True], ids=["written", "refused"])
def test_answers_of_a_finished_run_are_written_beside_the_photos(
    is_hostile: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Starting and watching a run are tested with the AWS emulator."""
    run, data = any_run(apply="r"), bucket()
    data.write_document(keys.request_key(run.name), run)
    data.write_document(keys.report_json_key(run.name), any_apply_report())
    line = {"photo": "a.jpg", "status": "ok", "answered_by": "tuned", "answer": ["cat"], "reason": None, "image": "ab"}
    data.write_lines(keys.results_key(run.name, "jsonl"), [line])
    data.write(keys.results_key(run.name, "csv"), b"photo\n")
    monkeypatch.setattr(cli.apply, "resolve_request", lambda *_: None)
    monkeypatch.setattr(cli.apply, "check_names", lambda *_: None)
    monkeypatch.setattr(cli.apply, "start_execution", lambda *_: (run.name, "arn"))
    monkeypatch.setattr(cli.apply, "ExecutionObserver", lambda *_: SimpleNamespace(progress=None))
    monkeypatch.setattr(cli.apply, "follow", lambda *_, **__: SimpleNamespace(has_failed=False))
    stage: Any = SimpleNamespace(name="dev", region="us-east-1", data=data, client=lambda _: None)
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    (photos / "a.jpg").touch()
    if is_hostile:
        (photos / "a.jpg.xmp").write_text("<!DOCTYPE x>")

    assert apply_model("holiday", "r", {}, out, photos, stage, as_json=True) is not is_hostile
    printed = json.loads(capsys.readouterr().out)
    assert printed["xmp"] == printed["xmp"] | {"written": int(not is_hostile), "without_photo": 0}
    assert printed["xmp"].keys() == Sidecars().as_json().keys()
    assert ("cat" in (photos / "a.jpg.xmp").read_text()) is not is_hostile
