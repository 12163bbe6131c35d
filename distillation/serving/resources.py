"""Bedrock resources of a stage or a run, found by tag: running jobs, deployments and tuned models.

Only resources with the tag are returned, so nothing else is ever stopped or deleted. The order is: jobs, deployments,
models. A job that ends creates a model, and Bedrock refuses to delete a deployed model.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from botocore.exceptions import ClientError

from distillation.aws_errors import (
    AWS_FAILURES,
    code_and_message,
    is_not_found,
    pipeline_errors,
    to_pipeline_error,
)
from distillation.errors import DistillationError, InvalidRequest, ResourceBusy
from distillation.serving.tags import BUCKET_TAG, DELETING_TAG, RUN_TAG, TRAINING_TAG, USED_BY_PREFIX
from distillation.telemetry import logger

if TYPE_CHECKING:
    from mypy_boto3_bedrock import BedrockClient

_MAXIMUM_WAIT_SECONDS = 240
_POLL_SECONDS = 5
_RUNNING = ("InProgress", "Stopping")

Kind = Literal["job", "deployment", "model"]
DescriptionT = TypeVar("DescriptionT")


@dataclass(frozen=True)
class BedrockResource:
    """One job, deployment or tuned model."""

    kind: Kind
    name: str
    arn: str
    status: str
    """Status that Bedrock reports, such as ``InProgress`` or ``Active``."""
    created: datetime
    tags: Mapping[str, str]
    model_arn: str | None = None
    """ARN of the model that a deployment serves."""

    @property
    def run(self) -> str:
        """Name of the run that created it; empty without the tag."""
        return self.tags.get(RUN_TAG, "")

    @property
    def runs(self) -> list[str]:
        """Names of the run that created it and of the runs that reuse it."""
        users = [key.removeprefix(USED_BY_PREFIX) for key in self.tags if key.startswith(USED_BY_PREFIX)]
        return [self.run, *users]

    @property
    def data_bucket(self) -> str:
        """Name of the Data bucket that has the run; empty without the tag."""
        return self.tags.get(BUCKET_TAG, "")

    @property
    def key(self) -> tuple[Kind, str]:
        """Kind and name, unique in the account; a model and its deployment have the same name."""
        return self.kind, self.name

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


class Problems:
    """Errors about single resources, which do not stop the work on the others."""

    def __init__(self) -> None:
        self.errors: list[Exception] = []

    @contextmanager
    def collect(self) -> Iterator[None]:
        """Keep an error of the ``with`` block instead of raising it."""
        try:
            yield
        except (DistillationError, ClientError) as error:
            self.errors.append(error)

    def raise_any(self) -> None:
        """Raise the first error, with the messages of all, if there is one."""
        if self.errors:
            first = self.errors[0]
            kind = type(first) if isinstance(first, DistillationError) else DistillationError
            raise kind("; ".join(map(str, self.errors))) from first


def running_jobs(
    tag: tuple[str, str], name_part: str, bedrock: BedrockClient, problems: Problems | None = None
) -> list[BedrockResource]:
    """Return the jobs with a tag that have not ended.

    Only jobs with ``name_part`` in their name are listed, which saves calls; an empty text lists all. With
    ``problems``, a resource whose tags cannot be read is left out.
    """
    running = (_job(summary) for summary in _job_summaries(name_part, bedrock) if summary["status"] in _RUNNING)
    return list(_tagged(tag, bedrock, running, problems))


def deployments_and_models(
    tag: tuple[str, str], name_part: str, bedrock: BedrockClient, problems: Problems | None = None
) -> list[BedrockResource]:
    """Return the deployments with a tag, then the models with it; see ``running_jobs``."""
    deployments = map(_deployment, _deployment_summaries(name_part, bedrock))
    return [*_tagged(tag, bedrock, deployments, problems), *models(tag, name_part, bedrock, problems)]


def models(
    tag: tuple[str, str], name_part: str, bedrock: BedrockClient, problems: Problems | None = None
) -> list[BedrockResource]:
    """Return the models with a tag; see ``running_jobs``."""
    return list(_tagged(tag, bedrock, map(_model, _model_summaries(name_part, bedrock)), problems))


def models_of(run: str, stage_tag: tuple[str, str], bedrock: BedrockClient) -> list[BedrockResource]:
    """Return the models that a run trained or reuses."""
    return [model for model in models(stage_tag, "", bedrock) if run in model.runs]


def describe_by_name(
    kind: Kind, name: str, describe: Callable[[str], DescriptionT], bedrock: BedrockClient
) -> DescriptionT | None:
    """Return ``describe(name)``, the description of a job, deployment or model; None if it does not exist.

    If the error does not say whether it exists, it is looked up in the List operation and described by its ARN.
    """
    with pipeline_errors(f"{kind} {name}"):
        try:
            return describe(name)
        except ClientError as error:
            if is_not_found(error):
                return None
            if not _is_validation_error(error):
                raise
        arn = _find_arn(kind, name, bedrock)
        return None if arn is None else describe(arn)


def stop(
    jobs: Sequence[BedrockResource],
    bedrock: BedrockClient,
    sleep: Callable[[float], None] = time.sleep,
    problems: Problems | None = None,
) -> list[str]:
    """Stop jobs and wait until they have ended; return the names of those that were running.

    An error about one job does not stop the others: it is added to ``problems``, or raised at the end without it. It is
    ``ResourceBusy`` if Bedrock takes longer than four minutes; the next call continues.
    """
    found = problems or Problems()
    stopped: list[str] = []
    for job in jobs:
        with found.collect():
            if job.status == "InProgress" and stop_job(job.name, job.arn, bedrock):
                stopped.append(job.name)
    _wait_for_all(jobs, lambda job: _has_ended(job, bedrock), sleep, found)
    if problems is None:
        found.raise_any()
    return stopped


def stop_job(name: str, arn: str, bedrock: BedrockClient) -> bool:
    """Stop a job without waiting until it has ended; return False if it had already ended."""
    try:
        bedrock.stop_model_customization_job(jobIdentifier=arn)
    except bedrock.exceptions.ConflictException:
        return False
    except AWS_FAILURES as error:
        raise to_pipeline_error(error, f"job {name}") from error
    return True


def delete_deployment(name: str, arn: str, bedrock: BedrockClient) -> None:
    """Delete a deployment, if it still exists. Raises ``ResourceBusy`` while Bedrock cannot delete it."""
    try:
        bedrock.delete_custom_model_deployment(customModelDeploymentIdentifier=arn)
    except AWS_FAILURES as error:
        if not _is_absent("deployment", name, error, bedrock):
            raise to_pipeline_error(error, f"deployment {name}") from error


def delete(
    resources: Sequence[BedrockResource],
    bedrock: BedrockClient,
    sleep: Callable[[float], None] = time.sleep,
    keeps: Callable[[BedrockResource], bool] | None = None,
    problems: Problems | None = None,
) -> list[str]:
    """Delete deployments, then models; return kind and name of each.

    With ``keeps``, a model stays if a run has begun to reuse it since it was listed. An error about one resource does
    not stop the others: it is added to ``problems``, or raised at the end without it. It is ``ResourceBusy`` if Bedrock
    still counts a model as deployed after four minutes; the next call continues.
    """
    found = problems or Problems()
    deleted: list[BedrockResource] = []
    unused: list[BedrockResource] = []
    for resource in resources:
        with found.collect():
            if resource.kind == "deployment":
                delete_deployment(resource.name, resource.arn, bedrock)
                deleted.append(resource)
            elif resource.kind == "model" and not (keeps and _is_used_again(resource, keeps, bedrock)):
                unused.append(resource)
    deleted += _wait_for_all(unused, lambda model: _delete_model(model, bedrock), sleep, found)
    if problems is None:
        found.raise_any()
    return [str(resource) for resource in resources if resource in deleted]


def read_tags(resource: BedrockResource, bedrock: BedrockClient) -> BedrockResource | None:
    """Return the resource with its current tags; None if it no longer exists."""
    try:
        response = bedrock.list_tags_for_resource(resourceARN=resource.arn)
    except AWS_FAILURES as error:
        if _is_absent(resource.kind, resource.name, error, bedrock):
            return None
        raise to_pipeline_error(error, f"tags of {resource}") from error
    return replace(resource, tags={entry["key"]: entry["value"] for entry in response["tags"]})


def add_tag(resource: BedrockResource, key: str, value: str, bedrock: BedrockClient) -> bool:
    """Add a tag, or replace its value; return False if the resource no longer exists."""
    try:
        bedrock.tag_resource(resourceARN=resource.arn, tags=[{"key": key, "value": value}])
    except AWS_FAILURES as error:
        if _is_absent(resource.kind, resource.name, error, bedrock):
            return False
        raise to_pipeline_error(error, f"tags of {resource}") from error
    return True


def remove_tag(resource: BedrockResource, key: str, bedrock: BedrockClient) -> None:
    """Remove a tag, if the resource still exists."""
    try:
        bedrock.untag_resource(resourceARN=resource.arn, tagKeys=[key])
    except AWS_FAILURES as error:
        if not _is_absent(resource.kind, resource.name, error, bedrock):
            raise to_pipeline_error(error, f"tags of {resource}") from error


def _is_used_again(model: BedrockResource, keeps: Callable[[BedrockResource], bool], bedrock: BedrockClient) -> bool:
    """Announce the deletion of a model in its tags; then return whether a run has begun to reuse it.

    A run that reuses a model writes its own tag and then looks for this one. Both write before they read, so that at
    least one of them sees the other.
    """
    if TRAINING_TAG not in model.tags:
        return False
    try:
        if not add_tag(model, DELETING_TAG, datetime.now(UTC).isoformat(), bedrock):
            return False
    except InvalidRequest as error:  # It has 50 tags. Then no other run can begin to reuse it either.
        logger.warning("deletion of a model not announced", model=model.name, error=str(error))
    current = read_tags(model, bedrock)
    return current is not None and keeps(current)


def _is_absent(kind: Kind, name: str, error: Exception, bedrock: BedrockClient) -> bool:
    """Return whether an error of a call about a resource means that the resource does not exist."""
    if is_not_found(error):
        return True
    return _is_validation_error(error) and _find_arn(kind, name, bedrock) is None


def _is_validation_error(error: Exception) -> bool:
    return isinstance(error, ClientError) and code_and_message(error)[0] == "ValidationException"


def _find_arn(kind: Kind, name: str, bedrock: BedrockClient) -> str | None:
    """Return the ARN of the job, deployment or model with exactly this name; None if there is none."""
    summaries = {"job": _job_summaries, "deployment": _deployment_summaries, "model": _model_summaries}[kind]
    resource = {"job": _job, "deployment": _deployment, "model": _model}[kind]
    return next((found.arn for found in map(resource, summaries(name, bedrock)) if found.name == name), None)


def _job_summaries(name_part: str, bedrock: BedrockClient) -> Iterator[Any]:
    for page in _pages(bedrock.get_paginator("list_model_customization_jobs"), "jobs", name_part):
        yield from page.get("modelCustomizationJobSummaries", [])


def _deployment_summaries(name_part: str, bedrock: BedrockClient) -> Iterator[Any]:
    for page in _pages(bedrock.get_paginator("list_custom_model_deployments"), "deployments", name_part):
        yield from page.get("modelDeploymentSummaries", [])


def _model_summaries(name_part: str, bedrock: BedrockClient) -> Iterator[Any]:
    for page in _pages(bedrock.get_paginator("list_custom_models"), "models", name_part):
        yield from page.get("modelSummaries", [])


def _pages(paginator: Any, plural: str, name_part: str) -> Iterator[Any]:
    with pipeline_errors(f"list of {plural}"):
        yield from paginator.paginate(**({"nameContains": name_part} if name_part else {}))


def _job(summary: Any) -> BedrockResource:
    return BedrockResource(
        "job", summary["jobName"], summary["jobArn"], summary["status"], summary["creationTime"], tags={}
    )


def _deployment(summary: Any) -> BedrockResource:
    name, arn = summary["customModelDeploymentName"], summary["customModelDeploymentArn"]
    return BedrockResource(
        "deployment", name, arn, summary["status"], summary["createdAt"], tags={}, model_arn=summary["modelArn"]
    )


def _model(summary: Any) -> BedrockResource:
    status = summary.get("modelStatus", "Active")
    return BedrockResource("model", summary["modelName"], summary["modelArn"], status, summary["creationTime"], tags={})


def _tagged(
    tag: tuple[str, str], bedrock: BedrockClient, resources: Iterable[BedrockResource], problems: Problems | None
) -> Iterator[BedrockResource]:
    """Yield the resources that have a tag, with all their tags. Errors about one are raised without ``problems``."""
    key, value = tag
    for resource in resources:
        tagged = None  # Also if it was deleted since it was listed.
        with problems.collect() if problems else nullcontext():
            tagged = read_tags(resource, bedrock)
        if tagged and tagged.tags.get(key) == value:
            yield tagged


def _has_ended(job: BedrockResource, bedrock: BedrockClient) -> bool:
    try:
        description = bedrock.get_model_customization_job(jobIdentifier=job.arn)
    except AWS_FAILURES as error:
        if _is_absent("job", job.name, error, bedrock):
            return True
        raise to_pipeline_error(error, str(job)) from error
    return description.get("status") not in _RUNNING


def _delete_model(model: BedrockResource, bedrock: BedrockClient) -> bool:
    """Delete a model; return False while Bedrock still counts it as deployed."""
    try:
        bedrock.delete_custom_model(modelIdentifier=model.arn)
    except bedrock.exceptions.ConflictException:
        return False
    except AWS_FAILURES as error:
        if not _is_absent("model", model.name, error, bedrock):
            raise to_pipeline_error(error, str(model)) from error
    return True


def _wait_for_all(
    resources: Sequence[BedrockResource],
    is_done: Callable[[BedrockResource], bool],
    sleep: Callable[[float], None],
    problems: Problems,
) -> list[BedrockResource]:
    """Poll until ``is_done`` is true for every resource; return the resources that are done.

    An error about a resource is added to ``problems`` and ends the wait for it. After four minutes ``ResourceBusy`` is
    added for the others.
    """
    pending, done = list(resources), list[BedrockResource]()
    for attempt in range(_MAXIMUM_WAIT_SECONDS // _POLL_SECONDS + 1):
        if attempt and pending:
            sleep(_POLL_SECONDS)
        waiting: list[BedrockResource] = []
        for resource in pending:
            with problems.collect():
                (done if is_done(resource) else waiting).append(resource)
        pending = waiting
    if pending:
        names = ", ".join(map(str, pending))
        with problems.collect():
            raise ResourceBusy(f"{names}: Bedrock has not finished after {_MAXIMUM_WAIT_SECONDS} s. Try again later.")
    return done
