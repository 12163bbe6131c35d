from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import pytest
from botocore.exceptions import ClientError

from cli.console import CommandError, NotReachable
from cli.requests import read_request, resolve_request
from cli.stage import ROOT, Stage
from cli.start import start_run
from distillation import keys
from distillation.errors import InvalidRequest
from distillation.records import Until
from distillation.storage import Bucket
from tests.support.builders import any_run
from tests.support.command import distill
from tests.support.fakes import MemoryS3, bucket

SAMPLES = ROOT / "samples/requests"
EXECUTION = "arn:aws:states:us-east-1:000000000000:execution:m:e"


class PhotosS3(MemoryS3):
    """S3 client that returns the version of a new object."""

    def put_object(self, **arguments: Any) -> dict[str, str]:  # type: ignore[override]
        super().put_object(**arguments)
        return {"VersionId": "v1"}


class StageFake:
    """The stage ``dev`` with ``photos`` photos in the collection ``holiday/`` and the run ``production``."""

    name, region, state_machine = "dev", "us-east-1", "arn:m"

    def __init__(self, photos: int = 1, error: str | None = None) -> None:
        self.s3, self.inputs, self._error = PhotosS3(), [], error
        self.s3.objects = {f"holiday/{number}.jpg": b"x" for number in range(photos)}
        self.photos, self.data = Bucket(self.s3, "photos"), bucket()  # type: ignore[arg-type]
        self.data.write_document(keys.request_key("production"), any_run())

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


@pytest.mark.parametrize("field", ["apply", "replace"])
def test_run_that_a_request_names_must_exist_before_anything_starts(tmp_path: Path, field: str) -> None:
    stage = StageFake()
    with pytest.raises(CommandError, match="no run 'produktion' in s3://"):
        start(stage, tmp_path, **{field: "produktion"})

    assert stage.inputs == []


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


def options(tmp_path: Path, *arguments: object, **fields: Any) -> dict[str, Any]:
    """Run ``distill start`` with options and return the request that it uploads."""
    stage, request = StageFake(), tmp_path / "request.json"
    request.write_text(json.dumps(fields))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cli.stage.Stage", lambda *_: stage)
        result = distill("start", "holiday/", "--request", request, *map(str, arguments))
    assert result.exit_code == 0, result.output
    return json.loads(stage.s3.objects["holiday/distill.json"])


def test_options_override_the_fields_of_the_request(tmp_path: Path) -> None:
    arguments = ["--until", "Estimate", "--max-usd", 3.5, "--train-sizes", "30,60", "--sample", 90]
    arguments += ["--set", "temperature=0.5", "--set", 'hyperparameters={"epochCount": 5}', "--set", "prompt=keywords"]

    assert options(tmp_path, *arguments, until="Baseline", max_usd=1, tolerance=0.1) == {
        "until": "Estimate",
        "max_usd": 3.5,
        "train_sizes": [30, 60],
        "sample": 90,
        "temperature": 0.5,
        "hyperparameters": {"epochCount": 5},
        "prompt": "keywords",
        "tolerance": 0.1,
    }


def test_options_that_are_not_given_change_nothing(tmp_path: Path) -> None:
    assert options(tmp_path, until="Baseline") == {"until": "Baseline"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--until", "Labels"], "distill start: the request: field 'until'"),
        (["--max-usd", "-1"], "max_usd"),
        (["--sample", "3"], "sample"),
        (["--train-sizes", "30;60"], "--train-sizes '30;60': write numbers of training images separated by commas"),
        (["--set", "temperature"], "--set 'temperature': write FIELD=VALUE"),
        (["--set", "=1"], "write FIELD=VALUE"),
        (["--set", "temprature=1"], "unknown field 'temprature'"),
        (["--set", "temperature=hot"], "temperature"),
        (["--set", "collection=other/"], "the command already names the collection"),
        (["--set", "sample=30", "--sample", "40"], "field 'sample' is set twice"),
        (["--set", "sample=30", "--set", "sample=40"], "field 'sample' is set twice"),
        (["--from-manifest", "build/none/manifest.json"], "build/none/manifest.json: no such file"),
        (["--from-manifest", "Holiday!"], "'Holiday!' is not the name of a run"),
        (["--request", "none.json"], "--request none.json cannot be read"),
        (["--stage", "prod"], "stage 'prod' is not defined in cdk.json"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_options_are_checked_before_credentials(
    arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Stage, "client", None)
    monkeypatch.setattr(Stage, "data", None)
    result = distill("start", "holiday/", *arguments)

    assert result.exit_code == 2
    assert message in result.stderr


def test_standard_output_has_only_the_name_of_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = start_run("holiday/", None, None, StageFake(), as_json=False)  # type: ignore[arg-type]
    output = capsys.readouterr()

    assert output.out == f"{run}\n"
    assert output.err == f"Watch the run with: distill watch {run} --stage dev\n"


def test_every_step_that_a_run_may_end_after_is_in_the_help() -> None:
    text = distill("start", "--help").stdout

    assert all(step in text for step in get_args(Until))


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("*.json")), ids=lambda path: path.name)
def test_shipped_requests_are_accepted(path: Path) -> None:
    resolve_request("holiday/", read_request(path, "holiday/"), "dev", "us-east-1")


def test_the_articles_request_has_its_settings() -> None:
    run = resolve_request("a/", read_request(SAMPLES / "article.json", "a/"), "dev", "us-east-1")

    assert run.request.train_sizes == [300, 900]
    assert run.request.hyperparameters["epochCount"] == 5
    assert run.teacher.temperature == 0.5
    assert run.request.baseline is False
