"""The handlers, one after the other, give what the state machine's definition selects from them."""

from __future__ import annotations

import importlib
import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from PIL import Image

from lambdas.shared.objects import Objects
from tests.support.stores import bucket

DEFINITION = json.loads((Path(__file__).parents[2] / "statemachine/distillation.asl.json").read_text())
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

    def __init__(self, monkeypatch: pytest.MonkeyPatch, photos: Objects, bedrock: Any) -> None:
        self.data = bucket()
        self._patch, self._photos, self._bedrock = monkeypatch, photos, bedrock

    def call(self, step: str, event: dict[str, Any]) -> dict[str, Any]:
        module = importlib.import_module(f"lambdas.{step}.handler")
        environment = importlib.import_module("lambdas.shared.environment")
        parts = {"data": self.data, "photos": self._photos, "bedrock_runtime": self._bedrock}
        for name, value in parts.items():
            for owner in (module, environment):
                if hasattr(owner, name):
                    self._patch.setattr(owner, name, lambda value=value: value)
        return json.loads(json.dumps(module.handler(event, CONTEXT)))


def selected(state: str) -> set[str]:
    return {name.removesuffix(".$") for name in DEFINITION["States"][state]["ResultSelector"]}


def test_every_step_hands_over_what_the_next_one_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAGE_DEFAULTS", json.dumps(STAGE))
    photos = bucket(**{f"holiday/{number}.jpg": photo(number) for number in range(30)})
    client = boto3.client("bedrock-runtime")
    with Stubber(client) as stubber:
        for _ in range(30):
            answer = {
                "output": {"message": {"role": "assistant", "content": [{"text": KEYWORDS}]}},
                "stopReason": "end_turn",
                "usage": {"inputTokens": 1, "outputTokens": 1, "totalTokens": 2},
                "metrics": {"latencyMs": 1},
            }
            stubber.add_response("converse", answer)
        steps = Steps(monkeypatch, photos, client)
        start = {"input": {"collection": "holiday/"}, "execution": "arn:e"}

        state = steps.call("prepare", start)
        assert steps.call("prepare", start) == state
        assert steps.call("prepare", start | {"execution": "arn:other"})["claimed_by"] is None
        listing = steps.call("await_upload", {"collection": "holiday/", "previous": ""})
        assert set(listing) == selected("AwaitUpload")
        assert steps.call("await_upload", {"collection": "holiday/", "previous": listing["digest"]})["settled"]
        batch = {"BatchInput": {"run": state["run"]}, "Items": list(photos.listing("holiday/"))}
        assert steps.call("resize", batch) == {"ok": 30, "refused": 0}
        split = steps.call("split", {"run": state["run"]})
        assert set(split) == selected("Split")
        sized = {"run": state["run"], "sizes": split["sizes"]}
        assert set(steps.call("estimate", sized)) == selected("Estimate")
        images = list(steps.data.read_lines(split["to_label_key"]))
        labelled = steps.call("label", {"BatchInput": {"run": state["run"], "at_once": 1}, "Items": images})
        assert labelled == {"ok": 30, "refused": 0}
        written = steps.call("write_dataset", sized)
        assert set(written) == selected("WriteDataset")
        checked = steps.call("validate_dataset", sized | {"sizes": written["sizes"]})
        assert set(checked) == selected("ValidateDataset")
        stopped = steps.call("evaluate", {"run": state["run"], "state": {}})
        assert set(stopped) == selected("Evaluate")
        assert b"<html" in steps.data.read(stopped["report"])
