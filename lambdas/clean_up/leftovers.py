"""Find what a run left at Bedrock by name and tag, and take down what is not to be kept.

Works from ``request.json``, the report and tags, never from the state of an execution. Order matters:
a model cannot be deleted while it is deployed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from lambdas.shared import layout
from lambdas.shared.bedrock_errors import translated
from lambdas.shared.errors import StillStopping
from lambdas.shared.objects import Objects
from lambdas.shared.records import Run
from lambdas.shared.tags import RUN_TAG

if TYPE_CHECKING:
    from mypy_boto3_bedrock import BedrockClient
    from mypy_boto3_bedrock.type_defs import TagTypeDef

PATIENCE_SECONDS = 240
PAUSE_SECONDS = 5


def clean_up(
    run: Run, data: Objects, bedrock: BedrockClient, pause: Callable[[float], None] = time.sleep
) -> dict[str, list[str]]:
    """Stop the run's jobs, delete what is not kept; return names stopped, deleted and kept.

    Raises ``StillStopping`` when Bedrock takes longer than four minutes; trying again goes on.
    """
    owner: TagTypeDef = {"key": RUN_TAG, "value": run.run}
    return take_down(owner, {"nameContains": run.run}, _kept(run, data), bedrock, pause)


def take_down(
    owner: TagTypeDef,
    named: dict[str, Any],
    kept: set[str],
    bedrock: BedrockClient,
    pause: Callable[[float], None] = time.sleep,
) -> dict[str, list[str]]:
    """Stop and delete all that carries the tag ``owner`` but the ``kept`` names; ``named`` narrows the lists."""
    stopped = _stop_jobs(owner, named, bedrock)
    _until(lambda: not _running_jobs(owner, named, bedrock), f"jobs of {owner['value']}", pause)
    deleted: list[str] = []
    for deployment in _deployments(owner, named, bedrock):
        if deployment["customModelDeploymentName"] not in kept:
            _delete_deployment(deployment, bedrock)
            deleted.append(f"deployment {deployment['customModelDeploymentName']}")
    for model in _models(owner, named, bedrock):
        if model["modelName"] not in kept:
            _until(lambda model=model: _delete_model(model, bedrock), model["modelName"], pause)
            deleted.append(f"model {model['modelName']}")
    return {"stopped": stopped, "deleted": deleted, "kept": sorted(kept)}


def _kept(run: Run, data: Objects) -> set[str]:
    """Return the names that the request's ``keep`` and the report's gate let stay."""
    body = data.find(layout.report(run.run, "report.json"))
    if body is None or run.request.keep == "none":
        return set()
    report = json.loads(body)
    trained = {model["name"] for model in report.get("models", [])}
    if run.request.keep == "all":
        return trained
    promoted = report.get("gate", {}).get("promoted")
    return {promoted} if promoted else set()


def _running_jobs(owner: TagTypeDef, named: dict[str, Any], bedrock: BedrockClient) -> list[Any]:
    pages = bedrock.get_paginator("list_model_customization_jobs").paginate(**named)
    return [
        job
        for page in pages
        for job in page.get("modelCustomizationJobSummaries", [])
        if job["status"] in ("InProgress", "Stopping") and _ours(owner, job["jobArn"], bedrock)
    ]


def _stop_jobs(owner: TagTypeDef, named: dict[str, Any], bedrock: BedrockClient) -> list[str]:
    stopped = []
    for job in _running_jobs(owner, named, bedrock):
        if job["status"] == "InProgress":
            try:
                bedrock.stop_model_customization_job(jobIdentifier=job["jobArn"])
            except bedrock.exceptions.ConflictException:
                continue  # It ended between the listing and now.
            stopped.append(job["jobName"])
    return stopped


def _deployments(owner: TagTypeDef, named: dict[str, Any], bedrock: BedrockClient) -> list[Any]:
    pages = bedrock.get_paginator("list_custom_model_deployments").paginate(**named)
    return [
        deployment
        for page in pages
        for deployment in page.get("modelDeploymentSummaries", [])
        if _ours(owner, deployment["customModelDeploymentArn"], bedrock)
    ]


def _models(owner: TagTypeDef, named: dict[str, Any], bedrock: BedrockClient) -> list[Any]:
    pages = bedrock.get_paginator("list_custom_models").paginate(**named)
    return [
        model for page in pages for model in page.get("modelSummaries", []) if _ours(owner, model["modelArn"], bedrock)
    ]


def _ours(owner: TagTypeDef, arn: str, bedrock: BedrockClient) -> bool:
    try:
        tags = bedrock.list_tags_for_resource(resourceARN=arn)["tags"]
    except bedrock.exceptions.ResourceNotFoundException:
        return False  # Deleted between the listing and now.
    return owner in tags


def _delete_deployment(deployment: Any, bedrock: BedrockClient) -> None:
    arn = deployment["customModelDeploymentArn"]
    try:
        bedrock.delete_custom_model_deployment(customModelDeploymentIdentifier=arn)
    except bedrock.exceptions.ResourceNotFoundException:
        return
    except ClientError as error:
        raise translated(error, f"deployment {arn}") from error


def _delete_model(model: Any, bedrock: BedrockClient) -> bool:
    """Return whether the model is gone; False while Bedrock still counts it as deployed."""
    try:
        bedrock.delete_custom_model(modelIdentifier=model["modelArn"])
    except bedrock.exceptions.ConflictException:
        return False
    except bedrock.exceptions.ResourceNotFoundException:
        return True
    except ClientError as error:
        raise translated(error, f"model {model['modelName']}") from error
    return True


def _until(done: Callable[[], bool], what: str, pause: Callable[[float], None]) -> None:
    for _ in range(PATIENCE_SECONDS // PAUSE_SECONDS):
        if done():
            return
        pause(PAUSE_SECONDS)
    raise StillStopping(f"{what}: Bedrock has not finished after {PATIENCE_SECONDS} s")
