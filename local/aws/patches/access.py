"""Access: HTTP on the loopback interface counts as TLS, and a Map Run is the resource of its ListExecutions."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable
from typing import Any

from ministack import app
from ministack.core import iam_actions

from local.aws.patches import Patch


def _trust_loopback(pin: Callable[..., None]) -> Callable[..., None]:
    def pin_origin(source_ip: str, secure_transport: bool) -> None:
        pin(source_ip, secure_transport or ipaddress.ip_address(source_ip).is_loopback)

    return pin_origin


def _find_map_run(extract: Callable[..., str]) -> Callable[..., str]:
    def extract_arn(service: str, method: str, path: str, headers: Any, body: bytes, *args: Any) -> str:
        arn = extract(service, method, path, headers, body, *args)
        return json.loads(body or b"{}").get("mapRunArn", arn) if service == "states" and arn == "*" else arn

    return extract_arn


PATCHES = [
    Patch(
        "a request over loopback satisfies aws:SecureTransport",
        *(app, "pin_request_origin", ("source_ip", "secure_transport")),
        _trust_loopback,
    ),
    Patch(
        "an action on a Map Run is checked on the Map Run",
        *(iam_actions, "extract_resource_arn"),
        ("service", "method", "path", "headers", "body", "query_params", "region", "account_id"),
        _find_map_run,
    ),
]
