"""What runs have left: at the local Bedrock endpoint, and in the Data bucket."""

from __future__ import annotations

import json
import threading
from typing import Any

from distillation import keys
from local.bedrock import Endpoint
from local.bedrock.service import foundation_model
from tests.support.builders import any_run

ARN = "arn:aws:bedrock:us-east-1:000000000000"
THEN = "2026-11-01T00:00:00.000Z"
BASE = "local.student-pixels-v1:0:300k"


def add_resources(endpoint: Endpoint, run: str, number: int = 1, stage: str = "dev", *, job: str = "Completed") -> str:
    """Have the endpoint hold a job, its model and its deployment, as a run leaves them; return their name."""
    service, name, id_ = endpoint.service, f"{run}-n{number}-a1", f"{number:012x}"
    arns = [f"{ARN}:{kind}/{BASE}/{id_}" for kind in ("model-customization-job", "custom-model")]
    arns.append(f"{ARN}:custom-model-deployment/{id_}")
    service.jobs[arns[0]] = _job(name, arns[0], job)
    if job == "Completed":
        service.custom_models[arns[1]] = _model(name, arns[1])
        service.heads[arns[1]] = None
        service.deployments[arns[2]] = _deployment(name, arns[2], arns[1])
    else:
        threading.Thread(target=_end_when_stopped, args=(service.jobs[arns[0]],), daemon=True).start()
    tags = {"vision-distillation:run": run, "vision-distillation:stage": stage}
    for arn in arns:
        service.tags[arn] = [{"key": key, "value": value} for key, value in tags.items()]
    return name


def _job(name: str, arn: str, status: str) -> dict[str, Any]:
    phases = ("validationDetails", "dataProcessingDetails", "trainingDetails")
    return {
        "jobArn": arn,
        "jobName": name,
        "outputModelName": name,
        "roleArn": "arn:aws:iam::000000000000:role/bedrock",
        "status": status,
        "statusDetails": {phase: {"status": "InProgress"} for phase in phases},
        "creationTime": THEN,
        "lastModifiedTime": THEN,
        "baseModelArn": foundation_model(BASE),
        "customizationType": "FINE_TUNING",
        "hyperParameters": {},
        "trainingDataConfig": {"s3Uri": "s3://data/train.jsonl"},
        "validationDataConfig": {"validators": []},
        "outputDataConfig": {"s3Uri": "s3://data/o/"},
        "_stop": threading.Event(),
    }


def _end_when_stopped(job: dict[str, Any]) -> None:
    job["_stop"].wait(10)
    job["status"] = "Stopped"


def _model(name: str, arn: str) -> dict[str, Any]:
    return {
        "modelArn": arn,
        "modelName": name,
        "creationTime": THEN,
        "modelStatus": "Active",
        "baseModelArn": foundation_model(BASE),
        "customizationType": "FINE_TUNING",
        "_student": BASE.removesuffix(":300k"),
    }


def _deployment(name: str, arn: str, model: str) -> dict[str, Any]:
    named = {"modelDeploymentName": name, "customModelDeploymentArn": arn, "modelArn": model}
    return {**named, "createdAt": THEN, "status": "Active", "_token": name, "_next_model": None}


def ended_run(run: str, promoted: str | None, **request: Any) -> dict[str, bytes]:
    """Return request and report of a run that has ended."""
    record = any_run(**request).model_copy(update={"name": run, "created": "2026-11-01T00:00:00+00:00"})
    report = {"models": [{"model_name": promoted}], "gate": {"promoted": promoted}}
    return {
        keys.request_key(run): record.model_dump_json().encode(),
        keys.report_key(run, "report.json"): json.dumps(report).encode(),
    }
