from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.stub import ANY, Stubber

from distillation import keys
from distillation.errors import AccessDenied, InvalidRequest, ServiceUnavailable
from tests.support.builders import any_report
from tests.support.lambda_functions import Functions


def test_notification_of_a_completed_run_is_published_to_the_topic(monkeypatch: pytest.MonkeyPatch) -> None:
    client: Any = boto3.client("sns")
    functions = Functions(monkeypatch)
    functions.data.write_document(keys.report_json_key("holiday-1"), any_report())
    monkeypatch.setenv("TOPIC_ARN", "arn:topic")
    monkeypatch.setattr(boto3, "client", lambda _, **__: client)
    subject = "Vision Distillation holiday-1: complete"
    with Stubber(client) as sns:
        sns.add_response("publish", {}, {"TopicArn": "arn:topic", "Subject": subject, "Message": ANY})
        result = functions.invoke("notify", {"run": "holiday-1"})
        sns.assert_no_pending_responses()

    assert result == {"run": "holiday-1", "headline": subject}


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("InternalError", 500, ServiceUnavailable),
        ("Throttled", 429, ServiceUnavailable),
        ("KMSThrottling", 400, ServiceUnavailable),
        ("AuthorizationError", 403, AccessDenied),
        ("NotFound", 404, InvalidRequest),
    ],
)
def test_error_of_sns_is_translated(
    monkeypatch: pytest.MonkeyPatch, code: str, status: int, kind: type[Exception]
) -> None:
    client: Any = boto3.client("sns", config=Config(retries={"total_max_attempts": 1}))
    functions = Functions(monkeypatch)
    functions.data.write_document(keys.report_json_key("holiday-1"), any_report())
    monkeypatch.setenv("TOPIC_ARN", "arn:topic")
    monkeypatch.setattr(boto3, "client", lambda _, **__: client)
    with Stubber(client) as sns:
        sns.add_client_error("publish", code, "no", http_status_code=status)
        with pytest.raises(kind, match="arn:topic"):
            functions.invoke("notify", {"run": "holiday-1"})
