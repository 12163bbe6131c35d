"""A run that trains: its objects in the Data bucket, and what Bedrock answers about its job of size 12."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.stub import Stubber

from distillation import keys
from distillation.documents import DatasetHashes
from distillation.events import JobResult
from distillation.records import Run
from distillation.storage import Bucket
from distillation.training import job
from tests.support.bedrock_state import ARN
from tests.support.builders import any_run, any_split_facts
from tests.support.fakes import bucket

NAME = "holiday-1-n12-a1"
"""Common name of the job, its model and its deployment."""
ROLE_ARN = "arn:aws:iam::000000000000:role/bedrock"
BASE_MODEL_ARN = "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-lite-v1:0:300k"
JOB_ARN = f"{ARN}:model-customization-job/amazon.nova-lite-v1:0:300k/abcdefghijkl"
MODEL_ARN = f"{ARN}:custom-model/amazon.nova-lite-v1:0:300k/abcdefghijkl"
DEPLOYMENT_ARN = f"{ARN}:custom-model-deployment/abcdefghijkl"
CREATED = datetime(2026, 11, 24, tzinfo=UTC)
NOW = CREATED + timedelta(hours=30)
SETTINGS = job.JobSettings(role_arn=ROLE_ARN, model_kms_key_arn=None, start_timeout=timedelta(hours=24))


def split_bucket(data: Bucket | None = None) -> Bucket:
    """Return a Data bucket with 12 training images, 3 test images, and validated (empty) files of sizes 6 and 12."""
    data = data or bucket()
    line = {"image": "a" * 64, "photo": "p", "group": "a" * 64, "width": 900, "height": 600}
    data.write_lines(keys.split_key("holiday-1", "train"), [line] * 12)
    data.write_lines(keys.split_key("holiday-1", "test"), [line] * 3)
    data.write_lines(keys.split_key("holiday-1", "validation"), [])
    data.write_document(keys.split_facts_key("holiday-1"), any_split_facts(train=12, test=3))
    files = [keys.dataset_key("holiday-1", f"train-{size}") for size in (6, 12)]
    for file in files:
        data.write(file, b"")
    hashes = DatasetHashes(sha256=dict.fromkeys(files, hashlib.sha256(b"").hexdigest()))
    data.write_document(keys.dataset_hashes_key("holiday-1"), hashes)
    return data


def labelled_bucket(data: Bucket | None = None) -> Bucket:
    """Return a Data bucket whose images have labels, so that jobs of sizes 6 and 12 have a cost."""
    data = split_bucket(data)
    labels = [{"image": "a" * 64, "answerer": "teacher", "status": "ok", "text": "a, b, c"}]
    data.write_lines(keys.part_key("holiday-1", "label", "1"), labels)
    return data


def create_or_describe(client: Any, data: Bucket | None = None, **request: Any) -> JobResult:
    """Create or describe the job; keywords are fields of the run's request."""
    return describe_size(any_run(**request), 12, data or split_bucket(), client)


def describe_size(
    run: Run,
    size: int,
    data: Bucket,
    client: Any,
    settings: job.JobSettings = SETTINGS,
    now: datetime = NOW,
) -> JobResult:
    """Create or describe the job of a size, whose execution is running."""
    return job.create_or_describe(run, size, data, client, settings, now, lambda: False)


def job_description(status: str, **fields: Any) -> dict[str, Any]:
    """Return a response of GetModelCustomizationJob."""
    return {
        "jobArn": JOB_ARN,
        "jobName": NAME,
        "outputModelName": NAME,
        "roleArn": ROLE_ARN,
        "creationTime": CREATED,
        "baseModelArn": BASE_MODEL_ARN,
        "trainingDataConfig": {"s3Uri": "s3://data/t.jsonl"},
        "outputDataConfig": {"s3Uri": "s3://data/o/"},
        "validationDataConfig": {"validators": []},
        "status": status,
        **fields,
    }


def waiting_job(training: str = "NotStarted", status: str = "InProgress") -> dict[str, Any]:
    """Return a response of GetModelCustomizationJob with the status of the training phase."""
    details = {"validationDetails": {"status": "Completed"}, "trainingDetails": {"status": training}}
    return job_description(status, statusDetails=details)


def expect_no_job(bedrock: Stubber) -> None:
    """Expect calls that find neither a job nor a model to reuse."""
    bedrock.add_client_error("get_model_customization_job", "ResourceNotFoundException")
    bedrock.add_response("list_custom_models", {"modelSummaries": []})


def expect_creation(bedrock: Stubber) -> None:
    """Expect calls that find neither a job nor a model to reuse, and one that creates the job."""
    expect_no_job(bedrock)
    bedrock.add_response("create_model_customization_job", {"jobArn": JOB_ARN})
