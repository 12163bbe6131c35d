"""Sweep against the local Bedrock endpoint, which checks every call against botocore's model."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
import urllib3
from botocore.stub import Stubber

from distillation import keys
from distillation.errors import ResourceBusy, Throttled
from distillation.serving.resources import deployments_and_models, running_jobs
from distillation.serving.sweep import Sweeper
from distillation.storage import Bucket
from lambdas import runtime
from lambdas import sweep as lambdas_sweep
from local.bedrock import Endpoint
from tests.support.bedrock_state import ARN, add_resources, ended_run
from tests.support.fakes import bucket

NOW = datetime(2026, 11, 25, tzinfo=UTC)
CONTEXT: Any = SimpleNamespace(
    function_name="f", memory_limit_in_mb=1, invoked_function_arn="arn:aws:lambda:f", aws_request_id="r"
)


def sweep(client: Any, data: Bucket, **changes: Any) -> dict[str, Any]:
    asked = {"stage": "dev", "is_running": lambda _: False, "now": NOW, "pause": lambda _: None} | changes
    return Sweeper(data=data, bedrock=client, **asked).sweep()


def test_what_no_run_keeps_goes_and_what_one_keeps_stays(endpoint: Endpoint, client: Any) -> None:
    kept, dropped = add_resources(endpoint, "kept", 1), add_resources(endpoint, "dropped", 2)
    orphan = add_resources(endpoint, "orphan", 3)
    foreign = add_resources(endpoint, "foreign", 4, stage="prod")
    data = bucket(**ended_run("kept", kept), **ended_run("dropped", None))
    result = sweep(client, data)

    assert set(result["deleted"]) == {
        f"{kind} {name}" for kind in ("deployment", "model") for name in (dropped, orphan)
    }
    assert result["kept"] == [f"deployment {kept}", f"model {kept}"]
    assert result["oldest_deployment_days"] == 24
    assert {one["modelName"] for one in endpoint.service.custom_models.values()} == {kept, foreign}


RUNNING = {
    "jobName": "j",
    "jobArn": f"{ARN}:model-customization-job/b/000000000001",
    "baseModelArn": f"{ARN}:custom-model/b/000000000001",
    "creationTime": NOW,
    "status": "InProgress",
}


@pytest.mark.parametrize(
    ("look", "answered", "throttled"),
    [
        (running_jobs, {}, "list_model_customization_jobs"),
        (
            running_jobs,
            {"list_model_customization_jobs": {"modelCustomizationJobSummaries": [RUNNING]}},
            "list_tags_for_resource",
        ),
        (deployments_and_models, {}, "list_custom_model_deployments"),
        (deployments_and_models, {"list_custom_model_deployments": {}}, "list_custom_models"),
    ],
)
def test_listing_that_was_throttled_is_for_the_machine_to_try_again(
    look: Any, answered: dict[str, Any], throttled: str
) -> None:
    with Stubber(boto3.client("bedrock")) as bedrock:
        for call, answer in answered.items():
            bedrock.add_response(call, answer)
        bedrock.add_client_error(throttled, "ThrottlingException")
        with pytest.raises(Throttled):
            look(("tag", "value"), "", bedrock.client)


@pytest.mark.parametrize(("days", "stays"), [(None, True), (30, True), (10, False)])
def test_promoted_model_stays_for_as_long_as_its_run_said(
    endpoint: Endpoint, client: Any, days: int | None, stays: bool
) -> None:
    name = add_resources(endpoint, "kept")
    sweep(client, bucket(**ended_run("kept", name, keep_days=days)))

    assert bool(endpoint.service.custom_models) == bool(endpoint.service.deployments) == stays


def test_what_a_running_execution_holds_is_its_own_affair(endpoint: Endpoint, client: Any) -> None:
    add_resources(endpoint, "running", job="InProgress")
    add_resources(endpoint, "running", 2)
    data = bucket(**ended_run("running", None))
    result = sweep(client, data, is_running=lambda execution: execution.endswith(":e"))

    assert (result["stopped"], result["deleted"]) == ([], [])


def test_job_whose_execution_is_over_is_stopped(endpoint: Endpoint, client: Any) -> None:
    name = add_resources(endpoint, "aborted", job="InProgress")

    assert sweep(client, bucket())["stopped"] == [name]
    assert [job["status"] for job in endpoint.service.jobs.values()] == ["Stopped"]


def test_run_whose_request_cannot_be_read_is_left_alone(endpoint: Endpoint, client: Any) -> None:
    add_resources(endpoint, "odd")

    assert sweep(client, bucket(**{keys.request_key("odd"): b"{}"}))["deleted"] == []


def test_model_deployed_by_somebody_else_is_an_error_and_the_others_go(endpoint: Endpoint, client: Any) -> None:
    name = add_resources(endpoint, "a", 1)
    add_resources(endpoint, "b", 2)
    endpoint.service.deployments[f"{ARN}:custom-model-deployment/{1:012x}"]["modelDeploymentName"] = "theirs"
    endpoint.service.tags[f"{ARN}:custom-model-deployment/{1:012x}"] = []
    with pytest.raises(ResourceBusy, match=f"model {name}"):
        sweep(client, bucket())

    assert [one["modelName"] for one in endpoint.service.custom_models.values()] == [name]


@pytest.mark.parametrize(
    ("request_type", "status"), [("Create", "SUCCESS"), ("Delete", "SUCCESS"), ("Delete", "FAILED")]
)
def test_cloudformation_is_always_answered(
    endpoint: Endpoint, client: Any, monkeypatch: pytest.MonkeyPatch, request_type: str, status: str
) -> None:
    add_resources(endpoint, "orphan")
    sent: list[Any] = []
    monkeypatch.setenv("STAGE", "dev")
    monkeypatch.setattr(lambdas_sweep, "data", bucket if status == "SUCCESS" else runtime.data)
    monkeypatch.setattr(lambdas_sweep, "bedrock", lambda: client)
    monkeypatch.setattr(
        urllib3, "request", lambda *args, **more: sent.append((args, more)) or SimpleNamespace(status=200)
    )
    ids = {"StackId": "s", "RequestId": "r", "LogicalResourceId": "l"}
    lambdas_sweep.handler({"RequestType": request_type, "ResponseURL": "https://x", **ids}, CONTEXT)
    answer = json.loads(sent[0][1]["body"])

    assert answer["Status"] == status
    assert bool(endpoint.service.custom_models) == ((request_type, status) != ("Delete", "SUCCESS"))
    assert ("delete the stack again" in answer["Reason"]) == (status == "FAILED")
