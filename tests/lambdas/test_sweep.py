from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
import urllib3

from distillation.errors import InvalidRequest
from distillation.storage import Bucket
from lambdas import sweep
from local.bedrock import Endpoint
from tests.support.bedrock_state import add_resources
from tests.support.fakes import bucket
from tests.support.functions import CONTEXT, Functions


def unreadable_bucket() -> Bucket:
    raise InvalidRequest("no bucket")


def send_request(monkeypatch: pytest.MonkeyPatch, request_type: str) -> dict[str, Any]:
    """Invoke Sweep as the custom resource does; return its answer to CloudFormation."""
    sent: list[tuple[Any, Any]] = []

    def send(*arguments: Any, **options: Any) -> Any:
        sent.append((arguments, options))
        return SimpleNamespace(status=200)

    monkeypatch.setattr(urllib3, "request", send)
    ids = {"StackId": "s", "RequestId": "r", "LogicalResourceId": "l"}
    sweep.handler({"RequestType": request_type, "ResponseURL": "https://x", **ids}, CONTEXT)
    ((arguments, options),) = sent
    assert arguments == ("PUT", "https://x")
    assert options["headers"] == {"content-type": ""}
    answer = json.loads(options["body"])
    assert answer.items() >= (ids | {"PhysicalResourceId": "l"}).items()
    return answer


@pytest.mark.parametrize(
    ("request_type", "status"), [("Create", "SUCCESS"), ("Delete", "SUCCESS"), ("Delete", "FAILED")]
)
def test_cloudformation_is_always_answered(
    endpoint: Endpoint, client: Any, monkeypatch: pytest.MonkeyPatch, request_type: str, status: str
) -> None:
    add_resources(endpoint, "orphan")
    monkeypatch.setenv("STAGE", "dev")
    monkeypatch.setattr(sweep, "data", bucket if status == "SUCCESS" else unreadable_bucket)
    monkeypatch.setattr(sweep, "bedrock", lambda: client)
    answer = send_request(monkeypatch, request_type)

    assert answer["Status"] == status
    assert bool(endpoint.service.custom_models) == ((request_type, status) != ("Delete", "SUCCESS"))
    assert ("delete the stack again" in answer["Reason"]) == (status == "FAILED")


def test_schedule_sweeps_the_stage_and_counts_what_was_deleted(
    endpoint: Endpoint, client: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name = add_resources(endpoint, "orphan")
    monkeypatch.setenv("STAGE", "dev")
    result = Functions(monkeypatch, bedrock=client).invoke("sweep", {"source": "aws.events"})

    assert result == {
        "stopped": [],
        "deleted": [f"deployment {name}", f"model {name}"],
        "kept": [],
        "oldest_deployment_days": 0,
    }
    (metrics,) = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith('{"_aws"')]
    assert metrics["LeftoversRemoved"] == [2]
