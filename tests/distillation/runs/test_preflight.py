"""What is asked of AWS before anything is paid, and what is said when it does not suffice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from distillation import ledger
from distillation.errors import AccessDenied, InvalidRequest, QuotaExceeded, Throttled
from distillation.runs.preflight import Account, check_account
from distillation.storage import Bucket
from tests.support.builders import any_run
from tests.support.fakes import bucket

TRAINING_ID = "amazon.nova-lite-v1:0:300k"
ANSWER = {
    "output": {"message": {"role": "assistant", "content": [{"text": "ready"}]}},
    "stopReason": "end_turn",
    "usage": {"inputTokens": 10, "outputTokens": 2, "totalTokens": 12},
    "metrics": {"latencyMs": 100},
}


@dataclass
class Aws:
    """What AWS answers, in the order in which it is asked."""

    account: Account
    bedrock: Stubber
    runtime: Stubber
    quotas: Stubber

    def student(self, status: str = "ACTIVE", **details: Any) -> None:
        arn = f"arn:aws:bedrock:us-east-1::foundation-model/{TRAINING_ID}"
        lifecycle: dict[str, Any] = {"status": status}
        if status == "LEGACY":
            lifecycle["endOfLifeTime"] = datetime(2026, 12, 4, tzinfo=UTC)
        found = {"modelArn": arn, "modelId": TRAINING_ID, "modelLifecycle": lifecycle, **details}
        self.bedrock.add_response("get_foundation_model", {"modelDetails": found}, {"modelIdentifier": TRAINING_ID})

    def models(self, count: int = 0) -> None:
        arn = "arn:aws:bedrock:us-east-1:000000000000:custom-model/amazon.nova-lite-v1:0:300k/abcdefghijkl"
        base = f"arn:aws:bedrock:us-east-1::foundation-model/{TRAINING_ID}"
        time = datetime(2026, 11, 1, tzinfo=UTC)
        one = {"modelArn": arn, "modelName": "m", "creationTime": time, "baseModelArn": base, "baseModelName": "b"}
        self.bedrock.add_response("list_custom_models", {"modelSummaries": [one] * count})

    def quota(self, code: str, value: float) -> None:
        expected = {"ServiceCode": "bedrock", "QuotaCode": code}
        self.quotas.add_response("get_service_quota", {"Quota": {"Value": value}}, expected)


@pytest.fixture
def aws() -> Iterator[Aws]:
    make: Any = boto3.client
    clients = {name: make(name) for name in ("bedrock", "bedrock-runtime", "service-quotas")}
    with ExitStack() as stack:
        stubs = [stack.enter_context(Stubber(client)) for client in clients.values()]
        yield Aws(Account("us-east-1", *clients.values()), *stubs)
        for stub in stubs:
            stub.assert_no_pending_responses()


def prepare(aws: Aws, data: Bucket | None = None, **request: Any) -> None:
    check_account(any_run(**request), data or bucket(), aws.account)


def test_teachers_tiny_answer_is_paid_for_and_on_the_ledger(aws: Aws) -> None:
    data = bucket()
    aws.student()
    aws.models(99)
    for code, value in (("L-CB5B847D", 100), ("L-430C95DD", 2), ("L-031F46A7", 20_000)):
        aws.quota(code, value)
    question = {
        "modelId": "amazon.nova-pro-v1:0",
        "messages": [{"role": "user", "content": [{"text": "Answer with one word: ready."}]}],
        "inferenceConfig": {"maxTokens": 8},
    }
    aws.runtime.add_response("converse", ANSWER, question)
    prepare(aws, data)
    (entry,) = ledger.summary(data, "holiday-1")["entries"]

    assert (entry["step"], entry["calls"], entry["input_tokens"], entry["output_tokens"]) == ("Prepare", 1, 10, 2)
    assert entry["usd"] == pytest.approx(10 * 0.80e-6 + 2 * 3.20e-6)


def test_legacy_student_is_refused_and_its_successor_named(aws: Aws) -> None:
    aws.student("LEGACY")
    words = r"LEGACY at Bedrock \(end of life 2026-12-04\) .* student 'us.amazon.nova-2-lite-v1:0', its successor"
    with pytest.raises(InvalidRequest, match=words):
        prepare(aws)


def test_student_that_bedrock_does_not_know_or_tune_here_is_refused(aws: Aws) -> None:
    aws.bedrock.add_client_error("get_foundation_model", "ResourceNotFoundException")
    with pytest.raises(InvalidRequest, match=f"Bedrock has no model '{TRAINING_ID}' in us-east-1"):
        prepare(aws)
    aws.student(customizationsSupported=["DISTILLATION"])
    with pytest.raises(InvalidRequest, match="does not fine-tune"):
        prepare(aws)


def test_region_without_on_demand_serving_of_tuned_models_is_refused(aws: Aws) -> None:
    elsewhere = Account("us-west-2", aws.account.bedrock, aws.account.runtime, aws.account.quotas)
    with pytest.raises(InvalidRequest, match="served on demand in us-east-1 only, not in us-west-2; deploy there"):
        check_account(any_run(), bucket(), elsewhere)


@pytest.mark.parametrize(
    ("models", "quotas", "request_fields", "words"),
    [
        (99, [100], {"train_sizes": [10, 20]}, "custom models of the account is 100, with 99 in use and 2 more needed"),
        (0, [100, 0], {}, "custom model deployments in progress is 0, with 1 more needed"),
        (0, [100, 2, 500], {"train_sizes": [300], "duplicate_records": 2}, "is 500, with 600 more .* train_sizes"),
    ],
)
def test_quota_that_does_not_suffice_is_told_with_its_code(
    aws: Aws, models: int, quotas: list[float], request_fields: dict[str, Any], words: str
) -> None:
    aws.student()
    aws.models(models)
    codes = ["L-CB5B847D", "L-430C95DD", "L-031F46A7"][: len(quotas)]
    for code, value in zip(codes, quotas, strict=True):
        aws.quota(code, value)
    with pytest.raises(QuotaExceeded, match=f"{words}.*{codes[-1]}"):
        prepare(aws, **request_fields)


def test_quota_of_the_account_is_else_awss_default_and_one_that_cannot_be_read_stops_nothing(aws: Aws) -> None:
    aws.student()
    aws.models(5)
    aws.quotas.add_client_error("get_service_quota", "NoSuchResourceException")
    aws.quotas.add_response("get_aws_default_service_quota", {"Quota": {"Value": 5}})
    with pytest.raises(QuotaExceeded, match="is 5, with 5 in use and 1 more needed"):
        prepare(aws)
    aws.student()
    aws.models(5)
    for code in ("AccessDeniedException", "400", "TooManyRequestsException"):
        aws.quotas.add_client_error("get_service_quota", code)
    aws.runtime.add_response("converse", ANSWER)
    prepare(aws)


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        ("AccessDeniedException", AccessDenied, "give the account access to the model"),
        ("ResourceNotFoundException", InvalidRequest, "change 'teacher', or 'teachers' of the stage in cdk.json"),
        ("ValidationException", InvalidRequest, "change 'teacher'"),
        ("ThrottlingException", Throttled, "quota of requests for this model may be 0"),
        ("ModelNotReadyException", Throttled, "if this goes on"),
    ],
)
def test_teacher_that_does_not_answer_is_told_with_what_to_do(
    aws: Aws, code: str, kind: type[Exception], words: str
) -> None:
    data = bucket()
    aws.runtime.add_client_error("converse", code)
    with pytest.raises(kind, match=words) as error:
        prepare(aws, data, until="LabelImages")
    assert type(error.value) is kind  # The machine retries by the very name.
    assert list(data.keys("work/")) == []


def test_run_that_ends_with_its_estimate_asks_and_pays_nothing(aws: Aws) -> None:
    prepare(aws, until="Estimate")
