"""Customization jobs: one for each training size, found by its name, unless an earlier run trained the same.

The state machine calls ``create_or_describe`` until the job has ended. Creating and polling are the same call, so a
repeated call never pays twice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.metrics import MetricUnit

from distillation import keys, ledger
from distillation.aws_errors import pipeline_errors
from distillation.errors import JobFailed
from distillation.events import JobResult
from distillation.inference.reservation import Reservation
from distillation.models import catalog
from distillation.models.hyperparameters import job_hyperparameters
from distillation.photos.splits import read_counted_split
from distillation.records import LedgerPart, Run, SetName
from distillation.serving.resources import describe_by_name, stop_job
from distillation.serving.tags import resource_tags
from distillation.storage import Bucket
from distillation.telemetry import metrics
from distillation.training import stuck_jobs
from distillation.training.failure_remedies import cause_and_remedy, is_internal
from distillation.training.job_cost import job_ledger_part, maximum_prediction_usd
from distillation.training.reuse import checked_fingerprint, reuse_model

if TYPE_CHECKING:
    from mypy_boto3_bedrock import BedrockClient

ATTEMPTS = 2
"""Jobs for one size: a job that failed by an internal error of Bedrock is created once more under another name."""

_SETS: tuple[SetName, ...] = ("train", "validation", "test")


@dataclass(frozen=True)
class JobSettings:
    """Settings of the stage for jobs."""

    role_arn: str
    """ARN of the role that Bedrock assumes in a job."""
    model_kms_key_arn: str | None
    """ARN of the customer's key for tuned models; None for the key of AWS."""
    start_timeout: timedelta
    """How long training may take to start before the job counts as stuck."""


def create_or_describe(
    run: Run,
    size: int,
    data: Bucket,
    bedrock: BedrockClient,
    settings: JobSettings,
    now: datetime,
    execution_has_ended: Callable[[], bool],
) -> JobResult:
    """Return status, name and ARNs of the job of a size; create it on the first call, or reuse an earlier run's model.

    A job that is created while the run's execution is stopped is stopped too. Raises ``JobFailed`` with cause and
    remedy, and ``Throttled``, ``QuotaExceeded``, ``AccessDenied``, ``DatasetRejected`` or ``OverBudget`` if the job
    cannot be created.
    """
    job: dict[str, Any] | None
    name, job = _last_attempt(run, size, data, bedrock)
    may_be_billed = job is not None and stuck_jobs.may_have_started(job)
    if job is None:
        training = checked_fingerprint(run, size, data)
        if reused := reuse_model(run, training, settings.model_kms_key_arn, data, bedrock, now):
            _record_reuse(run, reused, data)
            return reused
        arn = _create(run, size, name, training, data, bedrock, settings)
        job = {"status": "InProgress", "jobArn": arn}
    if job["status"] in ("Failed", "Stopping", "Stopped"):
        raise JobFailed(f"job {name}: {cause_and_remedy(job)}")
    if job["status"] == "InProgress":
        if execution_has_ended():
            stop_job(name, job["jobArn"], bedrock)
            ledger.write_part(run.name, job_ledger_part(run, size, data, trained=may_be_billed), name, data)
            raise JobFailed(f"job {name}: the execution of the run has ended, so the job was stopped.")
        if reason := stuck_jobs.stop_if_stuck(run, job, settings.start_timeout, now, bedrock):
            ledger.write_part(run.name, job_ledger_part(run, size, data, trained=False), name, data)
            raise JobFailed(f"job {name}: {reason}")
    return JobResult(
        status=job["status"], model_name=name, job_arn=job.get("jobArn"), model_arn=job.get("outputModelArn")
    )


def _last_attempt(run: Run, size: int, data: Bucket, bedrock: BedrockClient) -> tuple[str, Any | None]:
    """Return name and description of the job of the last attempt; None if it has to be created.

    A job that failed by an internal error of Bedrock is attempted once more.
    """
    attempt = 1
    while True:
        name = keys.model_name(run.name, size, attempt)
        job = _describe(bedrock, name)
        if job is None:
            return name, None
        if job["status"] == "InProgress":
            _reserve_cost(run, size, name, data)
        else:
            # The part is named after the job, so describing an ended job twice writes the same object twice.
            ledger.write_part(run.name, job_ledger_part(run, size, data, trained=_is_billed(job)), name, data)
        if attempt == ATTEMPTS or not is_internal(job):
            return name, job
        attempt += 1


def _record_reuse(run: Run, reused: JobResult, data: Bucket) -> None:
    """Write a ledger part without cost for a model that another run trained."""
    part = LedgerPart(
        step="TrainModels", model=run.student, calls=0, reused=1, input_tokens=0, output_tokens=0, usd=0.0
    )
    ledger.write_part(run.name, part, reused.model_name, data)
    metrics.add_metric("ModelsReused", MetricUnit.Count, 1)


def _describe(bedrock: BedrockClient, name: str) -> Any | None:
    """Return Bedrock's description of a job; None if it does not exist."""
    return describe_by_name(
        "job", name, lambda identifier: bedrock.get_model_customization_job(jobIdentifier=identifier), bedrock
    )


def _is_billed(job: Any) -> bool:
    """Return whether an ended job is billed. A stopped job counts in full if its training may have started."""
    return job["status"] == "Completed" or (
        job["status"] in ("Stopping", "Stopped") and stuck_jobs.may_have_started(job)
    )


def _reserve_cost(run: Run, size: int, name: str, data: Bucket) -> None:
    """Reserve the cost of a running job under its name, unless it is reserved.

    A job whose creation was never confirmed has no reservation yet.
    """
    if not any(True for _ in data.keys(keys.ledger_entry_prefix(run.name, "TrainModels", name))):
        ledger.reserve(run.name, "TrainModels", name, job_ledger_part(run, size, data).usd, data)


def _create(
    run: Run, size: int, name: str, training: str, data: Bucket, bedrock: BedrockClient, settings: JobSettings
) -> str:
    """Create a job within the budget and return its ARN.

    If Bedrock refuses it, its reservation is released for other sizes.
    """
    for set_name in _SETS:  # A model that cannot be evaluated is not paid for.
        read_counted_split(run, set_name, data)
    cost = job_ledger_part(run, size, data)
    reservation = Reservation(run, cost.step, cost.usd, data, maximum_prediction_usd(run, data))
    try:
        reservation.reserve()
        arn = _request_job(run, size, name, training, data, bedrock, settings)
        ledger.reserve(run.name, cost.step, name, cost.usd, data)
    finally:
        # The reservation has an id of its own: a settled name could not reserve again in the next attempt.
        reservation.settle(cost.model_copy(update={"calls": 0, "training_tokens": 0, "usd": 0.0}))
    return arn


def _request_job(
    run: Run, size: int, name: str, training: str, data: Bucket, bedrock: BedrockClient, settings: JobSettings
) -> str:
    student, tags = catalog.get_model(run.student), resource_tags(run, data, training)
    validation_key = keys.dataset_key(run.name, "validation")
    optional: dict[str, Any] = {"customModelKmsKeyId": settings.model_kms_key_arn} if settings.model_kms_key_arn else {}
    if any(True for _ in data.keys(validation_key)):
        uri = f"s3://{data.name}/{validation_key}"
        optional["validationDataConfig"] = {"validators": [{"s3Uri": uri}]}
    with pipeline_errors(f"job {name}"):
        return bedrock.create_model_customization_job(
            jobName=name,
            customModelName=name,
            roleArn=settings.role_arn,
            clientRequestToken=name,
            baseModelIdentifier=student.training_id or student.id,
            customizationType="FINE_TUNING",
            hyperParameters=job_hyperparameters(run, size),
            trainingDataConfig={"s3Uri": f"s3://{data.name}/{keys.dataset_key(run.name, f'train-{size}')}"},
            outputDataConfig={"s3Uri": f"s3://{data.name}/{keys.training_prefix(run.name, size)}"},
            jobTags=tags,
            customModelTags=tags,
            **optional,
        )["jobArn"]
