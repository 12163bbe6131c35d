"""``distill destroy`` with a fake CDK, against the local Bedrock endpoint."""

from __future__ import annotations

import io
import subprocess
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from cli.console import CommandError
from cli.destroy import destroy_stage, stage_buckets
from cli.stage import ROOT
from local.bedrock import Endpoint
from tests.support.bedrock_state import add_resources

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

    def get_paginator(self, _: str) -> Any:
        return SimpleNamespace(paginate=lambda **_: [])

    def delete_bucket(self, Bucket: str) -> None:  # noqa: N803 - boto3's name
        self.deleted.append(Bucket)


@pytest.fixture
def cdk(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[str], dict[str, Any]]]:
    calls: list[tuple[list[str], dict[str, Any]]] = []
    monkeypatch.setattr(subprocess, "run", lambda command, **options: calls.append((command, options)))
    return calls


def stage(endpoint: Endpoint, storage: Storage, name: str = "dev", region: str = "us-east-1") -> Any:
    make: Any = boto3.client
    clients = {"bedrock": make("bedrock", endpoint_url=endpoint.url), "cloudformation": storage, "s3": storage}
    return SimpleNamespace(name=name, region=region, client=clients.__getitem__)


def fail_if_asked(_: str) -> str:
    raise AssertionError("no question was expected")


def test_nothing_is_deleted_until_the_name_of_the_stage_is_typed(endpoint: Endpoint, cdk: list[Any]) -> None:
    add_resources(endpoint, "kept")
    with pytest.raises(CommandError, match="nothing was deleted"):
        destroy_stage(stage(endpoint, Storage()), assume_yes=False, ask=lambda _: "y")

    assert len(endpoint.service.custom_models) == 1
    assert [command[3:] for command, _ in cdk] == [["--version"]]


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
    assert command[3:] == ["destroy", "--force", "-c", "stage=dev", "Distill-dev-Pipeline", "Distill-dev-Storage"]
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


def test_nothing_is_deleted_without_the_cdk(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: Any, **__: Any) -> None:
        raise FileNotFoundError(2, "No such file or directory", "npx")

    add_resources(endpoint, "kept")
    monkeypatch.setattr(subprocess, "run", missing)
    with pytest.raises(CommandError, match="'npx'"):
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
