"""A promoted model takes over a deployment: against the local Bedrock endpoint."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from distillation import keys
from distillation.errors import DeploymentFailed, InvalidRequest
from distillation.records import Prompt, Run
from distillation.runs.existing_model import with_replaced_deployment, with_tuned_model
from distillation.serving.cleanup import clean_up
from distillation.serving.promotion import promote
from distillation.storage import Bucket
from local.bedrock import Endpoint
from tests.support.bedrock_state import ARN, BASE, add_resources, ended_run
from tests.support.builders import any_run
from tests.support.fakes import bucket

NOW = datetime(2026, 11, 25, tzinfo=UTC)


def deployment(number: int) -> str:
    return f"{ARN}:custom-model-deployment/{number:012x}"


def held(endpoint: Endpoint, run: str, number: int) -> dict[str, bytes]:
    """Have a run that promoted its model; return what it has left in the Data bucket."""
    name = add_resources(endpoint, run, number)
    left = ended_run(run, name)
    (arn,) = [arn for arn, model in endpoint.service.custom_models.items() if model["modelName"] == name]
    model = {"model_name": name, "size": 12, "model_arn": arn, "deployment_arn": deployment(number)}
    report = {"models": [model], "gate": {"promoted": name}, "verdict": "promoted."}
    return left | {keys.report_key(run, "report.json"): json.dumps(report).encode()}


def successor(data: Bucket, client: Any, **request: Any) -> Run:
    run = any_run(replace="old", **request).model_copy(update={"name": "new"})
    return with_replaced_deployment(run, data, client)


def test_callers_of_the_old_deployment_get_the_new_model_and_nothing_is_left_over(
    endpoint: Endpoint, client: Any
) -> None:
    data = bucket(**held(endpoint, "old", 1), **held(endpoint, "new", 2))
    run = successor(data, client)
    data.write(keys.request_key("new"), run.model_dump_json().encode())
    told = [promote(run, data, client) for _ in range(4)]
    result = clean_up(run, data, client, NOW)

    assert [one["status"] for one in told] == ["Updating", "Updating", "Done", "Done"]
    assert {one["deployment_arn"] for one in told} == {deployment(1)}
    assert list(endpoint.service.deployments) == [deployment(1)]
    assert endpoint.service.deployments[deployment(1)]["modelArn"].endswith(f"{2:012x}")
    assert result["deleted"] == ["deployment new-n2-a1"]
    assert {"key": "vision-distillation:run", "value": "new"} in endpoint.service.tags[deployment(1)]
    applied = with_tuned_model(any_run(apply="new"), data, client).applies
    assert applied
    assert applied.deployment_arn == deployment(1)
    with pytest.raises(InvalidRequest, match=r"apply: run 'old' was replaced.*another run's model; name that run"):
        with_tuned_model(any_run(apply="old"), data, client)
    endpoint.service.deployments[deployment(1)]["modelArn"] = f"{ARN}:custom-model/{BASE}/{3:012x}"
    with pytest.raises(InvalidRequest, match="replace: run 'new' was replaced"):
        with_replaced_deployment(any_run(replace="new"), data, client)


def test_model_that_was_not_promoted_takes_over_nothing(endpoint: Endpoint, client: Any) -> None:
    data = bucket(**held(endpoint, "old", 1), **held(endpoint, "new", 2))
    run = successor(data, client)
    data.write_json(keys.report_key("new", "report.json"), {"models": [], "gate": {}})

    assert promote(run, data, client) == {"status": "Done", "deployment_arn": None}
    assert endpoint.service.deployments[deployment(1)]["modelArn"].endswith(f"{1:012x}")


def test_update_that_failed_is_told_and_the_old_model_goes_on(endpoint: Endpoint, client: Any) -> None:
    data = bucket(**held(endpoint, "old", 1), **held(endpoint, "new", 2))
    run = successor(data, client)
    (model,) = [arn for arn, found in endpoint.service.custom_models.items() if found["modelName"].startswith("new")]
    endpoint.service.deployments[deployment(1)]["updateDetails"] = {"modelArn": model, "updateStatus": "UpdateFailed"}
    with pytest.raises(DeploymentFailed, match="goes on with the model that it had"):
        promote(run, data, client)


def test_replacing_what_its_callers_would_notice_is_refused(endpoint: Endpoint, client: Any) -> None:
    data = bucket(**held(endpoint, "old", 1))
    other = any_run(replace="old").model_copy(update={"prompt": Prompt(system="s", user="another")})
    with pytest.raises(InvalidRequest, match="another student or prompt"):
        with_replaced_deployment(other, data, client)
    with pytest.raises(InvalidRequest, match="keep is none"):
        successor(data, client, keep="none")
    with pytest.raises(InvalidRequest, match="replace: no run 'old'"):
        successor(bucket(), client)
