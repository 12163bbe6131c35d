"""Customization jobs: one trains the local student on the dataset that it finds in S3."""

from __future__ import annotations

import copy
import json
import threading
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from PIL import Image

from distillation.answers.formats.keywords import normalise
from distillation.dataset.validator import errors
from distillation.errors import InvalidRequest
from distillation.models import catalog
from local.bedrock.faults import chosen
from local.bedrock.listing import Members, page
from local.bedrock.protocol import BedrockError
from local.bedrock.service import (
    ARN_PREFIX,
    Entry,
    Operation,
    Service,
    foundation_model,
    is_local,
    now,
    opened,
    public,
)

_IN_PROGRESS = 10
_PHASES = ("validationDetails", "dataProcessingDetails", "trainingDetails")
_MEMBERS = Members(arn="jobArn", name="jobName", created="creationTime", status="status")
_SUMMARY = ("jobArn", "baseModelArn", "jobName", "status", "creationTime", "lastModifiedTime", "customizationType")
_KEY_USES = ("kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey")


@dataclass(frozen=True)
class _Example:
    """One record of a dataset."""

    uri: str
    image: Image.Image
    answer: list[str]


@dataclass(frozen=True)
class _Trained:
    """What training gives; the loss on the validation file is None without one."""

    head: Any
    validation_loss: float | None


class _Stopped(Exception):
    """Somebody stopped the job."""


def create_model_customization_job(service: Service, values: dict[str, Any], caller: str | None) -> dict[str, Any]:
    """Start a job; its dataset is read and checked in the background, as the job's role."""
    base = values["baseModelIdentifier"].rsplit("/", 1)[-1]
    _check_rights(service, base, values, caller)
    student = _student(service, base, values)
    with service.lock:
        for job in service.jobs.values():
            if job["jobName"] == values["jobName"]:
                if job.get("clientRequestToken") and job["clientRequestToken"] == values.get("clientRequestToken"):
                    return {"jobArn": job["jobArn"]}
                raise BedrockError("ConflictException", f"The job name {values['jobName']} is in use.")
        if sum(job["status"] in ("InProgress", "Stopping") for job in service.jobs.values()) >= _IN_PROGRESS:
            raise BedrockError("ServiceQuotaExceededException", "Ten customization jobs are scheduled.")
        job = _job(service, base, student, values)
        service.jobs[job["jobArn"]] = job
        service.tags[job["jobArn"]] = values.get("jobTags", [])
    threading.Thread(target=_run, args=(service, job), daemon=True).start()
    return {"jobArn": job["jobArn"]}


def get_model_customization_job(service: Service, values: dict[str, Any], caller: str | None) -> dict[str, Any]:
    """Describe a job."""
    service.authorise_any(caller, "bedrock:GetModelCustomizationJob", "model-customization-job")
    with service.lock:
        return copy.deepcopy(public(service.find(service.jobs, values["jobIdentifier"], "jobName")))


def list_model_customization_jobs(service: Service, values: dict[str, Any], caller: str | None) -> dict[str, Any]:
    """List jobs, the newest first."""
    service.authorise(caller, "bedrock:ListModelCustomizationJobs", "*")
    with service.lock:
        found, more = page(service.jobs.values(), _MEMBERS, values)
        rows = [
            {name: job[name] for name in _SUMMARY} | {"statusDetails": copy.deepcopy(job["statusDetails"])}
            for job in found
        ]
    return {"modelCustomizationJobSummaries": rows, **more}


def stop_model_customization_job(service: Service, values: dict[str, Any], caller: str | None) -> dict[str, Any]:
    """Stop a job that has not ended; it is Stopping until it notices."""
    service.authorise_any(caller, "bedrock:StopModelCustomizationJob", "model-customization-job")
    with service.lock:
        job = service.find(service.jobs, values["jobIdentifier"], "jobName")
        if job["status"] != "InProgress":
            raise BedrockError("ConflictException", f"The job is {job['status']}.")
        job.update(status="Stopping", lastModifiedTime=now())
        job["_stop"].set()
    return {}


def _check_rights(service: Service, base: str, values: dict[str, Any], caller: str | None) -> None:
    service.authorise(caller, "bedrock:CreateModelCustomizationJob", foundation_model(base))
    service.authorise(caller, "iam:PassRole", values["roleArn"])
    for tags, kind in (("jobTags", "model-customization-job"), ("customModelTags", "custom-model")):
        if values.get(tags):
            service.authorise_any(caller, "bedrock:TagResource", kind)
    if "customModelKmsKeyId" in values:
        for use in _KEY_USES:
            service.authorise(caller, use, values["customModelKmsKeyId"])
    if service.identity:
        try:
            service.identity.check_job_role(values["roleArn"])
        except Exception as error:  # noqa: BLE001 - whatever is wrong with the role is the caller's fault
            raise BedrockError("ValidationException", str(error)) from None


def _student(service: Service, base: str, values: dict[str, Any]) -> catalog.Model:
    """Return the student that a job tunes; raises ``BedrockError`` for what its family does not take."""
    student = next((model for model in catalog.MODELS.values() if model.training_id == base), None)
    if student is None or not is_local(student.id):
        raise BedrockError("ValidationException", f"The model {base} does not support customization here.")
    if base in service.faults.legacy_models:
        raise BedrockError("ValidationException", f"The model {base} is LEGACY and takes no new jobs.")
    if _validators(values) and not student.family.validation_file:
        raise BedrockError("ValidationException", "Invalid input error: Nova 2.0 doesn't support validation set")
    try:
        asked = {name: float(value) for name, value in values.get("hyperParameters", {}).items()}
        student.family.resolve_hyperparameters(asked)
    except (InvalidRequest, ValueError) as error:
        raise BedrockError("ValidationException", f"Invalid hyperparameters: {error}") from None
    return student


def _validators(values: dict[str, Any]) -> list[dict[str, str]]:
    return values.get("validationDataConfig", {"validators": []})["validators"]


def _job(service: Service, base: str, student: catalog.Model, values: dict[str, Any]) -> Entry:
    id_ = uuid.uuid4().hex[:12]
    hours = service.faults.stuck_hours if chosen(service.faults.stuck_jobs, values["jobName"]) else 0
    created = now(datetime.now(UTC) - timedelta(hours=hours))
    not_started = {"status": "NotStarted", "creationTime": created, "lastModifiedTime": created}
    asked = ("clientRequestToken", "vpcConfig", "customizationConfig")
    key = {"outputModelKmsKeyArn": values["customModelKmsKeyId"]} if "customModelKmsKeyId" in values else {}
    return {
        "jobArn": f"{ARN_PREFIX}:model-customization-job/{base}/{id_}",
        "jobName": values["jobName"],
        "outputModelName": values["customModelName"],
        "roleArn": values["roleArn"],
        "status": "InProgress",
        "statusDetails": {phase: dict(not_started) for phase in _PHASES},
        "creationTime": created,
        "lastModifiedTime": created,
        "baseModelArn": foundation_model(base),
        "customizationType": values.get("customizationType", "FINE_TUNING"),
        "hyperParameters": values.get("hyperParameters", {}),
        "trainingDataConfig": values["trainingDataConfig"],
        "validationDataConfig": {"validators": _validators(values)},
        "outputDataConfig": values["outputDataConfig"],
        **{name: values[name] for name in asked if name in values},
        **key,
        "_id": id_,
        "_student": student.id,
        "_model_tags": values.get("customModelTags", []),
        "_stop": threading.Event(),
    }


def _run(service: Service, job: Entry) -> None:
    try:
        examples, validation = _read_dataset(service, job)
        if chosen(service.faults.stuck_jobs, job["jobName"]):
            job["_stop"].wait()
        _enter(service, job, "trainingDetails")
        trained = _train(service, job, examples, validation)
        job["_stop"].wait(service.faults.job_seconds)
        _enter(service, job, None)
        _complete(service, job, trained)
    except _Stopped:
        _end(service, job, "Stopped")
    except Exception as error:  # noqa: BLE001 - as at Bedrock, any failure ends up in the job
        _end(service, job, "Failed", failureMessage=str(error))


def _enter(service: Service, job: Entry, phase: str | None) -> None:
    """Complete the phase that is under way and begin another; raises ``_Stopped``."""
    with service.lock:
        if job["_stop"].is_set():
            raise _Stopped
        for details in job["statusDetails"].values():
            if details["status"] == "InProgress":
                details.update(status="Completed", lastModifiedTime=now())
        if phase:
            job["statusDetails"][phase].update(status="InProgress", lastModifiedTime=now())
        job["lastModifiedTime"] = now()


def _end(service: Service, job: Entry, status: str, **more: Any) -> None:
    with service.lock:
        for details in job["statusDetails"].values():
            if details["status"] == "InProgress":
                details.update(status=status, lastModifiedTime=now())
        job.update(status=status, endTime=now(), lastModifiedTime=now(), **more)


def _read_dataset(service: Service, job: Entry) -> tuple[list[_Example], list[_Example]]:
    """Return training and validation examples."""
    _enter(service, job, "validationDetails")
    if chosen(service.faults.failing_jobs, job["jobName"]):
        raise BedrockError("ValidationException", service.faults.failure_message)
    uri = job["trainingDataConfig"]["s3Uri"]
    lines = _lines(service, job, uri)
    validation = [
        line for one in job["validationDataConfig"]["validators"] for line in _lines(service, job, one["s3Uri"])
    ]
    bucket = uri.removeprefix("s3://").partition("/")[0]
    family = catalog.get_model(job["_student"]).family
    if found := next(errors(lines, family, bucket, validation or None), None):
        raise BedrockError("ValidationException", f"Unable to parse Amazon S3 file: {uri}. {found}")
    _enter(service, job, "dataProcessingDetails")
    images: dict[str, Image.Image] = {}
    read = [[_example(service, job, line, images) for line in file] for file in (lines, validation)]
    _enter(service, job, None)
    return read[0], read[1]


def _example(service: Service, job: Entry, line: bytes, images: dict[str, Image.Image]) -> _Example:
    """Read a record; an image that several records name is read once."""
    record = json.loads(line)
    block = next(b["image"] for b in record["messages"][0]["content"] if "image" in b)
    uri = block["source"]["s3Location"]["uri"]
    if uri not in images:
        images[uri] = opened(_body(service, job, uri))
    return _Example(uri, images[uri], normalise(record["messages"][1]["content"][0]["text"]))


def _lines(service: Service, job: Entry, uri: str) -> list[bytes]:
    return _body(service, job, uri).splitlines(keepends=True)


def _body(service: Service, job: Entry, uri: str) -> bytes:
    """Read an object as the job's role; raises ``BedrockError`` in Bedrock's words."""
    try:
        return service.fetch(uri, job["roleArn"] if service.identity else None)
    except BedrockError as error:
        if error.code != "AccessDeniedException":
            raise
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        raise BedrockError(
            "ValidationException",
            f"Could not validate GetObject permissions to access Amazon S3 bucket: {bucket} at key {key}",
        ) from None


def _train(service: Service, job: Entry, examples: list[_Example], validation: list[_Example]) -> _Trained:
    import numpy as np

    student = service.student(job["_student"])
    seen = {example.uri: student.features(example.image) for example in {e.uri: e for e in examples}.values()}
    epochs = int(job["hyperParameters"].get("epochCount", 2))
    head = student.train(np.stack([seen[e.uri] for e in examples]), [e.answer for e in examples], epochs, 0)
    if not validation:
        return _Trained(head, None)
    others = np.stack([student.features(e.image) for e in validation])
    return _Trained(head, head.loss(others, [e.answer for e in validation]))


def _complete(service: Service, job: Entry, trained: _Trained) -> None:
    losses = trained.head.losses
    _write_metrics(service, job, "training_artifacts/step_wise_training_metrics.csv", "training_loss", losses)
    if trained.validation_loss is not None:
        file = "validation_artifacts/post_fine_tuning_validation/validation_metrics.csv"
        last = (losses[-1][0], losses[-1][1], trained.validation_loss)
        _write_metrics(service, job, file, "validation_loss", [last])
        job["validationMetrics"] = [{"validationLoss": trained.validation_loss}]
    with service.lock:
        if job["_stop"].is_set():
            raise _Stopped
        job["trainingMetrics"] = {"trainingLoss": float(losses[-1][2])}
        model = _model(job)
        arn = model["modelArn"]
        service.heads[arn] = trained.head
        service.custom_models[arn] = model
        service.tags[arn] = job["_model_tags"]
        job.update(status="Completed", outputModelArn=arn, endTime=now(), lastModifiedTime=now())


def _write_metrics(service: Service, job: Entry, file: str, column: str, losses: list[tuple[int, int, float]]) -> None:
    rows = "".join(f"{step},{epoch},{loss}\n" for step, epoch, loss in losses)
    uri = job["outputDataConfig"]["s3Uri"].rstrip("/")
    folder = f"{uri}/model-customization-job-{job['_id']}"
    bucket, _, key = f"{folder}/{file}".removeprefix("s3://").partition("/")
    try:
        service.authorise(job["roleArn"] if service.identity else None, "s3:PutObject", f"arn:aws:s3:::{bucket}/{key}")
    except BedrockError:
        raise BedrockError("ValidationException", f"Amazon S3 perms missing (PutObject): {bucket}/{key}") from None
    body = f"step_number,epoch_number,{column}\n{rows}".encode()
    service.s3().put_object(Bucket=bucket, Key=key, Body=body)


def _model(job: Entry) -> Entry:
    same = ("jobArn", "jobName", "baseModelArn", "customizationType", "hyperParameters")
    data = ("trainingDataConfig", "validationDataConfig", "outputDataConfig")
    metrics = [name for name in ("trainingMetrics", "validationMetrics") if name in job]
    key = {"modelKmsKeyArn": job["outputModelKmsKeyArn"]} if "outputModelKmsKeyArn" in job else {}
    return {
        "modelArn": f"{ARN_PREFIX}:custom-model/{job['baseModelArn'].rsplit('/', 1)[-1]}/{job['_id']}",
        "modelName": job["outputModelName"],
        "modelStatus": "Active",
        "creationTime": now(),
        **{name: job[name] for name in (*same, *data, *metrics)},
        **key,
        "_student": job["_student"],
    }


OPERATIONS: dict[str, Operation] = {
    "CreateModelCustomizationJob": create_model_customization_job,
    "GetModelCustomizationJob": get_model_customization_job,
    "ListModelCustomizationJobs": list_model_customization_jobs,
    "StopModelCustomizationJob": stop_model_customization_job,
}
