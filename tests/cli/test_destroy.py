"""``distill destroy`` with a fake CDK, against the local Bedrock endpoint."""

from __future__ import annotations

import io
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from cli import destroy
from cli.console import CommandError
from cli.destroy import destroy_stage, stage_buckets
from cli.stage import ROOT, Stage
from distillation.storage import Bucket
from local.bedrock import Endpoint
from tests.support.bedrock_state import add_resources, claimed_run
from tests.support.fakes import MemoryS3, bucket

MACHINE = "arn:aws:states:us-east-1:000000000000:stateMachine:m"
ABSENT = ("ValidationError", "Stack with id S does not exist")


class Storage:
    """CloudFormation with a storage stack of one bucket, or an error, and an empty S3."""

    def __init__(self, error: tuple[str, str] | None = None) -> None:
        self._error = error
        self.deleted: list[str] = []

    def describe_stack_resources(self, **_: Any) -> dict[str, Any]:
        if self._error:
            code, message = self._error
            raise ClientError({"Error": {"Code": code, "Message": message}}, "DescribeStackResources")
        bucket = {"ResourceType": "AWS::S3::Bucket", "LogicalResourceId": "Data", "PhysicalResourceId": "data"}
        return {"StackResources": [bucket]}

    def describe_stacks(self, StackName: str) -> dict[str, Any]:  # noqa: N803 - boto3's name
        raise ClientError({"Error": {"Code": ABSENT[0], "Message": ABSENT[1]}}, "DescribeStacks")

    def get_paginator(self, _: str) -> Any:
        return SimpleNamespace(paginate=lambda **_: [])

    def delete_bucket(self, Bucket: str) -> None:  # noqa: N803 - boto3's name
        self.deleted.append(Bucket)


@pytest.fixture
def cdk(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[str], dict[str, Any]]]:
    calls: list[tuple[list[str], dict[str, Any]]] = []
    monkeypatch.setattr(subprocess, "run", lambda command, **options: calls.append((command, options)))
    return calls


class DestroyedStage(Stage):
    """A stage with the clients and the Data bucket of a test; its state machine exists only with ``states``."""

    def __init__(
        self,
        endpoint: Endpoint,
        storage: Storage,
        name: str = "dev",
        region: str = "us-east-1",
        *,
        data: Bucket | None = None,
        states: Any = None,
    ) -> None:
        super().__init__(name, region)
        make: Any = boto3.client
        self.__dict__["clients"] = {
            "bedrock": make("bedrock", endpoint_url=endpoint.url),
            "cloudformation": storage,
            "s3": storage,
            "stepfunctions": states or make("stepfunctions"),
        }
        if data:
            self.__dict__["data"] = data
        if states:
            self.__dict__["state_machine"] = MACHINE

    def client(self, service: str) -> Any:
        return self.__dict__["clients"][service]


def stage(endpoint: Endpoint, storage: Storage, *arguments: str, **options: Any) -> DestroyedStage:
    """Return a stage whose Data bucket has the run ``kept``."""
    data = bucket(**claimed_run("kept"))
    return DestroyedStage(endpoint, storage, *arguments, **({"data": data} | options))


def model_names(endpoint: Endpoint) -> list[str]:
    return [model["modelName"] for model in endpoint.service.custom_models.values()]


def expect_executions(stepfunctions: Stubber, *names: str, stopped: Sequence[str] = ()) -> None:
    """Expect that the running executions ``names`` are listed and that ``stopped`` are then stopped."""
    executions = [
        {"executionArn": f"arn:{name}", "stateMachineArn": MACHINE, "name": name, "status": "RUNNING", "startDate": 0}
        for name in names
    ]
    stepfunctions.add_response(
        "list_executions", {"executions": executions}, {"stateMachineArn": MACHINE, "statusFilter": "RUNNING"}
    )
    for name in stopped:
        request = {"executionArn": f"arn:{name}", "cause": "Stage dev is being destroyed."}
        stepfunctions.add_response("stop_execution", {"stopDate": 0}, request)


def fail_if_asked(_: str) -> str:
    raise AssertionError("no question was expected")


def test_nothing_is_deleted_until_the_name_of_the_stage_is_typed(endpoint: Endpoint, cdk: list[Any]) -> None:
    add_resources(endpoint, "kept")
    with pytest.raises(CommandError, match="nothing was deleted"):
        destroy_stage(stage(endpoint, Storage()), assume_yes=False, ask=lambda _: "y")

    assert len(endpoint.service.custom_models) == 1
    assert [command[1:] for command, _ in cdk] == [["--version"]]


def test_nothing_is_deleted_without_input(endpoint: Endpoint, cdk: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    with pytest.raises(CommandError, match="In a script, pass --yes"):
        destroy_stage(stage(endpoint, Storage()), assume_yes=False)

    assert len(cdk) == 1


def test_models_stacks_and_buckets_are_deleted_when_their_names_are_typed(endpoint: Endpoint, cdk: list[Any]) -> None:
    add_resources(endpoint, "kept")
    answers, storage = iter(["dev", "data"]), Storage()
    destroy_stage(stage(endpoint, storage), assume_yes=False, ask=lambda _: next(answers))
    command, options = cdk[-1]

    assert not endpoint.service.custom_models
    assert command[1:] == ["destroy", "--force", "-c", "stage=dev", "Distill-dev-Pipeline", "Distill-dev-Storage"]
    assert options["cwd"] == ROOT
    assert options["env"]["AWS_REGION"] == options["env"]["CDK_DEFAULT_REGION"] == "us-east-1"
    assert storage.deleted == ["data"]


def test_yes_asks_no_question_and_keeps_the_buckets(
    endpoint: Endpoint, cdk: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    storage = Storage()
    destroy_stage(stage(endpoint, storage), assume_yes=True, ask=fail_if_asked)

    assert len(cdk) == 2
    assert storage.deleted == []
    assert "Kept bucket data." in capsys.readouterr().out


def test_running_executions_are_stopped_before_anything_is_deleted(
    endpoint: Endpoint, cdk: list[Any], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(destroy, "_POLL_SECONDS", 0)
    add_resources(endpoint, "kept")
    states = boto3.client("stepfunctions")
    with Stubber(states) as stepfunctions:
        expect_executions(stepfunctions, "e1", "e2", stopped=["e1", "e2"])
        expect_executions(stepfunctions, "e2")
        expect_executions(stepfunctions)
        destroy_stage(stage(endpoint, Storage(), states=states), assume_yes=True)
        stepfunctions.assert_no_pending_responses()
    lines = capsys.readouterr().out.splitlines()

    assert "Stopped executions: 2." in lines
    assert lines.index("Stopped executions: 2.") < next(i for i, line in enumerate(lines) if "Deleted: " in line)
    assert model_names(endpoint) == []


def test_missing_state_machine_has_no_executions(
    endpoint: Endpoint, cdk: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    states = boto3.client("stepfunctions")
    with Stubber(states) as stepfunctions:
        stepfunctions.add_client_error("list_executions", "StateMachineDoesNotExist")
        destroy_stage(stage(endpoint, Storage(), states=states), assume_yes=True)
    destroy_stage(stage(endpoint, Storage()), assume_yes=True)

    assert capsys.readouterr().out.count("Stopped executions: 0.") == 2
    assert len(cdk) == 4


def add_unknown_resources(endpoint: Endpoint) -> str:
    """Add resources of the run ``kept`` and of an earlier deployment; return the name of the latter."""
    add_resources(endpoint, "kept", 1)
    return add_resources(endpoint, "earlier", 2, data_bucket="earlier-data")


@pytest.mark.parametrize(("answer", "stays"), [("delete", False), ("dev", True), ("", True)])
def test_unknown_models_are_listed_by_name_and_deleted_only_when_confirmed(
    endpoint: Endpoint, cdk: list[Any], capsys: pytest.CaptureFixture[str], answer: str, stays: bool
) -> None:
    name = add_unknown_resources(endpoint)
    answers = iter(["dev", answer, ""])
    destroy_stage(stage(endpoint, Storage()), assume_yes=False, ask=lambda _: next(answers))
    output = capsys.readouterr().out

    assert f"  model {name} (run earlier, Data bucket earlier-data)\n" in output
    assert model_names(endpoint) == ([name] if stays else [])
    assert (f"Kept, because they belong to no run in the stage's Data bucket: deployment {name}" in output) == stays


def test_yes_keeps_unknown_models(endpoint: Endpoint, cdk: list[Any]) -> None:
    name = add_unknown_resources(endpoint)
    destroy_stage(stage(endpoint, Storage()), assume_yes=True, ask=fail_if_asked)

    assert model_names(endpoint) == [name]


class MissingBucket(MemoryS3):
    """S3 without the bucket."""

    def paginate(self, **_: Any) -> Any:
        raise ClientError({"Error": {"Code": "NoSuchBucket", "Message": "no such bucket"}}, "ListObjectsV2")


@pytest.mark.parametrize("data", [None, Bucket(MissingBucket(), "data")])  # type: ignore[arg-type] - a fake
def test_without_a_data_bucket_every_model_is_unknown(endpoint: Endpoint, cdk: list[Any], data: Bucket | None) -> None:
    name = add_resources(endpoint, "kept")
    destroy_stage(stage(endpoint, Storage(ABSENT), data=data), assume_yes=True)

    assert model_names(endpoint) == [name]
    assert len(cdk) == 2


@pytest.mark.parametrize(
    ("overrides", "message"),
    [({"name": "nope"}, "not defined in cdk.json"), ({"region": "eu-west-1"}, "--region us-east-1")],
)
def test_stage_or_region_that_is_not_in_cdk_json_is_an_error(
    endpoint: Endpoint, cdk: list[Any], overrides: dict[str, str], message: str
) -> None:
    add_resources(endpoint, "kept")
    with pytest.raises(CommandError, match=message):
        destroy_stage(stage(endpoint, Storage(), **overrides), assume_yes=True)

    assert len(endpoint.service.custom_models) == 1
    assert cdk == []


def test_nothing_is_deleted_without_the_cdk_which_is_not_looked_for_elsewhere(
    endpoint: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    npx = tmp_path / "npx"
    npx.write_text("#!/bin/sh\n")
    npx.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(destroy, "ROOT", tmp_path)
    add_resources(endpoint, "kept")
    with pytest.raises(CommandError, match=r"the CDK failed in .*No such file.*npm ci"):
        destroy_stage(stage(endpoint, Storage()), assume_yes=True)

    assert len(endpoint.service.custom_models) == 1


def test_buckets_of_a_missing_stack_are_reported_as_unknown(
    endpoint: Endpoint, cdk: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    destroy_stage(stage(endpoint, Storage(ABSENT)), assume_yes=True)

    assert "Find its buckets by name" in capsys.readouterr().out
    assert len(cdk) == 2


def test_access_denied_is_not_taken_for_a_missing_stack() -> None:
    assert stage_buckets(Storage(ABSENT), "dev") == []
    with pytest.raises(ClientError, match="AccessDenied"):
        stage_buckets(Storage(("AccessDenied", "no")), "dev")
