from __future__ import annotations

from pathlib import Path

import pytest

from local.bedrock import Endpoint
from tests.support.fakes import MemoryS3
from tests.support.local_bedrock import (
    KEY,
    Permissions,
    create_job,
    phase_statuses,
    running_endpoint,
    trainable_bucket,
    wait_for_job,
)


def test_invalid_dataset_fails_the_job(endpoint: Endpoint, s3: MemoryS3) -> None:
    s3.objects["train.jsonl"] = s3.objects["train.jsonl"].replace(b"common", b"User: x")
    job = wait_for_job(endpoint, create_job(endpoint))

    assert job["status"] == "Failed"
    assert "reserves" in job["failureMessage"]


def test_job_fails_with_the_configured_message(tmp_path: Path) -> None:
    message = "Encountered an internal error when processing the request."
    with running_endpoint(trainable_bucket(), tmp_path, failing_jobs="-a1", failure_message=message) as endpoint:
        failed, trained = (wait_for_job(endpoint, create_job(endpoint, f"run-n10-a{attempt}")) for attempt in (1, 2))

        assert (failed["status"], failed["failureMessage"]) == ("Failed", message)
        assert phase_statuses(failed) == ["Failed", "NotStarted", "NotStarted"]
        assert (trained["status"], phase_statuses(trained)) == ("Completed", ["Completed"] * 3)


@pytest.mark.parametrize(
    ("denied", "message"),
    [
        (
            "s3:GetObject",
            "Could not validate GetObject permissions to access Amazon S3 bucket: data at key train.jsonl",
        ),
        (
            "s3:ListBucket",
            "Could not validate GetObject permissions to access Amazon S3 bucket: data at key train.jsonl",
        ),
        ("s3:PutObject", "Amazon S3 perms missing (PutObject)"),
        (
            "kms:Decrypt",
            "Could not validate GetObject permissions to access Amazon S3 bucket: data at key train.jsonl",
        ),
        ("kms:GenerateDataKey", "Amazon S3 perms missing (PutObject)"),
    ],
)
def test_job_whose_role_lacks_a_permission_fails_with_bedrocks_message(
    tmp_path: Path, denied: str, message: str
) -> None:
    encrypted = trainable_bucket()
    encrypted.kms_key_arn = KEY
    with running_endpoint(encrypted, tmp_path, Permissions(denied)) as endpoint:
        assert message in wait_for_job(endpoint, create_job(endpoint))["failureMessage"]


def test_job_whose_role_may_not_read_its_output_fails(tmp_path: Path) -> None:
    class PermissionsWithoutOutput(Permissions):
        def allowed(
            self, principal: str, action: str, resource: str, via: str | None = None, profile: str | None = None
        ) -> bool:
            return (action, "/out/" in resource) != ("s3:GetObject", True)

    with running_endpoint(trainable_bucket(), tmp_path, PermissionsWithoutOutput()) as endpoint:
        job = wait_for_job(endpoint, create_job(endpoint))

    assert "Amazon S3 perms missing (GetObject)" in job["failureMessage"]
