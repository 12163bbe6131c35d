from __future__ import annotations

from typing import Any

import pytest
from aws_lambda_powertools.metrics import MetricUnit

from distillation import keys, telemetry
from distillation.errors import DailyQuotaExceeded
from distillation.events import DeploymentResult
from tests.support.builders import any_run
from tests.support.lambda_functions import Functions
from tests.support.training_jobs import DEPLOYMENT_ARN, MODEL_ARN, NAME


def test_first_question_that_waits_for_the_daily_quota_is_announced_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        telemetry.metrics.add_metric("Throttled", MetricUnit.Count, 1)
        raise DailyQuotaExceeded("too many tokens per day")

    published: list[Any] = []
    active = DeploymentResult(status="Active", deployment_arn=DEPLOYMENT_ARN)
    monkeypatch.setattr("lambdas.deploy.create_or_describe", lambda *_: active)
    monkeypatch.setattr("lambdas.deploy.probe_image_source", refuse)
    monkeypatch.setattr("lambdas.deploy.publish", published.append)
    functions = Functions(monkeypatch, bedrock=None, bedrock_runtime=None)
    functions.data.write_document(keys.request_key("holiday-1"), any_run())
    for _ in range(2):
        with pytest.raises(DailyQuotaExceeded):
            functions.invoke("deploy", {"run": "holiday-1", "size": 12, "model_name": NAME, "model_arn": MODEL_ARN})

    (message,) = published
    assert message.subject == "Vision Distillation holiday-1: waits for its daily quota"
