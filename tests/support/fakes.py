"""Fakes of AWS clients that unit tests use."""

from __future__ import annotations

import hashlib
import io
import threading
from typing import Any

from botocore.exceptions import ClientError

from distillation.storage import Bucket


class MemoryS3:
    """S3 client in memory, with the operations that ``Bucket`` calls."""

    class exceptions:  # noqa: N801 - boto3's name
        class NoSuchKey(ClientError):
            """Raised for a missing key."""

            def __init__(self) -> None:
                super().__init__({"Error": {"Code": "NoSuchKey"}}, "GetObject")

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.kms_key_arn: str | None = None
        self._lock = threading.Lock()

    def get_object(self, *, Bucket: str, Key: str, Range: str = "") -> dict[str, Any]:  # noqa: N803 - boto3's names
        if Key not in self.objects:
            raise self.exceptions.NoSuchKey
        return {
            "Body": io.BytesIO(self.objects[Key]),
            "ETag": self._etag(Key),
            **({"SSEKMSKeyId": self.kms_key_arn} if self.kms_key_arn else {}),
        }

    def get_bucket_encryption(self, *, Bucket: str) -> dict[str, Any]:  # noqa: N803 - boto3's name
        default = {"KMSMasterKeyID": self.kms_key_arn} if self.kms_key_arn else {}
        return {"ServerSideEncryptionConfiguration": {"Rules": [{"ApplyServerSideEncryptionByDefault": default}]}}

    def put_object(self, *, Key: str, Body: Any, IfNoneMatch: str = "", IfMatch: str = "", **_: Any) -> None:  # noqa: N803
        with self._lock:
            if IfMatch and Key not in self.objects:
                raise ClientError({"Error": {"Code": "NoSuchKey"}}, "PutObject")
            if IfMatch and IfMatch != self._etag(Key):
                raise ClientError({"Error": {"Code": "PreconditionFailed"}}, "PutObject")
            if IfNoneMatch and Key in self.objects:
                raise ClientError({"Error": {"Code": "PreconditionFailed"}}, "PutObject")
            self.objects[Key] = Body if isinstance(Body, bytes) else Body.read()

    def _etag(self, key: str) -> str:
        return f'"{hashlib.md5(self.objects[key]).hexdigest()}"'

    def delete_objects(self, *, Delete: dict[str, Any], **_: Any) -> dict[str, Any]:  # noqa: N803
        for entry in Delete["Objects"]:
            self.objects.pop(entry["Key"], None)
        return {}

    def get_paginator(self, _: str) -> MemoryS3:
        return self

    def paginate(self, *, Prefix: str, **_: Any) -> list[dict[str, Any]]:  # noqa: N803
        contents = [
            {"Key": key, "ETag": f'"{hash(self.objects[key])}"', "Size": len(self.objects[key])}
            for key in sorted(key for key in list(self.objects) if key.startswith(Prefix))
        ]
        return [{"Contents": contents}] if contents else [{}]


class CloudFormationFake:
    """CloudFormation client that returns the given stacks, or reports a missing stack if there are none."""

    def __init__(self, *stacks: dict[str, Any]) -> None:
        self.stacks = stacks

    def describe_stacks(self, StackName: str) -> dict[str, Any]:  # noqa: N803 - boto3's name
        if not self.stacks:
            raise ClientError({"Error": {"Code": "ValidationError", "Message": f"{StackName} does not exist"}}, "D")
        return {"Stacks": list(self.stacks)}


class StepFunctionsExceptions:
    """Exceptions of a Step Functions client."""

    class ExecutionDoesNotExist(Exception):
        """Raised for an execution that does not exist, or whose history has expired."""


def bucket(**objects: bytes) -> Bucket:
    """Return a bucket named ``data`` in memory, with objects keyed by S3 key."""
    client = MemoryS3()
    client.objects.update(objects)
    return Bucket(client, "data")  # type: ignore[arg-type] - only the calls above are made
