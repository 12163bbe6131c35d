from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from cli.console import NotReachable
from cli.start import start_run
from distillation import keys
from distillation.errors import InvalidRequest
from distillation.storage import Bucket
from tests.support.fakes import MemoryS3

EXECUTION = "arn:aws:states:us-east-1:000000000000:execution:m:e"


class PhotosS3(MemoryS3):
    """S3 client that returns the version of a new object."""

    def put_object(self, **arguments: Any) -> dict[str, str]:  # type: ignore[override]
        super().put_object(**arguments)
        return {"VersionId": "v1"}


class StageFake:
    """The stage ``dev`` with ``photos`` photos in the collection ``holiday/``."""

    name, region, state_machine = "dev", "us-east-1", "arn:m"

    def __init__(self, photos: int = 1, error: str | None = None) -> None:
        self.s3, self.inputs, self._error = PhotosS3(), [], error
        self.s3.objects = {f"holiday/{number}.jpg": b"x" for number in range(photos)}
        self.photos = Bucket(self.s3, "photos")  # type: ignore[arg-type]

    def client(self, _: str) -> Any:
        return SimpleNamespace(start_execution=self._start_execution)

    def _start_execution(self, **arguments: Any) -> dict[str, str]:
        if self._error:
            raise ClientError({"Error": {"Code": self._error, "Message": "User x may not"}}, "StartExecution")
        self.inputs.append(arguments)
        return {"executionArn": EXECUTION}


def start(stage: Any, tmp_path: Path, **fields: Any) -> str:
    request = tmp_path / "request.json"
    request.write_text(json.dumps(fields))
    return start_run("holiday", request, None, stage, as_json=True)


def test_request_is_uploaded(tmp_path: Path) -> None:
    stage = StageFake()
    run = start(stage, tmp_path, until="Estimate")

    assert run == keys.run_name("holiday/", "v1")
    assert json.loads(stage.s3.objects["holiday/distill.json"]) == {"until": "Estimate"}
    assert stage.inputs == []


@pytest.mark.parametrize("field", ["apply", "replace"])
def test_request_that_names_another_run_is_started_with_the_rights_of_the_caller(
    tmp_path: Path, field: str, capsys: pytest.CaptureFixture[str]
) -> None:
    stage = StageFake()
    run = start(stage, tmp_path, **{field: "production"})
    (started,) = stage.inputs

    assert run == keys.run_name("holiday/", EXECUTION)
    assert started["stateMachineArn"] == "arn:m"
    assert json.loads(started["input"]) == {"collection": "holiday/", field: "production"}
    assert "holiday/distill.json" not in stage.s3.objects
    assert json.loads(capsys.readouterr().out) == {"run": run, "execution": EXECUTION}


def test_caller_who_may_not_start_executions_learns_what_is_needed(tmp_path: Path) -> None:
    with pytest.raises(NotReachable, match=r"User x may not. .* needs states:StartExecution on arn:m. Without it, put"):
        start(StageFake(error="AccessDeniedException"), tmp_path, replace="production")
    with pytest.raises(ClientError):
        start(StageFake(error="ThrottlingException"), tmp_path, replace="production")


def test_collection_with_too_many_photos_is_refused_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"teachers": ["amazon.nova-pro-v1:0"], "students": ["amazon.nova-lite-v1:0"], "max_photos": 16}
    settings |= {"concurrency": {"resize": 1, "label": 1, "predict": 1}}
    monkeypatch.setattr("cli.requests.stage_settings", lambda _: settings)
    stage = StageFake(photos=17)
    with pytest.raises(InvalidRequest, match="holiday/ contains 17 photos, more than the stage's max_photos 16"):
        start(stage, tmp_path)

    assert "holiday/distill.json" not in stage.s3.objects


def test_budget_above_the_limit_of_the_stage_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match=r"max_usd: 201\.00 is above the stage's max_usd_per_run 200\.00"):
        start(StageFake(), tmp_path, max_usd=201)


def test_vocabulary_of_the_collection_is_checked_before_the_request_is_put(tmp_path: Path) -> None:
    stage = StageFake()
    stage.s3.objects["holiday/vocabulary.csv"] = b"preferred,synonyms\ncat,dog\ndog,\n"
    with pytest.raises(InvalidRequest, match=r"vocabulary\.csv: line 3: 'dog' stands for 'dog' here and for 'cat'"):
        start(stage, tmp_path)
    assert "holiday/distill.json" not in stage.s3.objects
