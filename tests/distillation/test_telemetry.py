"""What Label and Predict tell about themselves: metrics of a batch, and one line of log per answer."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from distillation import keys, telemetry
from distillation.records import Answer, Usage
from distillation.storage import Bucket
from lambdas import label as label
from lambdas import predict as predict
from lambdas import runtime
from tests.support.bedrock import WORDS
from tests.support.builders import any_run
from tests.support.fakes import bucket

IMAGES = [f"{number:064x}" for number in range(3)]
CONTEXT: Any = SimpleNamespace(
    function_name="f",
    memory_limit_in_mb=1,
    invoked_function_arn="arn:aws:lambda:f",
    aws_request_id="r",
    get_remaining_time_in_millis=lambda: 900_000,
)


class Lines(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record.__dict__)


@pytest.fixture
def logged() -> Iterator[list[dict[str, Any]]]:
    lines, behind = Lines(), logging.getLogger(telemetry.logger.service)
    behind.addHandler(lines)
    yield lines.records
    behind.removeHandler(lines)


@pytest.fixture
def data(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """A claimed run with one label; of two more images one is labelled and one refused."""
    run, data = any_run(), bucket()
    kept = Answer(
        model="m",
        image=IMAGES[0],
        text=WORDS,
        stop_reason="end_turn",
        usage=Usage(input_tokens=9, output_tokens=9),
        latency_ms=1,
    )
    data.write(keys.request_key(run.name), run.model_dump_json().encode())
    data.write(keys.label_key(run.teacher.id, IMAGES[0], 0), kept.model_dump_json().encode())
    client = boto3.client("bedrock-runtime")
    for module in (label, predict, runtime):
        monkeypatch.setattr(module, "data", lambda: data)
        monkeypatch.setattr(module, "bedrock_runtime", lambda: client)
    with Stubber(client) as bedrock:
        bedrock.add_response(
            "converse",
            {
                "output": {"message": {"role": "assistant", "content": [{"text": WORDS}]}},
                "stopReason": "end_turn",
                "usage": {"inputTokens": 1000, "outputTokens": 100, "totalTokens": 1100},
                "metrics": {"latencyMs": 5},
            },
        )
        bedrock.add_client_error("converse", "ValidationException", "bad image")
        yield data


def batch(images: list[str], **more: Any) -> dict[str, Any]:
    return {
        "BatchInput": {"run": any_run().name, "concurrent_batches": 1, **more},
        "Items": [{"image": image} for image in images],
    }


def metrics_of(printed: str) -> dict[str, float]:
    (found,) = [json.loads(line) for line in printed.splitlines() if line.startswith('{"_aws"')]
    return {name: sum(value) for name, value in found.items() if isinstance(value, list)}


def test_batch_of_labels_counts_what_was_asked_found_refused_and_used(
    data: Bucket, capsys: pytest.CaptureFixture[str]
) -> None:
    telemetry.metrics.clear_metrics()
    assert label.handler(batch(IMAGES), CONTEXT) == {"ok": 2, "refused": 1}
    assert metrics_of(capsys.readouterr().out) == {
        "ImagesLabelled": 1,
        "LabelsReused": 1,
        "LabelsRefused": 1,
        "CallsThrottled": 0,
        "CallsFailed": 0,
        "InputTokens": 1000,
        "OutputTokens": 100,
    }


def test_batch_of_predictions_counts_the_same(data: Bucket, capsys: pytest.CaptureFixture[str]) -> None:
    telemetry.metrics.clear_metrics()
    predict.handler(batch(IMAGES[:1], models=[]), CONTEXT)
    counted = metrics_of(capsys.readouterr().out)

    assert (counted["ImagesPredicted"], counted["PredictionsRefused"]) == (1, 1)
    assert (counted["InputTokens"], counted["OutputTokens"]) == (1000, 100)


def test_each_item_is_one_line_with_run_image_and_reason_and_nothing_of_image_or_prompt(
    data: Bucket, logged: list[dict[str, Any]]
) -> None:
    label.handler(batch(IMAGES), CONTEXT)
    lines = [record for record in logged if record["msg"] == "answer"]

    assert sorted(line["image"] for line in lines) == IMAGES
    assert {line["run"] for line in lines} == {"holiday-1"}
    assert sorted(str(line["reason"]) for line in lines) == ["None", "None", "ValidationException: bad image"]
    told = str(logged)
    assert any_run().prompt.user not in told
    assert any_run().prompt.system not in told
