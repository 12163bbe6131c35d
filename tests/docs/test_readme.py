from __future__ import annotations

import json
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.bedrock import Endpoint
from local.bedrock.service import ACCOUNT
from tests.support.local_bedrock import (
    Rights,
    client,
    converse,
    create_deployment,
    create_job,
    running_endpoint,
    trainable_bucket,
    wait_for_job,
)

README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
EXAMPLE_DEPLOYMENT = "arn:aws:bedrock:us-east-1:ACCOUNT:custom-model-deployment/ID"


class CallerRights(Rights):
    """Identity of a caller with all rights, or once ``statements`` is set with those of a policy."""

    statements: list[dict[str, Any]] | None = None

    def allowed(
        self, principal: str, action: str, resource: str, via: str | None = None, profile: str | None = None
    ) -> bool:
        """Return whether a statement of the policy has the action and the resource."""
        return self.statements is None or any(
            statement["Effect"] == "Allow"
            and statement["Action"] == action
            and fnmatchcase(resource, statement["Resource"])
            for statement in self.statements
        )


def caller_policy(deployment: str) -> list[dict[str, Any]]:
    """Return the statements of the README's policy for the callers of a deployment."""
    text = README.partition("```json\n")[2].partition("```")[0]
    policy = json.loads(text.replace(EXAMPLE_DEPLOYMENT, deployment).replace("ACCOUNT", ACCOUNT))
    assert policy["Version"] == "2012-10-17"
    return policy["Statement"]


def active_deployment(endpoint: Endpoint) -> str:
    """Train and deploy a model; return the ARN of its active deployment."""
    deployment = create_deployment(endpoint, wait_for_job(endpoint, create_job(endpoint))["outputModelArn"])
    for _ in range(2):
        client(endpoint, "bedrock").get_custom_model_deployment(customModelDeploymentIdentifier=deployment)
    return deployment


def test_policy_of_the_readme_has_exactly_the_rights_that_a_caller_of_a_deployment_needs(tmp_path: Path) -> None:
    rights, s3 = CallerRights(), trainable_bucket()
    image = {"bytes": s3.objects["images/900/1.jpg"]}
    with running_endpoint(s3, tmp_path, rights) as endpoint:
        deployment = active_deployment(endpoint)
        statements = rights.statements = caller_policy(deployment)

        assert converse(endpoint, deployment, source=image)["stopReason"] == "end_turn"
        assert len(statements) > 1
        for statement in statements:
            rights.statements = [other for other in statements if other is not statement]
            with pytest.raises(ClientError, match=statement["Action"]):
                converse(endpoint, deployment, source=image)


def test_snippet_and_policy_of_the_readme_name_the_same_deployment() -> None:
    assert README.count(EXAMPLE_DEPLOYMENT) == 2
