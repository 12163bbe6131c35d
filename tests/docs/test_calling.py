from __future__ import annotations

import json
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from distillation.records import Prompt
from docs.generate import ROOT
from local.bedrock import Endpoint
from local.bedrock.service import ACCOUNT
from tests.support.builders import any_run, converse_response
from tests.support.local_bedrock import (
    Permissions,
    client,
    converse,
    create_deployment,
    create_job,
    running_endpoint,
    trainable_bucket,
    wait_for_job,
)

PAGE = (ROOT / "docs" / "calling.md").read_text("utf-8")
EXAMPLE_DEPLOYMENT = "arn:aws:bedrock:us-east-1:ACCOUNT:custom-model-deployment/ID"


class CallerPermissions(Permissions):
    """Identity of a caller with all permissions, or once ``statements`` is set with those of a policy."""

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
    """Return the statements of the policy for the callers of a deployment."""
    text = PAGE.partition("```json\n")[2].partition("```")[0]
    policy = json.loads(text.replace(EXAMPLE_DEPLOYMENT, deployment).replace("ACCOUNT", ACCOUNT))
    assert policy["Version"] == "2012-10-17"
    return policy["Statement"]


def active_deployment(endpoint: Endpoint) -> str:
    """Train and deploy a model; return the ARN of its active deployment."""
    deployment = create_deployment(endpoint, wait_for_job(endpoint, create_job(endpoint))["outputModelArn"])
    for _ in range(2):
        client(endpoint, "bedrock").get_custom_model_deployment(customModelDeploymentIdentifier=deployment)
    return deployment


def test_policy_of_the_page_has_exactly_the_permissions_that_a_caller_of_a_deployment_needs(tmp_path: Path) -> None:
    permissions, s3 = CallerPermissions(), trainable_bucket()
    image = {"bytes": s3.objects["images/900/1.jpg"]}
    with running_endpoint(s3, tmp_path, permissions) as endpoint:
        deployment = active_deployment(endpoint)
        statements = permissions.statements = caller_policy(deployment)

        assert converse(endpoint, deployment, source=image)["stopReason"] == "end_turn"
        assert len(statements) > 1
        for statement in statements:
            permissions.statements = [other for other in statements if other is not statement]
            with pytest.raises(ClientError, match=statement["Action"]):
                converse(endpoint, deployment, source=image)


def test_snippet_and_policy_of_the_page_name_the_same_deployment() -> None:
    assert PAGE.count(EXAMPLE_DEPLOYMENT) == 2


SNIPPET = PAGE.partition("```python\n")[2].partition("```")[0]


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stubber]:
    """Yield a stubber of the client that the code creates; its folder has request.json and photo.jpg."""
    run = any_run().model_copy(update={"student_prompt": Prompt(system="short", user="the student's")})
    (tmp_path / "request.json").write_text(run.model_dump_json(), "utf-8")
    (tmp_path / "photo.jpg").write_bytes(b"jpeg")
    monkeypatch.chdir(tmp_path)
    runtime = boto3.client("bedrock-runtime")
    monkeypatch.setattr(boto3, "client", lambda *_, **__: runtime)
    with Stubber(runtime) as stubber:
        yield stubber


def expect_question(stubber: Stubber, model: str, prompt: Prompt, text: str, stop_reason: str = "end_turn") -> None:
    content = [{"text": prompt.user}, {"image": {"format": "jpeg", "source": {"bytes": b"jpeg"}}}]
    question = {
        "modelId": model,
        "system": [{"text": prompt.system}],
        "messages": [{"role": "user", "content": content}],
        "inferenceConfig": {"maxTokens": 400, "temperature": 0.00001},
    }
    stubber.add_response("converse", converse_response(text, stop_reason), question)


@pytest.mark.parametrize(
    ("text", "stop_reason"),
    [
        ("cat, sofa, win", "max_tokens"),
        ("", "end_turn"),
        ("I'm sorry, I can't help with this image.", "end_turn"),
        ("Here is a long sentence about a cat on a sofa.", "end_turn"),
        ("Sorry", "content_filtered"),
    ],
)
def test_code_of_the_page_asks_the_teacher_if_the_answer_of_the_tuned_model_is_not_valid(
    asked: Stubber, capsys: pytest.CaptureFixture[str], text: str, stop_reason: str
) -> None:
    student_prompt = Prompt(system="short", user="the student's")
    expect_question(asked, EXAMPLE_DEPLOYMENT, student_prompt, text, stop_reason)
    expect_question(asked, "amazon.nova-pro-v1:0", any_run().prompt, "lamp, table")
    exec(SNIPPET, {})

    asked.assert_no_pending_responses()
    assert capsys.readouterr().out == "['lamp', 'table']\n"


def test_code_of_the_page_prints_the_keywords_of_the_tuned_model_as_a_list(
    asked: Stubber, capsys: pytest.CaptureFixture[str]
) -> None:
    expect_question(asked, EXAMPLE_DEPLOYMENT, Prompt(system="short", user="the student's"), "cat,  red sofa\nwindow")
    exec(SNIPPET, {})

    assert capsys.readouterr().out == "['cat', 'red sofa', 'window']\n"
