"""What a stage or a run holds at Bedrock, found by its tags: running jobs, deployments and tuned models.

Nothing without our tag is ever returned, and so nothing without it is stopped or deleted. Order matters: a job
that ends leaves a model, and a model cannot be deleted while it is deployed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from distillation.bedrock_errors import BEDROCK_FAILURES, pipeline_errors, to_pipeline_error
from distillation.errors import ResourceBusy
from distillation.serving.tags import RUN_TAG

if TYPE_CHECKING:
    from mypy_boto3_bedrock import BedrockClient

PATIENCE_SECONDS = 240
PAUSE_SECONDS = 5
_RUNNING = ("InProgress", "Stopping")

Kind = Literal["job", "deployment", "model"]


@dataclass(frozen=True)
class BedrockResource:
    """One job, deployment or model of ours; ``model`` is the ARN that a deployment serves."""

    kind: Kind
    name: str
    arn: str
    status: str
    created: datetime
    tags: Mapping[str, str]
    model_arn: str | None = None

    @property
    def run(self) -> str:
        """Name of the run that it belongs to."""
        return self.tags.get(RUN_TAG, "")

    @property
    def key(self) -> tuple[Kind, str]:
        """What tells it apart from all others of the account: a model and its deployment share a name."""
        return self.kind, self.name

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


def running_jobs(tag: tuple[str, str], named: str, bedrock: BedrockClient) -> list[BedrockResource]:
    """Return the jobs with a tag that have not ended; ``named`` is part of their names, to list fewer."""
    listed = _pages(bedrock.get_paginator("list_model_customization_jobs"), "jobs", named)
    jobs = (job for page in listed for job in page.get("modelCustomizationJobSummaries", []))
    return list(_ours(tag, bedrock, (_job(job) for job in jobs if job["status"] in _RUNNING)))


def deployments_and_models(tag: tuple[str, str], named: str, bedrock: BedrockClient) -> list[BedrockResource]:
    """Return what stands at Bedrock with a tag, deployments first."""
    deployed = _pages(bedrock.get_paginator("list_custom_model_deployments"), "deployments", named)
    stored = _pages(bedrock.get_paginator("list_custom_models"), "models", named)
    deployments = (_deployment(one) for page in deployed for one in page.get("modelDeploymentSummaries", []))
    models = (_model(one) for page in stored for one in page.get("modelSummaries", []))
    return [*_ours(tag, bedrock, deployments), *_ours(tag, bedrock, models)]


def stop(
    jobs: Sequence[BedrockResource], bedrock: BedrockClient, pause: Callable[[float], None] = time.sleep
) -> list[str]:
    """Stop jobs and wait until they have ended; return the names of those that were running.

    Raises ``ResourceBusy`` when Bedrock takes longer than four minutes; trying again goes on.
    """
    stopped = [job.name for job in jobs if job.status == "InProgress" and _stop(job, bedrock)]
    _until_none_is_left(jobs, lambda job: _ended(job, bedrock), pause)
    return stopped


def delete(
    holdings: Sequence[BedrockResource], bedrock: BedrockClient, pause: Callable[[float], None] = time.sleep
) -> list[str]:
    """Delete deployments, then models; return what was deleted, in words.

    Raises ``ResourceBusy`` when Bedrock still counts a model as deployed after four minutes; trying again goes on.
    """
    for holding in holdings:
        if holding.kind == "deployment":
            _delete_deployment(holding, bedrock)
    models = [holding for holding in holdings if holding.kind == "model"]
    _until_none_is_left(models, lambda model: _delete_model(model, bedrock), pause)
    return [str(holding) for holding in holdings]


def _pages(paginator: Any, what: str, named: str) -> Iterator[Any]:
    with pipeline_errors(f"list of {what}"):
        yield from paginator.paginate(**({"nameContains": named} if named else {}))


def _job(job: Any) -> BedrockResource:
    return BedrockResource("job", job["jobName"], job["jobArn"], job["status"], job["creationTime"], {})


def _deployment(one: Any) -> BedrockResource:
    name, arn = one["customModelDeploymentName"], one["customModelDeploymentArn"]
    return BedrockResource("deployment", name, arn, one["status"], one["createdAt"], {}, one["modelArn"])


def _model(one: Any) -> BedrockResource:
    status = one.get("modelStatus", "Active")
    return BedrockResource("model", one["modelName"], one["modelArn"], status, one["creationTime"], {})


def _ours(tag: tuple[str, str], bedrock: BedrockClient, found: Iterator[BedrockResource]) -> Iterator[BedrockResource]:
    for holding in found:
        try:
            listed = bedrock.list_tags_for_resource(resourceARN=holding.arn)["tags"]
        except bedrock.exceptions.ResourceNotFoundException:
            continue  # Deleted between the listing and now.
        except BEDROCK_FAILURES as error:
            raise to_pipeline_error(error, f"tags of {holding}") from error
        tags = {one["key"]: one["value"] for one in listed}
        if tags.get(tag[0]) == tag[1]:
            yield BedrockResource(**{**holding.__dict__, "tags": tags})


def _stop(job: BedrockResource, bedrock: BedrockClient) -> bool:
    try:
        bedrock.stop_model_customization_job(jobIdentifier=job.arn)
    except bedrock.exceptions.ConflictException:
        return False  # It ended between the listing and now.
    except BEDROCK_FAILURES as error:
        raise to_pipeline_error(error, str(job)) from error
    return True


def _ended(job: BedrockResource, bedrock: BedrockClient) -> bool:
    try:
        found = bedrock.get_model_customization_job(jobIdentifier=job.arn)
    except bedrock.exceptions.ResourceNotFoundException:
        return True
    except BEDROCK_FAILURES as error:
        raise to_pipeline_error(error, str(job)) from error
    return found.get("status") not in _RUNNING


def _delete_deployment(deployment: BedrockResource, bedrock: BedrockClient) -> None:
    try:
        bedrock.delete_custom_model_deployment(customModelDeploymentIdentifier=deployment.arn)
    except bedrock.exceptions.ResourceNotFoundException:
        return
    except BEDROCK_FAILURES as error:
        raise to_pipeline_error(error, str(deployment)) from error


def _delete_model(model: BedrockResource, bedrock: BedrockClient) -> bool:
    """Return whether the model is gone; False while Bedrock still counts it as deployed."""
    try:
        bedrock.delete_custom_model(modelIdentifier=model.arn)
    except bedrock.exceptions.ConflictException:
        return False
    except bedrock.exceptions.ResourceNotFoundException:
        return True
    except BEDROCK_FAILURES as error:
        raise to_pipeline_error(error, str(model)) from error
    return True


def _until_none_is_left(
    holdings: Sequence[BedrockResource], gone: Callable[[BedrockResource], bool], pause: Callable[[float], None]
) -> None:
    left = [holding for holding in holdings if not gone(holding)]
    for _ in range(PATIENCE_SECONDS // PAUSE_SECONDS):
        if not left:
            return
        pause(PAUSE_SECONDS)
        left = [holding for holding in left if not gone(holding)]
    if left:
        names = ", ".join(map(str, left))
        raise ResourceBusy(f"{names}: Bedrock has not finished after {PATIENCE_SECONDS} s")
