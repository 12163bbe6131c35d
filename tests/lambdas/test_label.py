from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.stub import ANY, Stubber

from distillation import keys, telemetry
from distillation.errors import DailyQuotaExceeded
from tests.lambdas.batches import IMAGES, batch_event, expect_one_answer_and_one_refusal, write_run_with_one_label
from tests.support.builders import any_run, converse_response
from tests.support.lambda_functions import Functions
from tests.support.metrics import metric_totals, recorded_log
from tests.support.simulated_bedrock import WORDS


@pytest.fixture
def functions(monkeypatch: pytest.MonkeyPatch) -> Iterator[Functions]:
    """Return functions whose Bedrock answers about one image and refuses another."""
    client = boto3.client("bedrock-runtime")
    functions = Functions(monkeypatch, bedrock_runtime=client)
    write_run_with_one_label(functions.data)
    with Stubber(client) as bedrock_runtime:
        expect_one_answer_and_one_refusal(bedrock_runtime)
        yield functions


def test_batch_counts_new_reused_and_refused_labels_calls_and_tokens(
    functions: Functions, capsys: pytest.CaptureFixture[str]
) -> None:
    telemetry.metrics.clear_metrics()

    assert functions.invoke("label", batch_event(IMAGES)) == {"ok": 2, "refused": 1}
    assert metric_totals(capsys.readouterr().out) == {
        "ImagesLabelled": 1,
        "LabelsReused": 1,
        "LabelsRefused": 1,
        "CallsThrottled": 0,
        "CallsFailed": 0,
        "InputTokens": 1000,
        "OutputTokens": 100,
    }


def test_each_answer_is_logged_with_run_image_and_reason_but_without_image_or_prompt(functions: Functions) -> None:
    with recorded_log() as log:
        functions.invoke("label", batch_event(IMAGES))
    lines: list[dict[str, Any]] = [line for line in log if line["msg"] == "answer"]

    assert sorted(line["image"] for line in lines) == IMAGES
    assert {line["run"] for line in lines} == {"holiday-1"}
    assert sorted(str(line["reason"]) for line in lines) == ["None", "None", "ValidationException: bad image"]
    assert any_run().prompt.user not in str(log)
    assert any_run().prompt.system not in str(log)


def test_batch_without_daily_quota_publishes_one_notification_and_keeps_its_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runtime, sns = boto3.client("bedrock-runtime"), boto3.client("sns")
    functions = Functions(monkeypatch, bedrock_runtime=runtime)
    write_run_with_one_label(functions.data)
    monkeypatch.setenv("TOPIC_ARN", "arn:topic")
    monkeypatch.setattr(boto3, "client", lambda *_, **__: sns)
    with Stubber(runtime) as bedrock_runtime, Stubber(sns) as topic:
        bedrock_runtime.add_response("converse", converse_response(WORDS))
        topic.add_response("publish", {}, {"TopicArn": "arn:topic", "Subject": ANY, "Message": ANY})
        for _ in range(2):
            bedrock_runtime.add_client_error("converse", "ThrottlingException", "Too many tokens per day, please wait")
            with pytest.raises(DailyQuotaExceeded):
                functions.invoke("label", batch_event(IMAGES))
        topic.assert_no_pending_responses()

    answers = [key for key in functions.data.keys("labels/") if functions.data.read(key)]
    assert len(answers) == 2
    assert functions.data.get_or_none(keys.waiting_key("holiday-1"))
