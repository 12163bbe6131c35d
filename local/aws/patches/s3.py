"""S3: AccessDenied if a role may not list the bucket or use its KMS key, and the KMS key of AWS."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ministack import app
from ministack.core import iam_evaluator
from ministack.services import s3

from local.aws.identity import CallerIdentity
from local.aws.patches import Patch

_ENCRYPTION_HEADER = "x-amz-server-side-encryption"
_KEY_HEADER = "x-amz-server-side-encryption-aws-kms-key-id"
_s3: Any = s3
_app: Any = app


def _hide_missing_keys(read: Callable[..., Any]) -> Callable[..., Any]:
    def read_or_deny(bucket_name: str, key: str, *args: Any, **kwargs: Any) -> Any:
        response = read(bucket_name, key, *args, **kwargs)
        if response[0] != 404 or _caller_may_list(bucket_name):
            return response
        return _s3._error("AccessDenied", "Access Denied", 403, f"/{bucket_name}/{key}")

    return read_or_deny


def _check_decryption(read: Callable[..., Any]) -> Callable[..., Any]:
    def read_or_deny(bucket_name: str, key: str, *args: Any, **kwargs: Any) -> Any:
        response = read(bucket_name, key, *args, **kwargs)
        return _key_denial(response[1], "kms:Decrypt", f"/{bucket_name}/{key}") or response

    return read_or_deny


def _check_encryption(write: Callable[..., Any]) -> Callable[..., Any]:
    def write_or_deny(bucket_name: str, key: str, *args: Any, **kwargs: Any) -> Any:
        encryption = _s3._bucket_default_sse_headers(bucket_name)
        denial = _key_denial(encryption, "kms:GenerateDataKey", f"/{bucket_name}/{key}")
        return denial or write(bucket_name, key, *args, **kwargs)

    return write_or_deny


def _use_key_of_aws(resolve: Callable[..., Any]) -> Callable[..., Any]:
    def resolve_encryption(headers: Any, bucket_name: str) -> Any:
        if headers.get(_ENCRYPTION_HEADER) == "aws:kms" and not headers.get(_KEY_HEADER):
            return {_ENCRYPTION_HEADER: "aws:kms"}, None
        return resolve(headers, bucket_name)

    return resolve_encryption


def _key_denial(headers: Any, action: str, path: str) -> Any | None:
    """Return an AccessDenied response if the headers name a KMS key that the caller may not use through S3."""
    key_arn = headers.get(_KEY_HEADER)
    if key_arn is None or _caller_may(action, key_arn, via="s3"):
        return None
    message = (
        f"User: {iam_evaluator.caller_arn()} is not authorized to perform: {action} on resource: {key_arn} because no "
        f"identity-based policy allows the {action} action"
    )
    return _s3._error("AccessDenied", message, 403, path)


def _caller_may_list(bucket: str) -> bool:
    return _caller_may("s3:ListBucket", f"arn:aws:s3:::{bucket}")


def _caller_may(action: str, resource_arn: str, via: str | None = None) -> bool:
    """Return whether the role that signed the request may perform an action; the administrator may do everything."""
    caller = iam_evaluator.caller_arn() if _app.AUTH else ""
    if ":assumed-role/" not in caller:
        return True
    role = caller.split(":assumed-role/")[1].split("/")[0]
    return CallerIdentity().allowed(role, action, resource_arn, via)


_READ = ("bucket_name", "key", "headers", "query_params")

# https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html, under Permissions
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html, under Permissions
PATCHES = [
    *(
        Patch(
            "a missing key is AccessDenied for a role that may not list the bucket",
            *(s3, function, _READ),
            _hide_missing_keys,
        )
        for function in ("_get_object", "_head_object")
    ),
    Patch(
        "reading an SSE-KMS object needs kms:Decrypt on its key",
        *(s3, "_get_object", _READ),
        _check_decryption,
    ),
    Patch(
        "writing to an SSE-KMS bucket needs kms:GenerateDataKey on its key",
        *(s3, "_put_object", ("bucket_name", "key", "body", "headers")),
        _check_encryption,
    ),
    # The CDK CLI publishes assets like this to the bucket of its bootstrap stack.
    Patch(
        "an object with SSE-KMS and without a key is encrypted with the account's aws/s3 key, which needs no grant",
        *(s3, "_resolve_sse_write_headers", ("headers", "bucket_name")),
        _use_key_of_aws,
    ),
]
