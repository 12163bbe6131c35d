"""Customization jobs: create, describe, list and stop. A job trains in ``job_worker``."""

from __future__ import annotations

import copy
import threading
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from distillation.errors import InvalidRequest
from distillation.models.model import Model
from local.bedrock.faults import is_affected
from local.bedrock.job_worker import PHASES, JobWorker
from local.bedrock.pagination import Members, page
from local.bedrock.protocol import BedrockError
from local.bedrock.service import (
    ARN_PREFIX,
    Entry,
    Operation,
    Service,
    foundation_model_arn,
    is_local,
    model_by_training_id,
    timestamp,
)

MAXIMUM_RUNNING_JOBS = 10
_MEMBERS = Members(arn="jobArn", name="jobName", created="creationTime", status="status")
_SUMMARY = ("jobArn", "baseModelArn", "jobName", "status", "creationTime", "lastModifiedTime", "customizationType")
_KEY_ACTIONS = ("kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey")


def create_model_customization_job(service: Service, values: dict[str, Any], caller: str | None) -> dict[str, Any]:
    """Start a job; its worker reads and checks the dataset in the background, with the permissions of its role."""
    base = values["baseModelIdentifier"].rsplit("/", 1)[-1]
    _authorise(service, base, values, caller)
    _check_request(service, base, values)
    with service.lock:
        for job in service.jobs.values():
            if job["jobName"] == values["jobName"]:
                if job.get("clientRequestToken") and job["clientRequestToken"] == values.get("clientRequestToken"):
                    return {"jobArn": job["jobArn"]}
                raise BedrockError("ConflictException", f"The job name {values['jobName']} is in use.")
        running = [job for job in service.jobs.values() if job["status"] in ("InProgress", "Stopping")]
        if len(running) >= MAXIMUM_RUNNING_JOBS:
            raise BedrockError("ServiceQuotaExceededException", "Ten customization jobs are scheduled.")
        job = _new_job(service, base, values)
        stop = service.add_job(job, values.get("jobTags", []))
    worker = JobWorker(service, job, stop, values.get("customModelTags", []))
    threading.Thread(target=worker.run, daemon=True).start()
    return {"jobArn": job["jobArn"]}


def get_model_customization_job(service: Service, values: dict[str, Any], caller: str | None) -> dict[str, Any]:
    """Describe a job."""
    service.authorise_any(caller, "bedrock:GetModelCustomizationJob", "model-customization-job")
    with service.lock:
        return copy.deepcopy(service.find(service.jobs, values["jobIdentifier"], "jobName"))


def list_model_customization_jobs(service: Service, values: dict[str, Any], caller: str | None) -> dict[str, Any]:
    """List jobs, newest first."""
    service.authorise(caller, "bedrock:ListModelCustomizationJobs", "*")
    with service.lock:
        jobs, next_token = page(service.jobs.values(), _MEMBERS, values)
        rows = [
            {name: job[name] for name in _SUMMARY} | {"statusDetails": copy.deepcopy(job["statusDetails"])}
            for job in jobs
        ]
    return {"modelCustomizationJobSummaries": rows, **next_token}


def stop_model_customization_job(service: Service, values: dict[str, Any], caller: str | None) -> dict[str, Any]:
    """Stop a running job; its status is Stopping until its worker has ended."""
    service.authorise_any(caller, "bedrock:StopModelCustomizationJob", "model-customization-job")
    with service.lock:
        job = service.find(service.jobs, values["jobIdentifier"], "jobName")
        if job["status"] != "InProgress":
            raise BedrockError("ConflictException", f"The job is {job['status']}.")
        job.update(status="Stopping", lastModifiedTime=timestamp())
        service.stop_signals[job["jobArn"]].set()
    return {}


def _authorise(service: Service, base: str, values: dict[str, Any], caller: str | None) -> None:
    service.authorise(caller, "bedrock:CreateModelCustomizationJob", foundation_model_arn(base))
    service.authorise_any(caller, "bedrock:CreateModelCustomizationJob", "custom-model")
    service.authorise(caller, "iam:PassRole", values["roleArn"])
    for tags, kind in (("jobTags", "model-customization-job"), ("customModelTags", "custom-model")):
        if values.get(tags):
            service.authorise_any(caller, "bedrock:TagResource", kind)
    if "customModelKmsKeyId" in values:
        for action in _KEY_ACTIONS:
            service.authorise(caller, action, values["customModelKmsKeyId"], via="bedrock")
    if service.identity:
        try:
            service.identity.check_job_role(values["roleArn"])
        except Exception as error:  # noqa: BLE001 - any problem with the role is an error of the caller
            raise BedrockError("ValidationException", str(error)) from None


def _check_request(service: Service, base: str, values: dict[str, Any]) -> None:
    """Raise BedrockError for a base model, a validation file or hyperparameters that the family does not accept."""
    student = _tunable_model(service, base)
    if _validators(values) and not student.family.validation_file:
        raise BedrockError("ValidationException", "Invalid input error: Nova 2.0 doesn't support validation set")
    try:
        requested = {name: float(value) for name, value in values.get("hyperParameters", {}).items()}
        student.family.resolve_hyperparameters(requested)
    except (InvalidRequest, ValueError) as error:
        raise BedrockError("ValidationException", f"Invalid hyperparameters: {error}") from None


def _tunable_model(service: Service, base: str) -> Model:
    student = model_by_training_id(base)
    if student is None or not is_local(student.id):
        raise BedrockError("ValidationException", f"The model {base} does not support customization here.")
    if base in service.faults.legacy_models:
        raise BedrockError("ValidationException", f"The model {base} is LEGACY and takes no new jobs.")
    return student


def _validators(values: dict[str, Any]) -> list[dict[str, str]]:
    return values.get("validationDataConfig", {"validators": []})["validators"]


def _new_job(service: Service, base: str, values: dict[str, Any]) -> Entry:
    stuck_hours = service.faults.stuck_hours if is_affected(service.faults.stuck_jobs, values["jobName"]) else 0
    created = timestamp(datetime.now(UTC) - timedelta(hours=stuck_hours))
    not_started = {"status": "NotStarted", "creationTime": created, "lastModifiedTime": created}
    optional = ("clientRequestToken", "vpcConfig", "customizationConfig")
    key = {"outputModelKmsKeyArn": values["customModelKmsKeyId"]} if "customModelKmsKeyId" in values else {}
    return {
        "jobArn": f"{ARN_PREFIX}:model-customization-job/{base}/{uuid.uuid4().hex[:12]}",
        "jobName": values["jobName"],
        "outputModelName": values["customModelName"],
        "roleArn": values["roleArn"],
        "status": "InProgress",
        "statusDetails": {phase: dict(not_started) for phase in PHASES},
        "creationTime": created,
        "lastModifiedTime": created,
        "baseModelArn": foundation_model_arn(base),
        "customizationType": values.get("customizationType", "FINE_TUNING"),
        "hyperParameters": values.get("hyperParameters", {}),
        "trainingDataConfig": values["trainingDataConfig"],
        "validationDataConfig": {"validators": _validators(values)},
        "outputDataConfig": values["outputDataConfig"],
        **{name: values[name] for name in optional if name in values},
        **key,
    }


OPERATIONS: dict[str, Operation] = {
    "CreateModelCustomizationJob": create_model_customization_job,
    "GetModelCustomizationJob": get_model_customization_job,
    "ListModelCustomizationJobs": list_model_customization_jobs,
    "StopModelCustomizationJob": stop_model_customization_job,
}
