from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.stub import ANY, Stubber

from distillation import keys
from tests.support.builders import any_report
from tests.support.functions import Functions


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
