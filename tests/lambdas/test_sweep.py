from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
import urllib3

from distillation import keys
from distillation.errors import DistillationError, InvalidRequest
from distillation.serving.execution_state import UNKNOWN_EXECUTION
from distillation.storage import Bucket
from lambdas import sweep
from local.bedrock import Endpoint
from tests.support.bedrock_state import add_resources, claimed_run
from tests.support.fakes import bucket
from tests.support.lambda_functions import CONTEXT, Functions


def unreadable_bucket() -> Bucket:
    raise InvalidRequest("no bucket")


def bucket_with_failed_run() -> Bucket:
    return bucket(**claimed_run("failed"))


def send_request(monkeypatch: pytest.MonkeyPatch, request_type: str) -> bytes:
    """Invoke Sweep as the custom resource does; return the body of its answer to CloudFormation."""
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
    assert json.loads(options["body"]).items() >= (ids | {"PhysicalResourceId": "l"}).items()
    return options["body"]


@pytest.mark.parametrize(
    ("request_type", "status"), [("Create", "SUCCESS"), ("Delete", "SUCCESS"), ("Delete", "FAILED")]
)
def test_cloudformation_is_always_answered(
    endpoint: Endpoint, client: Any, monkeypatch: pytest.MonkeyPatch, request_type: str, status: str
) -> None:
    add_resources(endpoint, "failed", 1)
    unknown = add_resources(endpoint, "unknown", 2, data_bucket="earlier-data")
    monkeypatch.setenv("STAGE", "dev")
    monkeypatch.setattr(sweep, "data", bucket_with_failed_run if status == "SUCCESS" else unreadable_bucket)
    monkeypatch.setattr(sweep, "bedrock", lambda: client)
    answer = json.loads(send_request(monkeypatch, request_type))

    assert answer["Status"] == status
    models = [model["modelName"] for model in endpoint.service.custom_models.values()]
    assert models == ([unknown] if (request_type, status) == ("Delete", "SUCCESS") else ["failed-n1-a1", unknown])
    assert ("Delete the stack again" in answer["Reason"]) == (status == "FAILED")


@pytest.mark.parametrize(
    "characters",
    ["x", "é", "\N{GRINNING FACE}", '"\n', "\udcff"],
    ids=["one byte", "two bytes", "four bytes", "escaped", "not encodable"],
)
def test_answer_with_a_long_reason_stays_below_4_kb(monkeypatch: pytest.MonkeyPatch, characters: str) -> None:
    def fail(_: Any) -> None:
        raise InvalidRequest(characters * 5000)

    monkeypatch.setattr(sweep, "_sweep", fail)
    # pytest-xdist cannot send a captured log with a lone surrogate to its controller.
    monkeypatch.setattr(sweep.logger, "exception", lambda *_: None)
    body = send_request(monkeypatch, "Delete")
    reason = json.loads(body.decode())["Reason"]

    assert 4080 <= len(body) < 4096
    expected = f"Delete the stack again to continue. InvalidRequest: {characters * 5000}".replace("\udcff", "?")
    assert expected.startswith(reason)


def test_schedule_sweeps_the_stage_and_counts_what_was_deleted_and_what_is_unknown(
    endpoint: Endpoint, client: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name = add_resources(endpoint, "failed", 1)
    unknown = add_resources(endpoint, "unknown", 2, data_bucket="earlier-data")
    monkeypatch.setenv("STAGE", "dev")
    monkeypatch.setattr(sweep, "execution_state", lambda *_: UNKNOWN_EXECUTION)
    functions = Functions(monkeypatch, bedrock=client)
    for key, body in claimed_run("failed").items():
        functions.data.write(key, body)
    result = functions.invoke("sweep", {"source": "aws.events"})

    assert result == {
        "stopped": [],
        "deleted": [f"deployment {name}", f"model {name}"],
        "kept": [],
        "oldest_deployment_days": 0,
        "unknown": [f"deployment {unknown}", f"model {unknown}"],
        "problems": [],
    }
    (metrics,) = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith('{"_aws"')]
    assert (metrics["LeftoversRemoved"], metrics["UnknownResources"]) == ([2], [2])


def test_run_that_cannot_be_read_is_reported_and_stops_neither_the_sweep_nor_the_deletion_of_the_stack(
    endpoint: Endpoint, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd, dropped = add_resources(endpoint, "odd", 1), add_resources(endpoint, "dropped", 2)
    objects = claimed_run("dropped") | {keys.request_key("odd"): b"{"}
    monkeypatch.setenv("STAGE", "dev")
    monkeypatch.setattr(sweep, "execution_state", lambda *_: UNKNOWN_EXECUTION)
    functions = Functions(monkeypatch, bedrock=client)
    functions.data.client.objects.update(objects)  # type: ignore[attr-defined]
    with pytest.raises(DistillationError, match="run odd is left alone"):
        functions.invoke("sweep", {"source": "aws.events"})

    assert [model["modelName"] for model in endpoint.service.custom_models.values()] == [odd]
    add_resources(endpoint, "dropped", 3)
    answer = json.loads(send_request(monkeypatch, "Delete"))
    assert answer["Status"] == "SUCCESS"
    assert "run odd is left alone" in answer["Reason"]
    assert dropped not in str(endpoint.service.custom_models)
    assert len(endpoint.service.custom_models) == 1
