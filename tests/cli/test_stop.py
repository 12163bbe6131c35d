"""``distill stop`` against the local Bedrock endpoint and a Data bucket in memory."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from cli import watch
from cli.console import CommandError, NotReachable
from cli.stop import stop_run
from distillation import keys
from distillation.errors import AccessDenied, ResourceBusy
from distillation.storage import Bucket
from local.bedrock import Endpoint
from tests.support.bedrock_state import add_resources, claimed_run, ended_run
from tests.support.builders import any_run
from tests.support.fakes import bucket

NOW = datetime.now(UTC)


class Execution:
    """Step Functions client with one execution, which ends some requests after it was stopped."""

    class exceptions:  # noqa: N801 - boto3's name
        class ExecutionDoesNotExist(Exception):
            """Raised for an execution whose history has expired."""

    def __init__(self, status: str = "RUNNING", polls: int = 2, error: str | None = None) -> None:
        self.status, self.stopped, self._polls, self._error = status, list[dict[str, str]](), polls, error

    def stop_execution(self, **arguments: str) -> None:
        if self._error:
            raise ClientError({"Error": {"Code": self._error, "Message": "User x may not"}}, "StopExecution")
        self.stopped.append(arguments)

    def describe_execution(self, **_: Any) -> dict[str, Any]:
        if self.stopped and self.status == "RUNNING":
            self._polls -= 1
            self.status = "ABORTED" if self._polls < 0 else "RUNNING"
        return {"status": self.status} | ({} if self.status == "RUNNING" else {"stopDate": NOW})


def stage(endpoint: Endpoint, data: Bucket, execution: Execution) -> Any:
    make: Any = boto3.client
    clients = {"bedrock": make("bedrock", endpoint_url=endpoint.url), "stepfunctions": execution}
    return SimpleNamespace(name="dev", region="us-east-1", data=data, client=clients.__getitem__)


def stop(stage: Any, run: str = "r", *, as_json: bool = False) -> None:
    stop_run(run, stage, as_json=as_json, sleep=lambda _: None)


def test_running_run_is_stopped_with_its_job_and_its_model_is_kept_until_a_date(
    endpoint: Endpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    job = add_resources(endpoint, "r", 1, job="InProgress")
    model, other = add_resources(endpoint, "r", 2, stage=any_run().stage), add_resources(endpoint, "other", 3)
    execution = Execution()
    stop(stage(endpoint, bucket(**claimed_run("r"), **claimed_run("other")), execution))
    output = capsys.readouterr()

    assert [arguments["cause"] for arguments in execution.stopped] == ["distill stop r"]
    assert output.out.splitlines()[:3] == ["r: stopped.", f"Stopped jobs: {job}.", f"Deleted: deployment {model}."]
    assert f"Tuned model kept until {NOW + timedelta(days=3):%Y-%m-%d}: {model}." in output.out
    assert {entry["modelName"] for entry in endpoint.service.custom_models.values()} == {model, other}
    assert [entry["modelDeploymentName"] for entry in endpoint.service.deployments.values()] == [other]


def test_what_was_done_is_printed_as_json(endpoint: Endpoint, capsys: pytest.CaptureFixture[str]) -> None:
    model = add_resources(endpoint, "r", 2)
    stop(stage(endpoint, bucket(**claimed_run("r", keep_on_failure_days=0)), Execution()), as_json=True)

    assert json.loads(capsys.readouterr().out) == {
        "run": "r",
        "outcome": "stopped",
        "stopped": [],
        "deleted": [f"deployment {model}", f"model {model}"],
        "kept": [],
        "kept_models": None,
    }


def test_run_that_had_succeeded_is_left_as_it_is(endpoint: Endpoint, capsys: pytest.CaptureFixture[str]) -> None:
    model = add_resources(endpoint, "r", 2)
    execution = Execution("SUCCEEDED")
    stop(stage(endpoint, bucket(**ended_run("r", None)), execution))

    assert execution.stopped == []
    assert capsys.readouterr().out.startswith("r: had already succeeded.\nNothing was changed.")
    assert [entry["modelName"] for entry in endpoint.service.custom_models.values()] == [model]


def test_run_that_was_stopped_before_is_cleaned_up_again(
    endpoint: Endpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    model = add_resources(endpoint, "r", 2)
    stop(stage(endpoint, bucket(**claimed_run("r")), Execution("ABORTED")))

    assert capsys.readouterr().out.startswith(
        f"r: had already ended.\nStopped jobs: none.\nDeleted: deployment {model}.\n"
    )


def test_run_that_prepare_refused_has_nothing_to_clean_up(
    endpoint: Endpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    failure = {"run": "r", "execution": "arn", "state": "Prepare", "error": "InvalidRequest", "cause": "no"}
    stop(stage(endpoint, bucket(**{keys.failure_key("r"): json.dumps(failure).encode()}), Execution("FAILED")))

    assert capsys.readouterr().out.startswith("r: had already ended.\nStopped jobs: none.\nDeleted: nothing.\n")


def test_caller_who_may_not_stop_the_run_learns_what_is_needed(endpoint: Endpoint) -> None:
    data = bucket(**claimed_run("r"))
    with pytest.raises(NotReachable, match=r"User x may not\. The command needs states:StopExecution on arn"):
        stop(stage(endpoint, data, Execution(error="AccessDeniedException")))
    with pytest.raises(ClientError):
        stop(stage(endpoint, data, Execution(error="ThrottlingException")))


def test_execution_that_does_not_end_is_an_error(endpoint: Endpoint) -> None:
    with pytest.raises(NotReachable, match=r"is still running after 60 seconds\. Run the command again"):
        stop(stage(endpoint, bucket(**claimed_run("r")), Execution(polls=1000)))


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (AccessDenied("you may not list"), "you may not clean up after it: you may not list. The stage's CleanUp"),
        (ResourceBusy("job x is stopping"), "Bedrock has not finished yet: job x is stopping. The stage's CleanUp"),
    ],
    ids=["denied", "busy"],
)
def test_clean_up_that_is_not_finished_is_no_success(
    error: Exception,
    message: str,
    endpoint: Endpoint,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr("cli.stop.clean_up", fail)
    with pytest.raises(NotReachable, match=message):
        stop(stage(endpoint, bucket(**claimed_run("r")), Execution()))
    assert capsys.readouterr().out == "r: stopped.\n"


def test_unknown_or_malformed_name_stops_nothing(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "START_TIMEOUT_SECONDS", 0.01)
    execution = Execution()
    with pytest.raises(CommandError, match="no run 'q' in s3://data/runs/"):
        stop(stage(endpoint, bucket(**claimed_run("r")), execution), "q")
    with pytest.raises(CommandError, match=r"'\.\./r' is not the name of a run"):
        stop(stage(endpoint, bucket(**claimed_run("r")), execution), "../r")
    assert execution.stopped == []
