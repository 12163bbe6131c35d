from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from botocore.stub import Stubber

from distillation.errors import InvalidRequest, ResourceBusy, Throttled
from distillation.serving.resources import (
    BedrockResource,
    Kind,
    delete,
    deployments_and_models,
    describe_by_name,
    running_jobs,
    stop,
)
from tests.support.bedrock_state import add_resources
from tests.support.fakes import MemoryS3
from tests.support.local_bedrock import client, running_endpoint
from tests.support.training_jobs import BASE_MODEL_ARN, CREATED, DEPLOYMENT_ARN, JOB_ARN, MODEL_ARN, job_description

TAG = ("vision-distillation:stage", "dev")
TAGS = [{"key": "vision-distillation:run", "value": "r"}, {"key": "vision-distillation:stage", "value": "dev"}]
JOB = BedrockResource("job", "n", JOB_ARN, "InProgress", CREATED, {})
DEPLOYMENT = BedrockResource("deployment", "n", DEPLOYMENT_ARN, "Active", CREATED, {}, MODEL_ARN)
MODEL = BedrockResource("model", "n", MODEL_ARN, "Active", CREATED, {})


def job_summary(status: str = "InProgress") -> dict[str, Any]:
    return {
        "jobName": "n",
        "jobArn": JOB_ARN,
        "baseModelArn": BASE_MODEL_ARN,
        "creationTime": CREATED,
        "status": status,
    }


DEPLOYMENT_SUMMARY = {
    "customModelDeploymentArn": DEPLOYMENT_ARN,
    "customModelDeploymentName": "n",
    "modelArn": MODEL_ARN,
    "createdAt": CREATED,
    "status": "Active",
}


class Sleeps:
    """Callable that records the seconds it was asked to sleep."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


def test_running_jobs_with_the_tag_are_listed_by_part_of_their_name(bedrock_client: Any, bedrock: Stubber) -> None:
    summaries = [job_summary(status) for status in ("InProgress", "Completed", "Stopping")]
    response = {"modelCustomizationJobSummaries": summaries}
    bedrock.add_response("list_model_customization_jobs", response, {"nameContains": "r"})
    bedrock.add_response("list_tags_for_resource", {"tags": TAGS}, {"resourceARN": JOB_ARN})
    bedrock.add_response("list_tags_for_resource", {"tags": []}, {"resourceARN": JOB_ARN})

    (job,) = running_jobs(TAG, "r", bedrock_client)

    assert (str(job), job.run, job.status) == ("job n", "r", "InProgress")


def test_resource_that_was_deleted_since_the_listing_is_skipped(bedrock_client: Any, bedrock: Stubber) -> None:
    bedrock.add_response("list_custom_model_deployments", {"modelDeploymentSummaries": [DEPLOYMENT_SUMMARY]})
    bedrock.add_client_error("list_tags_for_resource", "ResourceNotFoundException")
    bedrock.add_response("list_custom_models", {})

    assert deployments_and_models(TAG, "", bedrock_client) == []


@pytest.mark.parametrize(
    ("list_resources", "responses", "throttled"),
    [
        (running_jobs, {}, "list_model_customization_jobs"),
        (
            running_jobs,
            {"list_model_customization_jobs": {"modelCustomizationJobSummaries": [job_summary()]}},
            "list_tags_for_resource",
        ),
        (deployments_and_models, {}, "list_custom_model_deployments"),
        (deployments_and_models, {"list_custom_model_deployments": {}}, "list_custom_models"),
    ],
)
def test_throttled_listing_is_an_error_that_the_state_machine_retries(
    bedrock_client: Any, bedrock: Stubber, list_resources: Any, responses: dict[str, Any], throttled: str
) -> None:
    for call, response in responses.items():
        bedrock.add_response(call, response)
    bedrock.add_client_error(throttled, "ThrottlingException")
    with pytest.raises(Throttled):
        list_resources(("tag", "value"), "", bedrock_client)


def test_job_that_ended_since_the_listing_does_not_count_as_stopped(bedrock_client: Any, bedrock: Stubber) -> None:
    sleeps = Sleeps()
    bedrock.add_client_error("stop_model_customization_job", "ConflictException")
    bedrock.add_response("get_model_customization_job", job_description("Completed"))

    assert stop([JOB], bedrock_client, sleeps) == []
    assert sleeps.seconds == []


def test_stop_waits_until_the_job_has_ended(bedrock_client: Any, bedrock: Stubber) -> None:
    sleeps = Sleeps()
    bedrock.add_response("stop_model_customization_job", {})
    for status in ("InProgress", "Stopping", "Stopped"):
        bedrock.add_response("get_model_customization_job", job_description(status))

    assert stop([JOB], bedrock_client, sleeps) == ["n"]
    assert sleeps.seconds == [5, 5]


def test_deployment_is_deleted_before_its_model(bedrock_client: Any, bedrock: Stubber) -> None:
    bedrock.add_client_error("delete_custom_model_deployment", "ResourceNotFoundException")
    bedrock.add_response("delete_custom_model", {}, {"modelIdentifier": MODEL_ARN})

    assert delete([MODEL, DEPLOYMENT], bedrock_client, Sleeps()) == ["model n", "deployment n"]


def test_model_that_is_still_deployed_after_four_minutes_is_an_error(bedrock_client: Any, bedrock: Stubber) -> None:
    sleeps = Sleeps()
    for _ in range(49):
        bedrock.add_client_error("delete_custom_model", "ConflictException")
    with pytest.raises(ResourceBusy, match="model n: Bedrock has not finished after 240 s"):
        delete([MODEL], bedrock_client, sleeps)

    assert sum(sleeps.seconds) == 240


ABSENT = [
    ("ResourceNotFoundException", "{} not found."),
    ("ResourceNotFoundException", "The specified resource ARN was not found."),
    ("ValidationException", "Could not find {}."),
    ("ValidationException", "{} does not exist."),
    # The words do not say that the name is unknown: it is looked up in the list.
    ("ValidationException", "The provided model identifier is invalid."),
]
KINDS: dict[Kind, tuple[str, str]] = {
    "job": ("get_model_customization_job", "jobIdentifier"),
    "deployment": ("get_custom_model_deployment", "customModelDeploymentIdentifier"),
    "model": ("get_custom_model", "modelIdentifier"),
}


@pytest.mark.parametrize("absent", ABSENT, ids=lambda error: f"{error[0]} {error[1]}")
@pytest.mark.parametrize("kind", KINDS)
def test_unknown_name_is_absent_however_bedrock_says_so(absent: tuple[str, str], kind: Kind, tmp_path: Path) -> None:
    operation, parameter = KINDS[kind]
    with running_endpoint(MemoryS3(), tmp_path, absent=absent) as endpoint:
        bedrock = client(endpoint, "bedrock")
        assert add_resources(endpoint, "run", 10) == "run-n10-a1"

        def describe(name: str) -> Any:
            return describe_by_name(
                kind, name, lambda identifier: getattr(bedrock, operation)(**{parameter: identifier}), bedrock
            )

        assert describe("run-n10-a2") is None
        assert describe("run-n10-a") is None  # The list has names that contain it.
        assert describe("run-n10-a1") is not None


@pytest.mark.parametrize("absent", ABSENT, ids=lambda error: f"{error[0]} {error[1]}")
def test_resources_that_are_gone_count_as_ended_and_deleted(absent: tuple[str, str], tmp_path: Path) -> None:
    with running_endpoint(MemoryS3(), tmp_path, absent=absent) as endpoint:
        bedrock = client(endpoint, "bedrock")

        assert delete([DEPLOYMENT, MODEL], bedrock, Sleeps()) == ["deployment n", "model n"]
        assert stop([replace(JOB, status="Stopping")], bedrock, Sleeps()) == []


def test_name_that_get_refuses_is_described_by_its_arn(bedrock_client: Any, bedrock: Stubber) -> None:
    bedrock.add_client_error("get_model_customization_job", "ValidationException", "Invalid identifier.")
    summaries = [job_summary("Completed") | {"jobName": name} for name in ("n-2", "n")]
    bedrock.add_response("list_model_customization_jobs", {"modelCustomizationJobSummaries": summaries})
    bedrock.add_response("get_model_customization_job", job_description("Completed"), {"jobIdentifier": JOB_ARN})

    def describe(identifier: str) -> Any:
        return bedrock_client.get_model_customization_job(jobIdentifier=identifier)

    assert (describe_by_name("job", "n", describe, bedrock_client) or {})["status"] == "Completed"
    bedrock.add_client_error("get_model_customization_job", "ThrottlingException")
    with pytest.raises(Throttled, match="job n"):
        describe_by_name("job", "n", describe, bedrock_client)


def test_invalid_request_about_a_listed_resource_is_an_error(bedrock_client: Any, bedrock: Stubber) -> None:
    bedrock.add_client_error("delete_custom_model", "ValidationException", "No.")
    summary = {
        "modelArn": MODEL_ARN,
        "modelName": "n",
        "creationTime": CREATED,
        "baseModelArn": BASE_MODEL_ARN,
        "baseModelName": "b",
    }
    bedrock.add_response("list_custom_models", {"modelSummaries": [summary]})
    with pytest.raises(InvalidRequest, match="model n: No"):
        delete([MODEL], bedrock_client, Sleeps())
