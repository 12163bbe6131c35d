"""One customization job per training size, found again by its name.

The state machine calls this until the job has ended, so that creating and polling are one thing and a
repeated call never pays twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from distillation import keys, ledger
from distillation.bedrock_errors import BEDROCK_FAILURES, pipeline_errors, to_pipeline_error
from distillation.errors import JobFailed
from distillation.inference.budget import Reservation
from distillation.models import catalog
from distillation.models.hyperparameters import hyperparameters
from distillation.records import Run
from distillation.serving.tags import tags
from distillation.storage import Bucket
from distillation.training import stalled
from distillation.training.failure_remedies import cause_and_remedy, is_internal
from distillation.training.job_cost import job_cost, maximum_prediction_usd

if TYPE_CHECKING:
    from mypy_boto3_bedrock import BedrockClient

ATTEMPTS = 2
"""A job that failed by an internal error of Bedrock gets one more attempt."""


@dataclass(frozen=True)
class Settings:
    """What the stage says about jobs."""

    role: str
    """ARN of the role that Bedrock assumes in a job."""
    key: str | None
    """ARN of the customer's key for tuned models; None for AWS's own."""
    patience: timedelta
    """How long training may take to start before the job counts as stuck."""


def create_or_describe(
    run: Run, size: int, data: Bucket, bedrock: BedrockClient, settings: Settings, now: datetime
) -> dict[str, Any]:
    """Return ``{status, name, job, model}`` of the size's job, creating it on the first call.

    ``status`` is InProgress or Completed; ``job`` and ``model`` are ARNs. Raises ``JobFailed`` with the cause and
    what to do about it, and ``Throttled``, ``QuotaExceeded``, ``AccessDenied`` or ``OverBudget`` when it cannot be
    created.
    """
    for attempt in range(1, ATTEMPTS + 1):
        name = keys.model_name(run.name, size, attempt)
        job = _find(bedrock, name) or _create(run, size, name, data, bedrock, settings)
        if job["status"] == "InProgress":
            _keep_reserved(run, size, name, data)
        else:
            # The job's own name: looking at a finished job twice writes the same object twice.
            ledger.record(data, run.name, job_cost(run, size, data, trained=_is_billed(job)), name)
        if is_internal(job) and attempt < ATTEMPTS:
            continue
        if job["status"] in ("Failed", "Stopping", "Stopped"):
            raise JobFailed(f"job {name}: {cause_and_remedy(job)}")
        if job["status"] == "InProgress" and (reason := stalled.check(run, job, settings.patience, now, bedrock)):
            ledger.record(data, run.name, job_cost(run, size, data, trained=False), name)
            raise JobFailed(f"job {name}: {reason}")
        return {
            "status": job["status"],
            "model_name": name,
            "job_arn": job.get("jobArn"),
            "model_arn": job.get("outputModelArn"),
        }
    raise JobFailed(f"size {size}: no attempt is left")


def _find(bedrock: BedrockClient, name: str) -> Any | None:
    try:
        return bedrock.get_model_customization_job(jobIdentifier=name)
    except bedrock.exceptions.ResourceNotFoundException:
        return None
    except BEDROCK_FAILURES as error:
        raise to_pipeline_error(error, f"job {name}") from error


def _is_billed(job: Any) -> bool:
    """Tell whether a job that has ended is billed: one that was stopped counts in full once its training began."""
    return job["status"] == "Completed" or (job["status"] in ("Stopping", "Stopped") and stalled.may_have_started(job))


def _keep_reserved(run: Run, size: int, name: str, data: Bucket) -> None:
    """Reserve what a job under way will cost, under its name; also of one whose creation was never answered."""
    if not any(True for _ in data.keys(keys.ledger_entry_prefix(run.name, "TrainModels", name))):
        ledger.reserve(data, run.name, "TrainModels", name, job_cost(run, size, data).usd)


def _create(run: Run, size: int, name: str, data: Bucket, bedrock: BedrockClient, settings: Settings) -> dict[str, Any]:
    """Create a job within the budget. What is held for a job that is not created is let go: others go on with it."""
    price = job_cost(run, size, data)
    holding = Reservation(run, price.step, price.usd, data, maximum_prediction_usd(run, data))
    try:
        holding.reserve()
        _ask_for_job(run, size, name, data, bedrock, settings)
        ledger.reserve(data, run.name, price.step, name, price.usd)
    finally:
        # Under an id of its own: a name that is settled could reserve nothing when it is tried again.
        holding.settle(price.model_copy(update={"calls": 0, "training_tokens": 0, "usd": 0.0}))
    return {"status": "InProgress"}


def _ask_for_job(run: Run, size: int, name: str, data: Bucket, bedrock: BedrockClient, settings: Settings) -> None:
    student = catalog.get_model(run.student)
    validation = keys.dataset_key(run.name, "validation")
    optional: dict[str, Any] = {"customModelKmsKeyId": settings.key} if settings.key else {}
    if any(True for _ in data.keys(validation)):
        uri = f"s3://{data.name}/{validation}"
        optional["validationDataConfig"] = {"validators": [{"s3Uri": uri}]}
    with pipeline_errors(f"job {name}"):
        bedrock.create_model_customization_job(
            jobName=name,
            customModelName=name,
            roleArn=settings.role,
            clientRequestToken=name,
            baseModelIdentifier=student.training_id or student.id,
            customizationType="FINE_TUNING",
            hyperParameters=hyperparameters(run, size),
            trainingDataConfig={"s3Uri": f"s3://{data.name}/{keys.dataset_key(run.name, f'train-{size}')}"},
            outputDataConfig={"s3Uri": f"s3://{data.name}/{keys.training_prefix(run.name, size)}"},
            jobTags=tags(run.name),
            customModelTags=tags(run.name),
            **optional,
        )
