"""The handlers, one after the other, give what the state machine's definition selects from them."""

from __future__ import annotations

import importlib
import io
import json
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from PIL import Image

from distillation.storage import Bucket
from infra.definition import render
from tests.support.fakes import bucket

DEFINITION = json.loads(render())
KEYWORDS = ", ".join(f"thing {number}" for number in range(15))
STAGE = {
    "account": "000000000000",
    "concurrency": {"resize": 1, "label": 1, "predict": 1},
    "images_per_batch": 100,
    "region": "us-east-1",
    "students": ["amazon.nova-lite-v1:0"],
    "teachers": ["amazon.nova-pro-v1:0"],
}
CONTEXT = SimpleNamespace(
    function_name="f",
    memory_limit_in_mb=1,
    invoked_function_arn="arn:aws:lambda:f",
    aws_request_id="r",
    get_remaining_time_in_millis=lambda: 900_000,
)


def photo(number: int) -> bytes:
    output = io.BytesIO()
    Image.new("RGB", (60, 40), (number * 8, 90, 255 - number * 8)).save(output, "JPEG")
    return output.getvalue()


class Steps:
    """Calls handlers with buckets in memory."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, photos: Bucket, **clients: Any) -> None:
        self.data = bucket()
        self._patch, self._photos, self._clients = monkeypatch, photos, clients

    def call(self, step: str, event: dict[str, Any]) -> dict[str, Any]:
        module = importlib.import_module(f"lambdas.{step}")
        environment = importlib.import_module("lambdas.runtime")
        parts = {"data": self.data, "photos": self._photos, **self._clients}
        for name, value in parts.items():
            for owner in (module, environment):
                if hasattr(owner, name):
                    self._patch.setattr(owner, name, lambda value=value: value)
        return json.loads(json.dumps(module.handler(event, CONTEXT)))


def selected(state: str) -> set[str]:
    return {name.removesuffix(".$") for name in DEFINITION["States"][state]["ResultSelector"]}


def ready(bedrock: Stubber, quotas: Stubber, times: int) -> None:
    """Let a check before the claim find all well, so many times."""
    model = {"modelArn": "arn:aws:bedrock:us-east-1::foundation-model/x.y", "modelId": "x.y"}
    for _ in range(times):
        bedrock.add_response("get_foundation_model", {"modelDetails": model})
        bedrock.add_response("list_custom_models", {})
        for _ in range(3):
            quotas.add_client_error("get_service_quota", "AccessDeniedException")


def test_every_step_hands_over_what_the_next_one_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAGE_DEFAULTS", json.dumps(STAGE))
    photos = bucket(**{f"holiday/{number}.jpg": photo(number) for number in range(30)})
    client, bedrock, quotas = (boto3.client(name) for name in ("bedrock-runtime", "bedrock", "service-quotas"))
    with Stubber(client) as stubber, Stubber(bedrock) as jobs, Stubber(quotas) as limits:
        ready(jobs, limits, times=2)
        for _ in range(32):
            answer = {
                "output": {"message": {"role": "assistant", "content": [{"text": KEYWORDS}]}},
                "stopReason": "end_turn",
                "usage": {"inputTokens": 1, "outputTokens": 1, "totalTokens": 2},
                "metrics": {"latencyMs": 1},
            }
            stubber.add_response("converse", answer)
        steps = Steps(monkeypatch, photos, bedrock_runtime=client, bedrock=bedrock, service_quotas=quotas)
        start = {"input": {"collection": "holiday/"}, "execution": "arn:e"}

        state = steps.call("prepare", start)
        assert steps.call("prepare", start) == state  # A claimed run is not checked again.
        assert steps.call("prepare", start | {"execution": "arn:other"})["claimed_by"] is None
        listing = steps.call("await_upload", {"collection": "holiday/", "previous": ""})
        assert set(listing) == selected("AwaitUpload")
        assert steps.call("await_upload", {"collection": "holiday/", "previous": listing["digest"]})["settled"]
        batch = {"BatchInput": {"run": state["run"]}, "Items": list(photos.list("holiday/"))}
        assert steps.call("resize", batch) == {"ok": 30, "refused": 0}
        split = steps.call("split", {"run": state["run"]})
        assert set(split) == selected("Split")
        sized = {"run": state["run"], "sizes": split["sizes"]}
        assert set(steps.call("estimate", sized)) == selected("Estimate")
        images = list(steps.data.read_lines(split["to_label_key"]))
        labelled = steps.call("label", {"BatchInput": {"run": state["run"], "concurrent_batches": 1}, "Items": images})
        assert labelled == {"ok": 30, "refused": 0}
        written = steps.call("write_dataset", sized)
        assert set(written) == selected("WriteDataset")
        checked = steps.call("validate_dataset", sized | {"sizes": written["sizes"]})
        assert set(checked) == selected("ValidateDataset")
        stopped = steps.call("evaluate", {"run": state["run"], "state": {}})
        assert set(stopped) == selected("Evaluate")
        assert b"<html" in steps.data.read(stopped["report_key"])


def test_all_is_checked_before_a_model_takes_over_and_nothing_of_training_before_one_is_applied(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("STAGE_DEFAULTS", json.dumps(STAGE))
    module = importlib.import_module("lambdas.prepare")
    checked: list[str | None] = []
    monkeypatch.setattr(module, "check_account", lambda run, *_: checked.append(run.request.replace))
    monkeypatch.setattr(module, "with_tuned_model", lambda run, *_: run)
    monkeypatch.setattr(module, "with_replaced_deployment", lambda run, *_: run)
    # Clients are made, and never asked.
    bedrock, runtime, quotas = (boto3.client(name) for name in ("bedrock", "bedrock-runtime", "service-quotas"))
    steps = Steps(monkeypatch, bucket(), bedrock=bedrock, bedrock_runtime=runtime, service_quotas=quotas)

    steps.call("prepare", {"input": {"collection": "holiday/", "replace": "earlier"}, "execution": "arn:1"})
    steps.call("prepare", {"input": {"collection": "holiday/", "apply": "earlier"}, "execution": "arn:2"})

    assert checked == ["earlier"]
