"""S3: AccessDenied for a missing key if the role may not list the bucket."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ministack import app
from ministack.core import iam_evaluator
from ministack.services import s3

from local.aws.identity import CallerIdentity
from local.aws.patches import Patch

_s3: Any = s3
_app: Any = app


def _hide_missing_keys(read: Callable[..., Any]) -> Callable[..., Any]:
    def read_or_deny(bucket_name: str, key: str, *args: Any, **kwargs: Any) -> Any:
        response = read(bucket_name, key, *args, **kwargs)
        if response[0] != 404 or _caller_may_list(bucket_name):
            return response
        return _s3._error("AccessDenied", "Access Denied", 403, f"/{bucket_name}/{key}")

    return read_or_deny


def _caller_may_list(bucket: str) -> bool:
    caller = iam_evaluator.caller_arn() if _app.AUTH else ""
    if ":assumed-role/" not in caller:
        return True
    role = caller.split(":assumed-role/")[1].split("/")[0]
    return CallerIdentity().allowed(role, "s3:ListBucket", f"arn:aws:s3:::{bucket}")


# https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html, under Permissions
PATCHES = [
    Patch(
        "a missing key is AccessDenied for a role that may not list the bucket",
        *(s3, function, ("bucket_name", "key", "headers", "query_params")),
        _hide_missing_keys,
    )
    for function in ("_get_object", "_head_object")
]
