from __future__ import annotations

from typing import Any

import pytest
from botocore.stub import Stubber

from distillation.errors import ResourceBusy, Throttled
from distillation.serving.resources import BedrockResource, delete, deployments_and_models, running_jobs, stop
from tests.support.jobs import BASE_MODEL_ARN, CREATED, DEPLOYMENT_ARN, JOB_ARN, MODEL_ARN, job_description

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
