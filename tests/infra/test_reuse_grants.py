"""Grants for models that survive failures: who may find, tag and describe them, and who looks at executions."""

from __future__ import annotations

import json

import pytest
from aws_cdk.assertions import Template

from tests.infra.template_readers import actions, role_statements

_GRANTS = {
    "Customize": [
        ("bedrock:GetCustomModel", ":custom-model/*"),
        ("bedrock:ListCustomModels", '"*"'),
        ("bedrock:ListTagsForResource", ":custom-model/*"),
        ("bedrock:TagResource", ":custom-model/*"),
        ("s3:GetObject", "runs/*/dataset/*"),
        ("states:DescribeExecution", ":execution:*"),
    ],
    "Deploy": [
        ("bedrock:DeleteCustomModelDeployment", ":custom-model-deployment/*"),
        ("states:DescribeExecution", ":execution:*"),
    ],
    "CleanUp": [("bedrock:TagResource", ":custom-model/*"), ("states:DescribeExecution", ":execution:*")],
    "Sweep": [("bedrock:TagResource", ":custom-model/*"), ("states:DescribeExecution", ":execution:*")],
    "Notify": [("bedrock:ListCustomModels", '"*"'), ("bedrock:ListTagsForResource", ":custom-model/*")],
    "RecordFailure": [("bedrock:ListCustomModels", '"*"'), ("bedrock:ListTagsForResource", ":custom-model/*")],
}


@pytest.mark.parametrize(
    ("step", "action", "resource"), [(step, *grant) for step, grants in _GRANTS.items() for grant in grants]
)
def test_step_may_find_tag_or_describe_what_reuse_and_stops_need(
    pipeline: Template, step: str, action: str, resource: str
) -> None:
    statements = role_statements(pipeline, f"{step}Role")

    assert any(action in actions([s]) and resource in json.dumps(s["Resource"]) for s in statements)
