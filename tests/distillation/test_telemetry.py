from __future__ import annotations

from typing import Any

import pytest

from distillation import telemetry
from distillation.records import Answer, AnswerLine, Usage
from distillation.telemetry import CallCounts, count_call_metrics, log_answers
from tests.support.metrics import recorded_log


@pytest.fixture(autouse=True)
def _no_earlier_metrics() -> None:
    telemetry.metrics.clear_metrics()


def metric_totals() -> dict[str, float]:
    """Return the totals by name of the metrics that were added."""
    metrics: Any = telemetry.metrics.metric_set
    return {name: sum(metric["Value"]) for name, metric in metrics.items()}


def answer_line(image: str, status: str, *, reused: bool = False, reason: str | None = None) -> AnswerLine:
    fields = {"image": image, "answerer": "teacher", "status": status, "reused": reused, "reason": reason}
    return AnswerLine.model_validate(fields)


def test_calls_and_tokens_of_a_batch_are_metrics() -> None:
    usage = Usage(input_tokens=1000, output_tokens=100)
    answer = Answer(model="m", image="i", text="a, b", stop_reason="end_turn", usage=usage, latency_ms=5)
    count_call_metrics([answer, answer], CallCounts(throttled=3, unavailable=1))

    assert metric_totals() == {"CallsThrottled": 3, "CallsFailed": 1, "InputTokens": 2000, "OutputTokens": 200}


def test_new_reused_and_refused_answers_are_metrics_and_log_lines() -> None:
    lines = [
        answer_line("a", "ok"),
        answer_line("b", "ok", reused=True),
        answer_line("c", "refused", reason="not a list"),
    ]
    with recorded_log() as log:
        log_answers("holiday-1", lines, "ImagesLabelled", "Labels")

    assert metric_totals() == {"ImagesLabelled": 1, "LabelsReused": 1, "LabelsRefused": 1}
    assert [(line["msg"], line["run"], line["image"], line["reason"]) for line in log] == [
        ("answer", "holiday-1", "a", None),
        ("answer", "holiday-1", "b", None),
        ("answer", "holiday-1", "c", "not a list"),
    ]
