"""Access: loopback counts as TLS, a Map Run is a resource, and the grants that requests need are recorded."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from ministack import app
from ministack.core import iam_actions, iam_evaluator

from local.aws import grants
from local.aws.patches import Patch


def _trust_loopback(pin: Callable[..., None]) -> Callable[..., None]:
    def pin_origin(source_ip: str, secure_transport: bool) -> None:
        pin(source_ip, secure_transport or ipaddress.ip_address(source_ip).is_loopback)

    return pin_origin


def _match_line_breaks(compile_pattern: Callable[..., Any]) -> Callable[..., Any]:
    @lru_cache(4096)
    def compile_wildcards(pattern: str, ignore_case: bool) -> Any:
        flags = compile_pattern(pattern, ignore_case).flags & re.IGNORECASE
        pieces = ({"*": ".*", "?": "."}.get(character, re.escape(character)) for character in pattern)
        return re.compile("".join(pieces) + r"\Z", flags | re.DOTALL)

    return compile_wildcards


def _find_map_run(extract: Callable[..., str]) -> Callable[..., str]:
    def extract_arn(service: str, method: str, path: str, headers: Any, body: bytes, *args: Any) -> str:
        arn = extract(service, method, path, headers, body, *args)
        return json.loads(body or b"{}").get("mapRunArn", arn) if service == "states" and arn == "*" else arn

    return extract_arn


def _name_role(gather: Callable[..., list[Any]]) -> Callable[..., list[Any]]:
    def gather_role_policies(role_name: str, account_id: str) -> list[Any]:
        return grants.RolePolicies(role_name, gather(role_name, account_id))

    return gather_role_policies


def _record_usage(evaluate: Callable[..., Any]) -> Callable[..., Any]:
    def evaluate_and_record(ctx: Any, policies: list[Any], *limits: list[Any]) -> Any:
        result = evaluate(ctx, policies, *limits)
        # Policies of resources are evaluated with the same function.
        if isinstance(policies, grants.RolePolicies):
            grants.usage.record(policies, ctx, allowed=result.decision == "Allow")
        return result

    return evaluate_and_record


# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html: * matches any characters.
PATCHES = [
    Patch(
        "the wildcards of a policy match a line break in a key",
        *(iam_evaluator, "_fnmatch_compile", ("pattern", "ignore_case")),
        _match_line_breaks,
    ),
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
    Patch(
        "the policies of a role have its name",
        *(iam_evaluator, "_gather_role_policies", ("role_name", "account_id")),
        _name_role,
    ),
    Patch(
        "a request of a role is recorded with the grants that it needs",
        *(iam_evaluator, "evaluate", ("ctx", "policies", "limits")),
        _record_usage,
    ),
]
