"""Promotion against the local Bedrock endpoint."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from distillation import keys
from distillation.documents import ReplacedDeployment
from distillation.errors import DeploymentFailed, InvalidRequest
from distillation.events import PromoteResult
from distillation.records import Run, TrainedModel
from distillation.runs.existing_model import with_replaced_deployment, with_tuned_model
from distillation.serving.clean_up import clean_up
from distillation.serving.execution_state import UNKNOWN_EXECUTION
from distillation.serving.promotion import promote
from distillation.serving.retention import Retention
from distillation.storage import Bucket
from local.bedrock import Endpoint
from tests.support.bedrock_state import ARN, BASE, add_resources, ended_run
from tests.support.builders import any_report, any_run
from tests.support.fakes import bucket

NOW = datetime(2026, 11, 25, tzinfo=UTC)


def deployment_arn(number: int) -> str:
    return f"{ARN}:custom-model-deployment/{number:012x}"


def model_arn(number: int) -> str:
    return f"{ARN}:custom-model/{BASE}/{number:012x}"


def promoted_run(endpoint: Endpoint, run: str, number: int) -> dict[str, bytes]:
    """Add a run with a promoted and deployed model; return its objects in the Data bucket."""
    name = add_resources(endpoint, run, number)
    model = TrainedModel(
        size=number,
        status="Active",
        model_name=name,
        model_arn=model_arn(number),
        deployment_arn=deployment_arn(number),
    )
    report = any_report(run=run, models=[model], promoted=name)
    return ended_run(run, name) | {keys.report_json_key(run): report.model_dump_json().encode()}


def two_runs(endpoint: Endpoint) -> Bucket:
    """Return the Data bucket after the runs ``old`` and ``new``, which both promoted a model."""
    return bucket(**promoted_run(endpoint, "old", 1), **promoted_run(endpoint, "new", 2))


def replacing_run(data: Bucket, client: Any, **request: Any) -> Run:
    run = any_run(replace="old", **request).model_copy(update={"name": "new"})
    return with_replaced_deployment(run, data, client)


def test_replaced_deployment_serves_the_new_model_and_nothing_is_left_over(endpoint: Endpoint, client: Any) -> None:
    data = two_runs(endpoint)
    run = replacing_run(data, client)
    data.write_document(keys.request_key("new"), run)
    results = [promote(run, data, client) for _ in range(4)]
    cleaned = clean_up(run, Retention(data, lambda _: UNKNOWN_EXECUTION, NOW), client)

    assert [result.status for result in results] == ["Updating", "Updating", "Done", "Done"]
    assert {result.deployment_arn for result in results} == {deployment_arn(1)}
    assert list(endpoint.service.deployments) == [deployment_arn(1)]
    assert endpoint.service.deployments[deployment_arn(1)]["modelArn"] == model_arn(2)
    assert cleaned.deleted == ["deployment new-n2-a1"]
    assert {"key": "vision-distillation:run", "value": "new"} in endpoint.service.tags[deployment_arn(1)]
    assert {"key": "vision-distillation:data-bucket", "value": "data"} in endpoint.service.tags[deployment_arn(1)]
    applied = with_tuned_model(any_run(apply="new"), data, client).applies
    assert applied
    assert applied.deployment_arn == deployment_arn(1)
    with pytest.raises(InvalidRequest, match=r"apply: run 'old' was replaced.*model of another run. Name that run"):
        with_tuned_model(any_run(apply="old"), data, client)
    endpoint.service.deployments[deployment_arn(1)]["modelArn"] = model_arn(3)
    with pytest.raises(InvalidRequest, match="replace: run 'new' was replaced"):
        with_replaced_deployment(any_run(replace="new"), data, client)


def test_run_without_a_promoted_model_replaces_nothing(endpoint: Endpoint, client: Any) -> None:
    data = two_runs(endpoint)
    run = replacing_run(data, client)
    data.write_document(keys.report_json_key("new"), any_report(run="new", evaluation=None))

    assert promote(run, data, client) == PromoteResult(status="Done", deployment_arn=None)
    assert endpoint.service.deployments[deployment_arn(1)]["modelArn"] == model_arn(1)


def test_run_without_replace_returns_the_deployment_of_its_own_model(endpoint: Endpoint, client: Any) -> None:
    data = two_runs(endpoint)
    run = any_run().model_copy(update={"name": "new"})

    assert promote(run, data, client) == PromoteResult(status="Done", deployment_arn=deployment_arn(2))
    assert endpoint.service.deployments[deployment_arn(1)]["modelArn"] == model_arn(1)


def test_failed_update_is_an_error_and_the_deployment_serves_its_earlier_model(endpoint: Endpoint, client: Any) -> None:
    data = two_runs(endpoint)
    run = replacing_run(data, client)
    update = {"modelArn": model_arn(2), "updateStatus": "UpdateFailed"}
    endpoint.service.deployments[deployment_arn(1)]["updateDetails"] = update
    with pytest.raises(DeploymentFailed, match="It still serves its earlier model"):
        promote(run, data, client)


def test_run_that_reuses_the_model_of_the_deployment_that_it_replaces_updates_nothing(
    endpoint: Endpoint, client: Any
) -> None:
    data = two_runs(endpoint)
    run = replacing_run(data, client)
    endpoint.service.deployments[deployment_arn(1)]["modelArn"] = model_arn(2)

    assert promote(run, data, client) == PromoteResult(status="Done", deployment_arn=deployment_arn(1))
    assert "updateDetails" not in endpoint.service.deployments[deployment_arn(1)]
    assert data.read_document(keys.deployment_key("new"), ReplacedDeployment).model_arn == model_arn(2)
