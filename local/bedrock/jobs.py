"""Customization jobs: one trains the local student on the dataset that it finds in S3."""

from __future__ import annotations

import json
import threading
import time
import uuid
from typing import Any

from PIL import Image

from lambdas.shared import families
from lambdas.shared.answer_formats.keywords import keywords
from lambdas.validate_dataset.checks import errors
from local.bedrock.protocol import BedrockError
from local.bedrock.service import ARN_PREFIX, REGION, Entry, Operation, Service, listed, now, opened, public


def create_model_customization_job(service: Service, values: dict[str, Any], caller: str | None) -> dict[str, Any]:
    """Start a job; its dataset is read and checked in the background, as the job's role."""
    base = values["baseModelIdentifier"].rsplit("/", 1)[-1]
    base_arn = f"arn:aws:bedrock:{REGION}::foundation-model/{base}"
    service.authorise(caller, "bedrock:CreateModelCustomizationJob", base_arn)
    service.authorise(caller, "iam:PassRole", values["roleArn"])
    student = next((m for m in families.MODELS.values() if m.training_id == base), None)
    if student is None or not student.id.startswith("local."):
        raise BedrockError("ValidationException", f"The model {base} does not support customization here.")
    if service.identity:
        try:
            service.identity.check_job_role(values["roleArn"])
        except Exception as error:  # noqa: BLE001 - whatever is wrong with the role is the caller's fault
            raise BedrockError("ValidationException", str(error)) from None
    with service.lock:
        for job in service.jobs.values():
            if job["jobName"] == values["jobName"]:
                if job["_token"] == values.get("clientRequestToken"):
                    return {"jobArn": job["jobArn"]}
                raise BedrockError("ConflictException", f"The job name {values['jobName']} is in use.")
        id_ = uuid.uuid4().hex[:12]
        arn = f"{ARN_PREFIX}:model-customization-job/{base}/{id_}"
        created = now()
        not_started = {"status": "NotStarted", "creationTime": created, "lastModifiedTime": created}
        job = {
            "jobArn": arn,
            "jobName": values["jobName"],
            "outputModelName": values["customModelName"],
            "roleArn": values["roleArn"],
            "status": "InProgress",
            "statusDetails": {
                name: dict(not_started) for name in ("validationDetails", "dataProcessingDetails", "trainingDetails")
            },
            "creationTime": created,
            "lastModifiedTime": created,
            "baseModelArn": base_arn,
            "customizationType": values.get("customizationType", "FINE_TUNING"),
            "hyperParameters": values.get("hyperParameters", {}),
            "trainingDataConfig": values["trainingDataConfig"],
            "validationDataConfig": values.get("validationDataConfig", {"validators": []}),
            "outputDataConfig": values["outputDataConfig"],
            "_id": id_,
            "_student": student.id,
            "_token": values.get("clientRequestToken"),
            "_model_tags": values.get("customModelTags", []),
        }
        service.jobs[arn] = job
        service.tags[arn] = values.get("jobTags", [])
    threading.Thread(target=_run_job, args=(service, job), daemon=True).start()
    return {"jobArn": arn}


def get_model_customization_job(service: Service, values: dict[str, Any], caller: str | None) -> dict[str, Any]:
    """Describe a job."""
    service.authorise_any(caller, "bedrock:GetModelCustomizationJob", "model-customization-job")
    return public(service.find(service.jobs, values["jobIdentifier"], "jobName"))


def list_model_customization_jobs(service: Service, values: dict[str, Any], caller: str | None) -> dict[str, Any]:
    """List jobs."""
    service.authorise(caller, "bedrock:ListModelCustomizationJobs", "*")
    names = ("jobArn", "baseModelArn", "jobName", "status", "creationTime", "lastModifiedTime")
    found = listed(service.jobs, values, "jobName", "status")
    return {"modelCustomizationJobSummaries": [{n: job[n] for n in names} for job in found]}


def stop_model_customization_job(service: Service, values: dict[str, Any], caller: str | None) -> dict[str, Any]:
    """Stop a job that has not ended."""
    service.authorise_any(caller, "bedrock:StopModelCustomizationJob", "model-customization-job")
    with service.lock:
        job = service.find(service.jobs, values["jobIdentifier"], "jobName")
        if job["status"] != "InProgress":
            raise BedrockError("ConflictException", f"The job is {job['status']}.")
        job.update(status="Stopped", endTime=now())
    return {}


def _run_job(service: Service, job: Entry) -> None:
    started = time.monotonic()
    try:
        images, answers = _read_dataset(service, job)
        head = _train(service, job, images, answers)
        time.sleep(max(0.0, service.faults.job_seconds - (time.monotonic() - started)))
        _complete(service, job, head)
    except Exception as error:  # noqa: BLE001 - as at Bedrock, any failure ends up in the job
        with service.lock:
            if job["status"] == "InProgress":
                job.update(status="Failed", failureMessage=str(error), endTime=now())


def _read_dataset(service: Service, job: Entry) -> tuple[list[Image.Image], list[list[str]]]:
    if service.faults.failing_jobs and service.faults.failing_jobs in job["jobName"]:
        raise BedrockError("InternalServerException", "Data files must conform to JSONL format.")
    uri = job["trainingDataConfig"]["s3Uri"]
    role = job["roleArn"] if service.identity else None
    lines = service.fetch(uri, role).splitlines(keepends=True)
    bucket = uri.removeprefix("s3://").partition("/")[0]
    validation = [
        line
        for validator in job["validationDataConfig"]["validators"]
        for line in service.fetch(validator["s3Uri"], role).splitlines(keepends=True)
    ]
    family = families.model(job["_student"]).family
    if found := next(errors(lines, family, bucket, validation or None), None):
        raise BedrockError("ValidationException", f"Unable to parse Amazon S3 file: {uri}. {found}")
    _advance(service, job, "validationDetails")
    images, answers = [], []
    for record in map(json.loads, lines):
        block = next(b["image"] for b in record["messages"][0]["content"] if "image" in b)
        images.append(opened(service.fetch(block["source"]["s3Location"]["uri"], role)))
        answers.append(keywords(record["messages"][1]["content"][0]["text"]))
    _advance(service, job, "dataProcessingDetails")
    return images, answers


def _train(service: Service, job: Entry, images: list[Image.Image], answers: list[list[str]]) -> Any:
    import numpy as np

    student = service.student(job["_student"])
    features = np.stack([student.features(image) for image in images])
    head = student.train(features, answers, int(job["hyperParameters"].get("epochCount", 2)), 0)
    _advance(service, job, "trainingDetails")
    return head


def _complete(service: Service, job: Entry, head: Any) -> None:
    rows = "".join(f"{step},{epoch},{loss}\n" for step, epoch, loss in head.losses)
    uri = job["outputDataConfig"]["s3Uri"].rstrip("/")
    folder = f"{uri}/model-customization-job-{job['_id']}/training_artifacts"
    bucket, _, key = f"{folder}/step_wise_training_metrics.csv".removeprefix("s3://").partition("/")
    role = job["roleArn"] if service.identity else None
    service.authorise(role, "s3:PutObject", f"arn:aws:s3:::{bucket}/{key}")
    body = f"step_number,epoch_number,training_loss\n{rows}".encode()
    service.s3().put_object(Bucket=bucket, Key=key, Body=body)
    with service.lock:
        if job["status"] != "InProgress":
            return  # Stopped meanwhile: no model comes of it.
        arn = f"{ARN_PREFIX}:custom-model/{job['baseModelArn'].rsplit('/', 1)[-1]}/{job['_id']}"
        service.heads[arn] = head
        service.custom_models[arn] = {
            "modelArn": arn,
            "modelName": job["outputModelName"],
            "modelStatus": "Active",
            "jobArn": job["jobArn"],
            "jobName": job["jobName"],
            "baseModelArn": job["baseModelArn"],
            "customizationType": job["customizationType"],
            "hyperParameters": job["hyperParameters"],
            "trainingDataConfig": job["trainingDataConfig"],
            "outputDataConfig": job["outputDataConfig"],
            "creationTime": now(),
            "_student": job["_student"],
        }
        service.tags[arn] = job["_model_tags"]
        job.update(status="Completed", outputModelArn=arn, endTime=now())
        job["trainingMetrics"] = {"trainingLoss": float(head.losses[-1][2])}


def _advance(service: Service, job: Entry, phase: str) -> None:
    with service.lock:
        job["statusDetails"][phase].update(status="Completed", lastModifiedTime=now())


OPERATIONS: dict[str, Operation] = {
    "CreateModelCustomizationJob": create_model_customization_job,
    "GetModelCustomizationJob": get_model_customization_job,
    "ListModelCustomizationJobs": list_model_customization_jobs,
    "StopModelCustomizationJob": stop_model_customization_job,
}
