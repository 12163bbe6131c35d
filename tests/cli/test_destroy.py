"""destroy, with a CDK that only notes what it is told, against the local Bedrock endpoint."""

from __future__ import annotations

import io
import subprocess
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from cli.console import Refused
from cli.destroy import destroy_stage, stage_buckets
from cli.stage import ROOT
from local.bedrock import Endpoint
from tests.support.bedrock_state import add_resources

ABSENT = ("ValidationError", "Stack with id S does not exist")


class Storage:
    """CloudFormation with a storage stack of one bucket, or with an error; and S3, which has nothing in it."""

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
    told: list[tuple[list[str], dict[str, Any]]] = []
    monkeypatch.setattr(subprocess, "run", lambda command, **how: told.append((command, how)))
    return told


def stage(endpoint: Endpoint, storage: Storage, name: str = "dev", region: str = "us-east-1") -> Any:
    make: Any = boto3.client
    clients = {"bedrock": make("bedrock", endpoint_url=endpoint.url), "cloudformation": storage, "s3": storage}
    return SimpleNamespace(name=name, region=region, client=clients.__getitem__)


def refuse(_: str) -> str:
    raise AssertionError("nothing is to be asked")


def test_nothing_goes_until_the_name_of_the_stage_is_typed(endpoint: Endpoint, cdk: list[Any]) -> None:
    add_resources(endpoint, "kept")
    with pytest.raises(Refused, match="nothing was removed"):
        destroy_stage(stage(endpoint, Storage()), sure=False, ask=lambda _: "y")

    assert len(endpoint.service.custom_models) == 1
    assert [command[3:] for command, _ in cdk] == [["--version"]]


def test_where_nobody_can_type_nothing_goes(
    endpoint: Endpoint, cdk: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    with pytest.raises(Refused, match="in a script give --yes"):
        destroy_stage(stage(endpoint, Storage()), sure=False)

    assert len(cdk) == 1


def test_models_stacks_and_buckets_go_once_their_names_are_typed(endpoint: Endpoint, cdk: list[Any]) -> None:
    add_resources(endpoint, "kept")
    answers, storage = iter(["dev", "data"]), Storage()
    destroy_stage(stage(endpoint, storage), sure=False, ask=lambda _: next(answers))
    command, how = cdk[-1]

    assert not endpoint.service.custom_models
    assert command[3:] == ["destroy", "--force", "-c", "stage=dev", "Distill-dev-Pipeline", "Distill-dev-Storage"]
    assert how["cwd"] == ROOT
    assert how["env"]["AWS_REGION"] == how["env"]["CDK_DEFAULT_REGION"] == "us-east-1"
    assert storage.deleted == ["data"]


def test_script_is_asked_nothing_and_keeps_the_buckets(
    endpoint: Endpoint, cdk: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    storage = Storage()
    destroy_stage(stage(endpoint, storage), sure=True, ask=refuse)

    assert len(cdk) == 2
    assert storage.deleted == []
    assert "kept data" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("chosen", "words"), [({"name": "nope"}, "not in cdk.json"), ({"region": "eu-west-1"}, "--region us-east-1")]
)
def test_stage_or_region_that_is_not_in_cdk_json_is_refused(
    endpoint: Endpoint, cdk: list[Any], chosen: dict[str, str], words: str
) -> None:
    add_resources(endpoint, "kept")
    with pytest.raises(Refused, match=words):
        destroy_stage(stage(endpoint, Storage(), **chosen), sure=True)

    assert len(endpoint.service.custom_models) == 1
    assert cdk == []


def test_without_the_cdk_nothing_goes(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: Any, **__: Any) -> None:
        raise FileNotFoundError(2, "No such file or directory", "npx")

    add_resources(endpoint, "kept")
    monkeypatch.setattr(subprocess, "run", missing)
    with pytest.raises(Refused, match="'npx'"):
        destroy_stage(stage(endpoint, Storage()), sure=True)

    assert len(endpoint.service.custom_models) == 1


def test_buckets_of_a_stack_that_is_gone_are_said_to_be_unknown(
    endpoint: Endpoint, cdk: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    destroy_stage(stage(endpoint, Storage(ABSENT)), sure=True)

    assert "find what it left by its name" in capsys.readouterr().out
    assert len(cdk) == 2


def test_stack_that_cannot_be_seen_is_not_taken_for_one_that_is_gone() -> None:
    assert stage_buckets(Storage(ABSENT), "dev") == []
    with pytest.raises(ClientError, match="AccessDenied"):
        stage_buckets(Storage(("AccessDenied", "no")), "dev")
