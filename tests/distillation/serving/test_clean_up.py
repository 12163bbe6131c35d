from __future__ import annotations

from typing import Any

import pytest
from botocore.stub import Stubber

from distillation import keys
from distillation.errors import ResourceBusy
from distillation.events import CleanUpResult
from distillation.records import Run, TrainedModel
from distillation.serving.clean_up import clean_up
from distillation.serving.execution_state import ExecutionState
from distillation.serving.retention import Retention
from distillation.storage import Bucket
from tests.support.builders import any_report, any_run
from tests.support.fakes import bucket
from tests.support.training_jobs import (
    BASE_MODEL_ARN,
    CREATED,
    DEPLOYMENT_ARN,
    JOB_ARN,
    MODEL_ARN,
    NAME,
    NOW,
    job_description,
)


def clean_up_without_waiting(client: Any, data: Bucket, run: Run | None = None) -> CleanUpResult:
    run = run or any_run(keep_on_failure_days=0)
    data.write_document(keys.request_key(run.name), run)
    failed = ExecutionState("FAILED", NOW)
    return clean_up(run, Retention(data, lambda _: failed, NOW), client, sleep=lambda _: None)


def expect_tags(bedrock: Stubber, run: str) -> None:
    tags = [{"key": "vision-distillation:run", "value": run}]
    bedrock.add_response("list_tags_for_resource", {"tags": tags})


def expect_listings(bedrock: Stubber, *, job: str = "Completed", owner: str = "holiday-1") -> None:
    """Expect the listings of CleanUp: one job with status ``job``, one deployment and one model of run ``owner``.

    A running job of the run ``holiday-1`` is stopped after two polls.
    """
    job_summary = {
        "jobArn": JOB_ARN,
        "baseModelArn": BASE_MODEL_ARN,
        "jobName": NAME,
        "status": job,
        "creationTime": CREATED,
    }
    bedrock.add_response("list_model_customization_jobs", {"modelCustomizationJobSummaries": [job_summary]})
    if job == "InProgress":
        expect_tags(bedrock, owner)
        if owner == "holiday-1":
            bedrock.add_response("stop_model_customization_job", {}, {"jobIdentifier": JOB_ARN})
            bedrock.add_response("get_model_customization_job", job_description("Stopping"))
            bedrock.add_response("get_model_customization_job", job_description("Stopped"))
    deployment_summary = {
        "customModelDeploymentArn": DEPLOYMENT_ARN,
        "customModelDeploymentName": NAME,
        "modelArn": MODEL_ARN,
        "createdAt": CREATED,
        "status": "Active",
    }
    bedrock.add_response("list_custom_model_deployments", {"modelDeploymentSummaries": [deployment_summary]})
    expect_tags(bedrock, owner)
    model_summary = {
        "modelArn": MODEL_ARN,
        "modelName": NAME,
        "creationTime": CREATED,
        "baseModelArn": BASE_MODEL_ARN,
        "baseModelName": "Nova Lite",
    }
    bedrock.add_response("list_custom_models", {"modelSummaries": [model_summary]})
    expect_tags(bedrock, owner)


def test_failed_run_leaves_no_job_deployment_or_model(bedrock_client: Any, bedrock: Stubber) -> None:
    expect_listings(bedrock, job="InProgress")
    bedrock.add_response("delete_custom_model_deployment", {}, {"customModelDeploymentIdentifier": DEPLOYMENT_ARN})
    bedrock.add_client_error("delete_custom_model", "ConflictException")
    bedrock.add_response("delete_custom_model", {}, {"modelIdentifier": MODEL_ARN})

    assert clean_up_without_waiting(bedrock_client, bucket()) == CleanUpResult(
        stopped=["holiday-1-n12-a1"], deleted=["deployment holiday-1-n12-a1", "model holiday-1-n12-a1"], kept=[]
    )


def test_promoted_model_and_its_deployment_are_kept(bedrock_client: Any, bedrock: Stubber) -> None:
    data = bucket()
    model = TrainedModel(size=12, status="Active", model_name=NAME)
    data.write_document(keys.report_json_key("holiday-1"), any_report(models=[model], promoted=NAME))
    expect_listings(bedrock)

    assert clean_up_without_waiting(bedrock_client, data).kept == [f"deployment {NAME}", f"model {NAME}"]


def test_resources_without_the_tag_of_the_run_are_left_alone(bedrock_client: Any, bedrock: Stubber) -> None:
    expect_listings(bedrock, job="InProgress", owner="somebody-else")

    assert clean_up_without_waiting(bedrock_client, bucket()) == CleanUpResult()


def test_model_that_stays_deployed_for_four_minutes_is_an_error(bedrock_client: Any, bedrock: Stubber) -> None:
    expect_listings(bedrock)
    bedrock.add_response("delete_custom_model_deployment", {})
    for _ in range(49):
        bedrock.add_client_error("delete_custom_model", "ConflictException")
    with pytest.raises(ResourceBusy):
        clean_up_without_waiting(bedrock_client, bucket())
