"""State that runs leave behind: resources at the local Bedrock endpoint, and objects in the Data bucket."""

from __future__ import annotations

import threading
from typing import Any

from distillation import keys
from distillation.records import TrainedModel
from local.bedrock import Endpoint
from local.bedrock.job_worker import PHASES
from local.bedrock.service import Entry, foundation_model_arn
from tests.support.builders import any_report, any_run

ARN = "arn:aws:bedrock:us-east-1:000000000000"
CREATED = "2026-11-01T00:00:00.000Z"
BASE = "local.student-pixels-v1:0:300k"


def add_resources(
    endpoint: Endpoint,
    run: str,
    number: int = 1,
    stage: str = "dev",
    *,
    data_bucket: str | None = "data",
    job: str = "Completed",
) -> str:
    """Add a job of a run and, if it is Completed, its model and deployment; return their common name."""
    service, name, id = endpoint.service, f"{run}-n{number}-a1", f"{number:012x}"
    tags = [
        {"key": "vision-distillation:run", "value": run},
        {"key": "vision-distillation:stage", "value": stage},
    ]
    if data_bucket:
        tags.append({"key": "vision-distillation:data-bucket", "value": data_bucket})
    entry = _job(name, id, job)
    stop = service.add_job(entry, tags)
    if job == "Completed":
        model = _model(name, id)
        service.add_custom_model(model, tags)
        service.add_deployment(_deployment(name, id, model["modelArn"]), tags)
    else:
        threading.Thread(target=_end_when_stopped, args=(entry, stop), daemon=True).start()
    return name


def _job(name: str, id: str, status: str) -> Entry:
    return {
        "jobArn": f"{ARN}:model-customization-job/{BASE}/{id}",
        "jobName": name,
        "outputModelName": name,
        "roleArn": "arn:aws:iam::000000000000:role/bedrock",
        "status": status,
        "statusDetails": {phase: {"status": "InProgress"} for phase in PHASES},
        "creationTime": CREATED,
        "lastModifiedTime": CREATED,
        "baseModelArn": foundation_model_arn(BASE),
        "customizationType": "FINE_TUNING",
        "hyperParameters": {},
        "trainingDataConfig": {"s3Uri": "s3://data/train.jsonl"},
        "validationDataConfig": {"validators": []},
        "outputDataConfig": {"s3Uri": "s3://data/o/"},
    }


def _end_when_stopped(job: Entry, stop: threading.Event) -> None:
    stop.wait(10)
    job["status"] = "Stopped"


def _model(name: str, id: str) -> Entry:
    return {
        "modelArn": f"{ARN}:custom-model/{BASE}/{id}",
        "modelName": name,
        "creationTime": CREATED,
        "modelStatus": "Active",
        "baseModelArn": foundation_model_arn(BASE),
        "customizationType": "FINE_TUNING",
    }


def _deployment(name: str, id: str, model_arn: str) -> Entry:
    return {
        "modelDeploymentName": name,
        "customModelDeploymentArn": f"{ARN}:custom-model-deployment/{id}",
        "modelArn": model_arn,
        "createdAt": CREATED,
        "status": "Active",
    }


def claimed_run(run: str, **request: Any) -> dict[str, bytes]:
    """Return the request of a run, keyed by S3 key; keywords are fields of the request."""
    record = any_run(**request).model_copy(update={"name": run, "created": "2026-11-01T00:00:00+00:00"})
    return {keys.request_key(run): record.model_dump_json().encode()}


def ended_run(run: str, promoted: str | None, **request: Any) -> dict[str, bytes]:
    """Return the request and the report of a run that promoted the model ``promoted``, or none, keyed by S3 key."""
    size = int(promoted.rpartition("-n")[2].partition("-a")[0]) if promoted else 0
    models = [TrainedModel(size=size, status="Active", model_name=promoted)] if promoted else []
    report = any_report(run=run, models=models, promoted=promoted)
    return claimed_run(run, **request) | {
        keys.report_json_key(run): report.model_dump_json().encode(),
    }
