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
from lambdas import label, predict, runtime
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


class RecordingHandler(logging.Handler):
    """Logging handler that stores the fields of each record."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record.__dict__)


@pytest.fixture
def logged() -> Iterator[list[dict[str, Any]]]:
    handler, logger = RecordingHandler(), logging.getLogger(telemetry.logger.service)
    logger.addHandler(handler)
    yield handler.records
    logger.removeHandler(handler)


@pytest.fixture
def data(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """Return a bucket with a claimed run and one label; Bedrock answers about one more image and refuses another."""
    run, data = any_run(), bucket()
    label_of_first_image = Answer(
        model="m",
        image=IMAGES[0],
        text=WORDS,
        stop_reason="end_turn",
        usage=Usage(input_tokens=9, output_tokens=9),
        latency_ms=1,
    )
    data.write(keys.request_key(run.name), run.model_dump_json().encode())
    data.write(keys.label_key(run.teacher.id, IMAGES[0], 0), label_of_first_image.model_dump_json().encode())
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


def batch_event(images: list[str], **batch_input: Any) -> dict[str, Any]:
    return {
        "BatchInput": {"run": any_run().name, "concurrent_batches": 1, **batch_input},
        "Items": [{"image": image} for image in images],
    }


def metrics_of(printed: str) -> dict[str, float]:
    (document,) = [json.loads(line) for line in printed.splitlines() if line.startswith('{"_aws"')]
    return {name: sum(value) for name, value in document.items() if isinstance(value, list)}


def test_label_batch_counts_new_reused_and_refused_labels_calls_and_tokens(
    data: Bucket, capsys: pytest.CaptureFixture[str]
) -> None:
    telemetry.metrics.clear_metrics()
    assert label.handler(batch_event(IMAGES), CONTEXT) == {"ok": 2, "refused": 1}
    assert metrics_of(capsys.readouterr().out) == {
        "ImagesLabelled": 1,
        "LabelsReused": 1,
        "LabelsRefused": 1,
        "CallsThrottled": 0,
        "CallsFailed": 0,
        "InputTokens": 1000,
        "OutputTokens": 100,
    }


def test_prediction_batch_counts_new_and_refused_predictions_and_tokens(
    data: Bucket, capsys: pytest.CaptureFixture[str]
) -> None:
    telemetry.metrics.clear_metrics()
    predict.handler(batch_event(IMAGES[:1], models=[]), CONTEXT)
    counts = metrics_of(capsys.readouterr().out)

    assert (counts["ImagesPredicted"], counts["PredictionsRefused"]) == (1, 1)
    assert (counts["InputTokens"], counts["OutputTokens"]) == (1000, 100)


def test_each_answer_is_logged_with_run_image_and_reason_but_without_image_or_prompt(
    data: Bucket, logged: list[dict[str, Any]]
) -> None:
    label.handler(batch_event(IMAGES), CONTEXT)
    lines = [record for record in logged if record["msg"] == "answer"]

    assert sorted(line["image"] for line in lines) == IMAGES
    assert {line["run"] for line in lines} == {"holiday-1"}
    assert sorted(str(line["reason"]) for line in lines) == ["None", "None", "ValidationException: bad image"]
    log = str(logged)
    assert any_run().prompt.user not in log
    assert any_run().prompt.system not in log
