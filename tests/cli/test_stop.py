"""``distill stop`` against the local Bedrock endpoint and a Data bucket in memory."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from cli.console import CommandError, NotReachable
from cli.stop import stop_run
from distillation import keys
from distillation.errors import AccessDenied, ResourceBusy
from distillation.storage import Bucket
from local.bedrock import Endpoint
from tests.support.bedrock_state import add_resources, claimed_run, ended_run
from tests.support.builders import any_run
from tests.support.fakes import StepFunctionsExceptions, bucket

NOW = datetime.now(UTC)
EXECUTION = "arn:aws:states:us-east-1:000000000000:execution:machine:e"


class Execution:
    """Step Functions client with one execution, which ends some requests after it was stopped."""

    exceptions = StepFunctionsExceptions

    def __init__(
        self, status: str = "RUNNING", polls: int = 2, error: str | None = None, start: str = "{}", known_after: int = 0
    ) -> None:
        self.status, self.stopped, self._polls, self._error = status, list[dict[str, str]](), polls, error
        self._start, self._unknown_for, self.lists = start, known_after, 0

    def stop_execution(self, **arguments: str) -> None:
        if self._error:
            raise ClientError({"Error": {"Code": self._error, "Message": "User x may not"}}, "StopExecution")
        self.stopped.append(arguments)

    def get_paginator(self, operation: str) -> Any:
        assert operation == "list_executions"
        return SimpleNamespace(paginate=self._list)

    def _list(self, *, stateMachineArn: str, statusFilter: str) -> list[dict[str, Any]]:  # noqa: N803 - boto3's names
        assert (stateMachineArn, statusFilter) == ("machine", "RUNNING")
        if self._error:
            raise ClientError({"Error": {"Code": self._error, "Message": "User x may not"}}, "ListExecutions")
        self.lists += 1
        return [{"executions": [{"executionArn": EXECUTION}]}]

    def describe_execution(self, **_: Any) -> dict[str, Any]:
        self._unknown_for -= 1
        if self._unknown_for >= 0:
            raise self.exceptions.ExecutionDoesNotExist
        if self.stopped and self.status == "RUNNING":
            self._polls -= 1
            self.status = "ABORTED" if self._polls < 0 else "RUNNING"
        return {"status": self.status, "input": self._start} | ({} if self.status == "RUNNING" else {"stopDate": NOW})


def stage(endpoint: Endpoint, data: Bucket, execution: Execution) -> Any:
    make: Any = boto3.client
    clients = {"bedrock": make("bedrock", endpoint_url=endpoint.url), "stepfunctions": execution}
    client = clients.__getitem__
    return SimpleNamespace(name="dev", region="us-east-1", data=data, client=client, state_machine="machine")


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


@pytest.mark.parametrize("known_after", [0, 2])
def test_run_whose_execution_has_not_claimed_it_yet_is_stopped(
    known_after: int, endpoint: Endpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    execution = Execution(start='{"collection": "holiday/"}', known_after=known_after)
    run = keys.run_name("holiday/", EXECUTION)
    stop(stage(endpoint, bucket(), execution), run)

    assert [arguments["executionArn"] for arguments in execution.stopped] == [EXECUTION]
    assert capsys.readouterr().out.startswith(f"{run}: stopped.\n")


def test_run_that_is_claimed_while_the_command_looks_for_it_is_stopped(endpoint: Endpoint) -> None:
    data, execution = bucket(), Execution()

    def claim(_: float) -> None:
        for key, body in claimed_run("r").items():
            data.write(key, body)

    stop_run("r", stage(endpoint, data, execution), as_json=True, sleep=claim)

    assert [arguments["cause"] for arguments in execution.stopped] == ["distill stop r"]


@pytest.mark.parametrize("error", [None, "AccessDeniedException"])
def test_unknown_or_malformed_name_stops_nothing(error: str | None, endpoint: Endpoint) -> None:
    execution, waits = Execution(error=error), list[float]()
    with pytest.raises(CommandError, match=r"no run 'q' in s3://data/runs/.* within the last minute"):
        stop_run("q", stage(endpoint, bucket(**claimed_run("r")), execution), as_json=False, sleep=waits.append)
    assert sum(waits) <= 10
    with pytest.raises(CommandError, match=r"'\.\./r' is not the name of a run"):
        stop(stage(endpoint, bucket(**claimed_run("r")), execution), "../r")
    assert execution.stopped == []
