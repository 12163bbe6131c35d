"""CloudFormation: the default encryption of a bucket, and requests that return when the operation has ended."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from xml.etree import ElementTree

from ministack.services import cloudformation, s3
from ministack.services.cloudformation import provisioners

from local.aws.patches import Patch

OPERATION_SECONDS = 5
"""Seconds that a request waits for the operation on a stack that it started."""
_s3: Any = s3


def _wait_for_operation(handle: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    async def handle_request(*args: Any) -> Any:
        before = asyncio.all_tasks()
        response = await handle(*args)
        if operations := asyncio.all_tasks() - before:
            await asyncio.wait(operations, timeout=OPERATION_SECONDS)
        return response

    return handle_request


def _apply_encryption(apply: Callable[..., None]) -> Callable[..., None]:
    def apply_configurations(name: str, props: dict[str, Any], old_props: dict[str, Any] | None = None) -> None:
        apply(name, props, old_props)
        if "BucketEncryption" in props:
            _s3._put_bucket_encryption(name, _encryption_xml(props["BucketEncryption"]))
        elif old_props and "BucketEncryption" in old_props:
            _s3._delete_bucket_encryption(name)

    return apply_configurations


def _encryption_xml(encryption: dict[str, Any]) -> bytes:
    """Return a template's ``BucketEncryption`` as the body of PutBucketEncryption."""
    root = ElementTree.Element("ServerSideEncryptionConfiguration", xmlns=_s3.S3_NS)
    for rule in encryption["ServerSideEncryptionConfiguration"]:
        element = ElementTree.SubElement(root, "Rule")
        default = ElementTree.SubElement(element, "ApplyServerSideEncryptionByDefault")
        for name, value in rule["ServerSideEncryptionByDefault"].items():
            ElementTree.SubElement(default, name).text = value
        ElementTree.SubElement(element, "BucketKeyEnabled").text = str(rule.get("BucketKeyEnabled", False)).lower()
    return ElementTree.tostring(root)


PATCHES = [
    Patch(
        "a bucket has the default encryption of its template",
        *(provisioners, "_s3_apply_configurations", ("name", "props", "old_props")),
        _apply_encryption,
    ),
    # The CDK CLI polls a stack that is in progress every 5 seconds.
    Patch(
        "a stack operation of less than 5 seconds has ended when its request returns",
        *(cloudformation, "handle_request", ("method", "path", "headers", "body", "query_params")),
        _wait_for_operation,
    ),
]
