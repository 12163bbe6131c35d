"""Sweep against the local Bedrock endpoint, which checks every call against botocore's service model."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

import pytest
from botocore.exceptions import ClientError

from distillation import keys
from distillation.errors import ServiceUnavailable
from distillation.events import SweepResult
from distillation.serving.execution_state import UNKNOWN_EXECUTION, ExecutionState
from distillation.serving.sweep import Sweeper
from distillation.storage import Bucket
from local.bedrock import Endpoint
from tests.support.bedrock_state import ARN, add_resources, claimed_run, ended_run
from tests.support.fakes import MemoryS3, bucket

NOW = datetime(2026, 11, 25, tzinfo=UTC)


def sweep(client: Any, data: Bucket, state: ExecutionState = UNKNOWN_EXECUTION) -> SweepResult:
    """Sweep the stage ``dev`` while the executions of its runs have this state."""
    return Sweeper(
        stage="dev",
        data=data,
        bedrock=client,
        execution_state=lambda _: state,
        now=NOW,
        sleep=lambda _: None,
    ).sweep()


def test_sweep_deletes_the_models_of_its_stage_that_no_run_retains(endpoint: Endpoint, client: Any) -> None:
    retained, dropped = add_resources(endpoint, "kept", 1), add_resources(endpoint, "dropped", 2)
    failed = add_resources(endpoint, "failed", 3)
    foreign = add_resources(endpoint, "foreign", 4, stage="prod")
    data = bucket(**ended_run("kept", retained), **ended_run("dropped", None), **claimed_run("failed"))
    result = sweep(client, data)

    assert set(result.deleted) == {f"{kind} {name}" for kind in ("deployment", "model") for name in (dropped, failed)}
    assert result.kept == [f"deployment {retained}", f"model {retained}"]
    assert result.unknown == []
    assert result.oldest_deployment_days == 24
    assert {model["modelName"] for model in endpoint.service.custom_models.values()} == {retained, foreign}


@pytest.mark.parametrize(("days", "stays"), [(None, True), (30, True), (10, False)])
def test_promoted_model_is_retained_for_keep_days(
    endpoint: Endpoint, client: Any, days: int | None, stays: bool
) -> None:
    name = add_resources(endpoint, "kept")
    sweep(client, bucket(**ended_run("kept", name, keep_days=days)))

    assert bool(endpoint.service.custom_models) == bool(endpoint.service.deployments) == stays


def test_resources_of_a_running_execution_are_left_alone(endpoint: Endpoint, client: Any) -> None:
    add_resources(endpoint, "running", job="InProgress")
    add_resources(endpoint, "running", 2)
    result = sweep(client, bucket(**ended_run("running", None)), ExecutionState("RUNNING"))

    assert (result.stopped, result.deleted) == ([], [])


OTHER_DEPLOYMENTS = [
    pytest.param("gone", "earlier-data", id="another Data bucket"),
    pytest.param("kept", "earlier-data", id="another Data bucket that has a run of the same name"),
    pytest.param("kept", None, id="no tag with a Data bucket"),
    pytest.param("gone", "data", id="a run without request.json"),
]


@pytest.mark.parametrize(("run", "data_bucket"), OTHER_DEPLOYMENTS)
def test_unknown_models_and_deployments_are_reported_and_never_deleted(
    endpoint: Endpoint, client: Any, run: str, data_bucket: str | None
) -> None:
    retained, dropped = add_resources(endpoint, "kept", 1), add_resources(endpoint, "dropped", 2)
    name = add_resources(endpoint, run, 3, data_bucket=data_bucket)
    data = bucket(**ended_run("kept", retained), **ended_run("dropped", None))
    result = sweep(client, data)

    assert result.unknown == [f"deployment {name}", f"model {name}"]
    assert result.kept == [f"deployment {retained}", f"model {retained}"]
    assert result.deleted == [f"deployment {dropped}", f"model {dropped}"]
    assert {model["modelName"] for model in endpoint.service.custom_models.values()} == {retained, name}


@pytest.mark.parametrize(("run", "data_bucket"), OTHER_DEPLOYMENTS)
def test_unknown_job_is_stopped(endpoint: Endpoint, client: Any, run: str, data_bucket: str | None) -> None:
    name = add_resources(endpoint, run, data_bucket=data_bucket, job="InProgress")

    assert sweep(client, bucket(**claimed_run("kept"))).stopped == [name]


def test_job_whose_execution_has_ended_is_stopped(endpoint: Endpoint, client: Any) -> None:
    name = add_resources(endpoint, "aborted", job="InProgress")

    assert sweep(client, bucket(**claimed_run("aborted"))).stopped == [name]
    assert [job["status"] for job in endpoint.service.jobs.values()] == ["Stopped"]


@pytest.mark.parametrize("key", [keys.request_key("odd"), keys.report_json_key("odd")])
def test_run_whose_request_or_report_cannot_be_read_is_left_alone_and_the_others_are_swept(
    endpoint: Endpoint, client: Any, key: str
) -> None:
    name, dropped = add_resources(endpoint, "odd", 1), add_resources(endpoint, "dropped", 2)
    data = bucket(**ended_run("odd", name) | {key: b"{}"} | ended_run("dropped", None))
    result = sweep(client, data)

    assert result.deleted == [f"deployment {dropped}", f"model {dropped}"]
    assert result.kept == [f"deployment {name}", f"model {name}"]
    assert result.unknown == []
    (problem,) = result.problems
    assert "run odd is left alone" in problem
    assert key in problem


class RefusingS3(MemoryS3):
    """S3 that answers every read of the run ``odd`` with one error code."""

    code = "AccessDenied"

    def get_object(self, *, Bucket: str, Key: str, Range: str = "") -> dict[str, Any]:  # noqa: N803 - boto3's names
        if "/odd/" in Key:
            raise ClientError({"Error": {"Code": self.code, "Message": "no"}}, "GetObject")
        return super().get_object(Bucket=Bucket, Key=Key, Range=Range)


def test_run_whose_objects_may_not_be_read_is_left_alone_and_the_others_are_swept(
    endpoint: Endpoint, client: Any
) -> None:
    name, dropped = add_resources(endpoint, "odd", 1), add_resources(endpoint, "dropped", 2)
    s3: Any = RefusingS3()
    s3.objects |= ended_run("odd", name) | ended_run("dropped", None)
    result = sweep(client, Bucket(s3, "data"))

    assert result.deleted == [f"deployment {dropped}", f"model {dropped}"]
    assert ["run odd is left alone" in problem for problem in result.problems] == [True]


def test_outage_of_s3_is_an_error_and_nothing_is_reported_as_swept(endpoint: Endpoint, client: Any) -> None:
    add_resources(endpoint, "odd")
    s3: Any = RefusingS3()
    s3.code = "SlowDown"
    s3.objects |= ended_run("odd", None)
    with pytest.raises(ServiceUnavailable):
        sweep(client, Bucket(s3, "data"))


REFUSED_CALLS = {
    "StopModelCustomizationJob": "jobIdentifier",
    "GetModelCustomizationJob": "jobIdentifier",
    "DeleteCustomModelDeployment": "customModelDeploymentIdentifier",
    "DeleteCustomModel": "modelIdentifier",
    "ListTagsForResource": "resourceARN",
}


@pytest.mark.parametrize("operation", REFUSED_CALLS)
@pytest.mark.parametrize("code", ["AccessDeniedException", "ThrottlingException", "OddException"])
def test_resource_that_cannot_be_read_stopped_or_deleted_does_not_stop_the_others(
    endpoint: Endpoint, client: Any, operation: str, code: str
) -> None:
    add_resources(endpoint, "a", 1)
    add_resources(endpoint, "b", 2, job="InProgress")
    others = [add_resources(endpoint, "c", 3), add_resources(endpoint, "d", 4, job="InProgress")]

    def refuse(params: dict[str, Any], model: Any, **_: Any) -> None:
        path = unquote(params["url_path"]) + str(params.get("body", ""))
        if model.name == operation and (f"{1:012x}" in path or f"{2:012x}" in path):
            raise ClientError({"Error": {"Code": code, "Message": "refused"}}, operation)  # type: ignore[arg-type]

    client.meta.events.register("before-call.bedrock", refuse)
    data = bucket(**claimed_run("a"), **claimed_run("b"), **claimed_run("c"), **claimed_run("d"))
    result = sweep(client, data)

    assert {f"deployment {others[0]}", f"model {others[0]}"} <= set(result.deleted)
    assert others[1] in result.stopped
    assert result.problems
    assert all("refused" in problem or "Bedrock has not finished" in problem for problem in result.problems)


def test_model_that_someone_else_deployed_is_an_error_and_the_others_are_deleted(
    endpoint: Endpoint, client: Any
) -> None:
    name = add_resources(endpoint, "a", 1)
    add_resources(endpoint, "b", 2)
    endpoint.service.deployments[f"{ARN}:custom-model-deployment/{1:012x}"]["modelDeploymentName"] = "theirs"
    endpoint.service.tags[f"{ARN}:custom-model-deployment/{1:012x}"] = []
    (problem,) = sweep(client, bucket(**claimed_run("a"), **claimed_run("b"))).problems

    assert f"model {name}: Bedrock has not finished" in problem
    assert [model["modelName"] for model in endpoint.service.custom_models.values()] == [name]
