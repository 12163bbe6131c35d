"""What ``distill doctor`` makes of what AWS says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, NoCredentialsError

from cli import doctor
from cli.doctor import Finding, findings

SETTINGS = json.loads((Path(__file__).parents[2] / "cdk.json").read_text())["context"]["stages"]["dev"]


class Account:
    """A stage and all clients of it; what is not overridden is in order."""

    name, region = "dev", "us-east-1"

    def __init__(self, **answers: Any) -> None:
        self.answers = answers

    def client(self, _: str) -> Account:
        return self

    def __getattr__(self, operation: str) -> Any:
        def answer(**_: Any) -> Any:
            given = self.answers.get(operation, SOUND[operation])
            if isinstance(given, Exception):
                raise given
            return given

        return answer


MODEL = {
    "agreementAvailability": {"status": "AVAILABLE"},
    "authorizationStatus": "AUTHORIZED",
    "entitlementAvailability": "AVAILABLE",
    "regionAvailability": "AVAILABLE",
}
SOUND = {
    "get_caller_identity": {"Arn": "arn:aws:iam::1:user/me"},
    "describe_stacks": {
        "Stacks": [
            {
                "StackStatus": "UPDATE_COMPLETE",
                "Outputs": [{"OutputKey": "BootstrapVersion", "OutputValue": "30"}],
            }
        ]
    },
    "get_foundation_model_availability": MODEL,
    "get_foundation_model": {"modelDetails": {"modelLifecycle": {"status": "ACTIVE"}}},
    "get_service_quota": {"Quota": {"Value": 100}},
}


ABSENT = ClientError({"Error": {"Code": "ValidationError", "Message": "Stack with id S does not exist"}}, "Operation")


def refused(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "why"}}, "Operation")


@pytest.fixture(autouse=True)
def node(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_node", lambda: "v22.1.0")


def found(**answers: Any) -> dict[str, Finding]:
    account: Any = Account(**answers)
    return {finding.what: finding for finding in findings(account, SETTINGS)}


def test_stage_in_order_has_nothing_bad() -> None:
    assert {finding.state for finding in found().values()} == {"good"}


@pytest.mark.parametrize(
    ("answers", "what", "state", "remedy"),
    [
        ({"get_caller_identity": NoCredentialsError()}, "credentials", "bad", "aws configure"),
        ({"describe_stacks": ABSENT}, "CDK bootstrap", "bad", "cdk bootstrap"),
        ({"describe_stacks": ABSENT}, "stack Distill-dev-Pipeline", "bad", "cdk deploy"),
        ({"describe_stacks": refused("AccessDenied")}, "stack Distill-dev-Pipeline", "unknown", "could not be asked"),
        (
            {"get_foundation_model_availability": MODEL | {"authorizationStatus": "NOT_AUTHORIZED"}},
            "model amazon.nova-lite-v1:0",
            "bad",
            "Model access",
        ),
        (
            {"get_foundation_model": {"modelDetails": {"modelLifecycle": {"status": "LEGACY"}}}},
            "model amazon.nova-lite-v1:0",
            "bad",
            "name another in cdk.json",
        ),
        ({"get_service_quota": {"Quota": {"Value": 0}}}, "quota custom models in the account", "bad", "L-CB5B847D"),
        ({"get_service_quota": refused("AccessDeniedException")}, "quota custom models in the account", "unknown", ""),
        ({"get_service_quota": refused("400")}, "quota custom models in the account", "unknown", ""),
    ],
)
def test_what_is_wrong_comes_with_what_to_do(answers: dict[str, Any], what: str, state: str, remedy: str) -> None:
    finding = found(**answers)[what]

    assert finding.state == state
    assert remedy in finding.remedy


@pytest.mark.parametrize("version", [None, "v20.20.2"])
def test_node_that_is_missing_or_old_is_bad(monkeypatch: pytest.MonkeyPatch, version: str | None) -> None:
    monkeypatch.setattr(doctor, "_node", lambda: version)

    assert found()["Node.js for the CDK"].state == "bad"


def test_without_credentials_nothing_else_is_asked() -> None:
    assert list(found(get_caller_identity=NoCredentialsError()))[-1] == "credentials"
