"""One customization job per training size, found again by its name.

The state machine calls this until the job has ended, so that creating and polling are one thing and a
repeated call never pays twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from lambdas.customize.bill import bill
from lambdas.shared import families, layout, ledger
from lambdas.shared.bedrock_errors import translated
from lambdas.shared.budget import Reservation
from lambdas.shared.errors import JobFailed
from lambdas.shared.objects import Objects
from lambdas.shared.records import Run
from lambdas.shared.tags import tags
from lambdas.shared.training import hyperparameters

if TYPE_CHECKING:
    from mypy_boto3_bedrock import BedrockClient

ATTEMPTS = 2
"""A job that failed by an internal error of Bedrock gets one more attempt."""
_INTERNAL = "internal error"


def create_or_describe(run: Run, size: int, data: Objects, bedrock: BedrockClient, role: str) -> dict[str, Any]:
    """Return ``{status, name, job, model}`` of the size's job, creating it on the first call.

    ``status`` is InProgress or Completed; ``job`` and ``model`` are ARNs. Raises ``JobFailed`` with Bedrock's
    message, and ``Throttled``, ``QuotaReached``, ``AccessRefused`` or ``OverBudget`` when it cannot be created.
    """
    for attempt in range(1, ATTEMPTS + 1):
        name = layout.model_name(run.run, size, attempt)
        job = _find(bedrock, name) or _create(run, size, name, data, bedrock, role)
        message = job.get("failureMessage") or f"the job ended as {job['status']}"
        if job["status"] in ("Completed", "Failed"):
            # The job's own name: looking at a finished job twice writes the same object twice.
            ledger.record(data, run.run, bill(run, size, data, trained=job["status"] == "Completed"), name)
        if job["status"] == "Failed" and _INTERNAL in message.lower() and attempt < ATTEMPTS:
            continue
        if job["status"] in ("Failed", "Stopping", "Stopped"):
            raise JobFailed(f"job {name}: {message}")
        return {
            "status": job["status"],
            "name": name,
            "job": job.get("jobArn"),
            "model": job.get("outputModelArn"),
        }
    raise JobFailed(f"size {size}: no attempt is left")


def _find(bedrock: BedrockClient, name: str) -> Any | None:
    try:
        return bedrock.get_model_customization_job(jobIdentifier=name)
    except bedrock.exceptions.ResourceNotFoundException:
        return None
    except ClientError as error:
        raise translated(error, f"job {name}") from error


def _create(run: Run, size: int, name: str, data: Objects, bedrock: BedrockClient, role: str) -> dict[str, Any]:
    student = families.model(run.student)
    Reservation(run, "TrainModels", bill(run, size, data).usd, data, name).hold()
    validation = layout.dataset(run.run, "validation")
    optional: dict[str, Any] = {}
    if any(True for _ in data.keys(validation)):
        uri = f"s3://{data.bucket}/{validation}"
        optional["validationDataConfig"] = {"validators": [{"s3Uri": uri}]}
    try:
        bedrock.create_model_customization_job(
            jobName=name,
            customModelName=name,
            roleArn=role,
            clientRequestToken=name,
            baseModelIdentifier=student.training_id or student.id,
            customizationType="FINE_TUNING",
            hyperParameters=hyperparameters(run, size),
            trainingDataConfig={"s3Uri": f"s3://{data.bucket}/{layout.dataset(run.run, f'train-{size}')}"},
            outputDataConfig={"s3Uri": f"s3://{data.bucket}/{layout.training(run.run, size)}"},
            jobTags=tags(run.run),
            customModelTags=tags(run.run),
            **optional,
        )
    except ClientError as error:
        raise translated(error, f"job {name}") from error
    return {"status": "InProgress"}
