"""The emulator: what Lambda workers see, what services do without a patch, and that nothing is left behind."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from local.aws.emulator import aws_emulator
from tests.local.aws.conftest import BUCKET, Account, workers


def test_second_emulator_in_the_same_process_starts_empty(tmp_path: Path) -> None:
    limit = sys.getrecursionlimit()
    for folder in ("first", "second"):
        with aws_emulator(tmp_path / folder, "http://127.0.0.1:9", enforce_roles=False) as aws:
            assert Account(aws).invoke("writer", {})["calls"] == 1
            sys.setrecursionlimit(limit + 1)
        assert workers() == []
        assert sys.getrecursionlimit() == limit
        assert list((tmp_path / folder).iterdir()) == []


def test_worker_sees_the_emulator_and_nothing_of_the_users_configuration(account: Account) -> None:
    environment = account.invoke("writer", {})["environment"]
    assert environment["AWS_ENDPOINT_URL"] == account.aws.url
    assert environment["AWS_ENDPOINT_URL_BEDROCK_RUNTIME"] == "http://127.0.0.1:9"
    assert "AWS_PROFILE" not in environment
    assert environment["AWS_SESSION_TOKEN"] != "secret"


def test_object_is_created_only_once_if_none_match(account: Account) -> None:
    s3 = account.client("s3")
    s3.put_object(Bucket=BUCKET, Key="once", Body=b"1", IfNoneMatch="*")
    with pytest.raises(ClientError) as error:
        s3.put_object(Bucket=BUCKET, Key="once", Body=b"2", IfNoneMatch="*")
    assert error.value.response.get("ResponseMetadata", {}).get("HTTPStatusCode") == 412


def test_topic_accepts_a_message(account: Account) -> None:
    sns = account.client("sns")
    topic = sns.create_topic(Name="topic")["TopicArn"]
    assert sns.publish(TopicArn=topic, Subject="subject", Message="text")["MessageId"]


def test_role_without_a_grant_is_denied(account: Account) -> None:
    account.make_function("powerless")
    assert "errorType" not in account.invoke("writer", {"put": BUCKET})
    assert "AccessDenied" in account.invoke("powerless", {"put": BUCKET})["errorMessage"]
