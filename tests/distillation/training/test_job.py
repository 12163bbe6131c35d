from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from distillation import keys, ledger
from distillation.errors import AccessDenied, JobFailed, ObjectDamaged, OverBudget, QuotaExceeded, Throttled
from distillation.events import JobResult
from distillation.inference.reservation import Reservation
from distillation.records import LedgerPart
from distillation.serving.tags import resource_tags
from distillation.storage import Bucket
from distillation.training.job_cost import job_ledger_part, maximum_prediction_usd
from distillation.training.reuse import checked_fingerprint
from tests.support.builders import any_run
from tests.support.fakes import MemoryS3, bucket
from tests.support.training_jobs import (
    JOB_ARN,
    MODEL_ARN,
    NAME,
    ROLE_ARN,
    SETTINGS,
    create_or_describe,
    describe_size,
    expect_creation,
    expect_no_job,
    job_description,
    labelled_bucket,
    split_bucket,
    waiting_job,
)


def job_usd(data: Bucket, size: int = 12) -> float:
    return job_ledger_part(any_run(), size, data).usd


def test_first_call_creates_the_job_and_the_next_one_describes_it(bedrock_client: Any, bedrock: Stubber) -> None:
    data = split_bucket()
    tags = resource_tags(any_run(), bucket(), checked_fingerprint(any_run(), 12, data))
    expected = {
        "jobName": "holiday-1-n12-a1",
        "customModelName": "holiday-1-n12-a1",
        "roleArn": ROLE_ARN,
        "clientRequestToken": "holiday-1-n12-a1",
        "baseModelIdentifier": "amazon.nova-lite-v1:0:300k",
        "customizationType": "FINE_TUNING",
        "hyperParameters": {"epochCount": "5", "learningRate": "0.00001", "learningRateWarmupSteps": "0"},
        "trainingDataConfig": {"s3Uri": "s3://data/runs/holiday-1/dataset/train-12.jsonl"},
        "outputDataConfig": {"s3Uri": "s3://data/runs/holiday-1/training/n12/"},
        "jobTags": tags,
        "customModelTags": tags,
    }
    expect_no_job(bedrock)
    bedrock.add_response("create_model_customization_job", {"jobArn": JOB_ARN}, expected)
    bedrock.add_response("get_model_customization_job", job_description("InProgress"))

    assert create_or_describe(bedrock_client).status == "InProgress"
    assert create_or_describe(bedrock_client).status == "InProgress"


def test_completed_job_is_written_to_the_ledger_once(bedrock_client: Any, bedrock: Stubber) -> None:
    data = split_bucket()
    for _ in range(2):
        bedrock.add_response("get_model_customization_job", job_description("Completed", outputModelArn=MODEL_ARN))
        result = create_or_describe(bedrock_client, data)
        assert result == JobResult(status="Completed", model_name=NAME, job_arn=JOB_ARN, model_arn=MODEL_ARN)

    assert len(list(data.keys(keys.ledger_prefix("holiday-1")))) == 1


@pytest.mark.parametrize(
    "message",
    [
        "Encountered an internal error when processing the request.",
        "Encountered an unexpected error when processing the request, please try again",
    ],
)
def test_internal_error_is_retried_once_and_other_failures_are_not(
    bedrock_client: Any, bedrock: Stubber, message: str
) -> None:
    bedrock.add_response("get_model_customization_job", job_description("Failed", failureMessage=message))
    bedrock.add_response("get_model_customization_job", job_description("Failed", failureMessage=message))
    with pytest.raises(JobFailed, match=r"internal error of Bedrock, in two attempts. .* Upload distill.json again"):
        create_or_describe(bedrock_client)
    bedrock.add_response("get_model_customization_job", job_description("Failed", failureMessage="bad data"))
    with pytest.raises(JobFailed, match="bad data"):
        create_or_describe(bedrock_client)


def test_tuned_model_is_encrypted_with_the_key_of_the_stage(bedrock_client: Any, bedrock: Stubber) -> None:
    key_arn = "arn:aws:kms:us-east-1:000000000000:key/1"
    parameters: dict[str, Any] = {}
    bedrock_client.meta.events.register(
        "provide-client-params.bedrock.CreateModelCustomizationJob", lambda params, **_: parameters.update(params)
    )
    expect_creation(bedrock)
    settings = replace(SETTINGS, model_kms_key_arn=key_arn)
    describe_size(any_run(), 12, split_bucket(), bedrock_client, settings)

    assert parameters["customModelKmsKeyId"] == key_arn


def test_used_up_job_quota_is_an_error_that_the_state_machine_retries(bedrock_client: Any, bedrock: Stubber) -> None:
    expect_no_job(bedrock)
    bedrock.add_client_error("create_model_customization_job", "ServiceQuotaExceededException")
    with pytest.raises(QuotaExceeded):
        create_or_describe(bedrock_client)


def test_job_that_exceeds_the_budget_is_not_created(bedrock_client: Any, bedrock: Stubber) -> None:
    data = labelled_bucket()
    expect_no_job(bedrock)
    with pytest.raises(OverBudget, match="may cost up to"):
        create_or_describe(bedrock_client, data, max_usd=0.001)

    assert ledger.paid_and_reserved_usd("holiday-1", data) == (0, 0)


def test_job_is_created_only_if_the_budget_also_covers_its_predictions(bedrock_client: Any, bedrock: Stubber) -> None:
    data = labelled_bucket()
    paid, job, predictions = 1.0, job_usd(data), maximum_prediction_usd(any_run(), data)
    labels = LedgerPart(step="LabelImages", model="m", calls=1, reused=0, input_tokens=1, output_tokens=1, usd=paid)
    ledger.write_part("holiday-1", labels, "labels", data)
    expect_no_job(bedrock)
    with pytest.raises(OverBudget, match=r"and later steps may cost up to \$0\.0"):
        create_or_describe(bedrock_client, data, max_usd=paid + job + predictions * 0.9)
    expect_creation(bedrock)

    assert predictions > 0
    assert create_or_describe(bedrock_client, data, max_usd=paid + job + predictions * 1.1).status == "InProgress"
    assert ledger.paid_and_reserved_usd("holiday-1", data) == pytest.approx((paid, job), abs=1e-6)


def test_refused_job_leaves_no_reservation(bedrock_client: Any, bedrock: Stubber) -> None:
    data = labelled_bucket()
    small, large, predictions = job_usd(data, 6), job_usd(data), maximum_prediction_usd(any_run(), data)
    run = any_run(max_usd=large + predictions + small / 2)
    ledger.reserve("holiday-1", "TrainModels", "holiday-1-n6-a1", small, data)
    for _ in range(8):
        expect_no_job(bedrock)
        with pytest.raises(Throttled, match="jobs that have not settled, and later steps"):
            describe_size(run, 12, data, bedrock_client)
    for code, error in (("ThrottlingException", Throttled), ("AccessDeniedException", AccessDenied)):
        expect_no_job(bedrock)
        bedrock.add_client_error("create_model_customization_job", code)
        with pytest.raises(error):
            create_or_describe(bedrock_client, data)

    assert ledger.paid_and_reserved_usd("holiday-1", data) == pytest.approx((0, small), abs=1e-6)
    Reservation(run, "PredictTestImages", predictions, data).reserve()


class SimultaneousReservations(MemoryS3):
    """S3 client that lists the ledger only after two callers have reserved; later listings are immediate."""

    def __init__(self) -> None:
        super().__init__()
        self._barrier, self._listings = threading.Barrier(2), 0

    def paginate(self, *, Prefix: str, **_: Any) -> list[dict[str, Any]]:  # noqa: N803 - boto3's names
        if Prefix == keys.ledger_prefix("holiday-1") and self._listings < 2:
            self._barrier.wait()
            pages = super().paginate(Prefix=Prefix)
            self._listings += 1
            self._barrier.wait()
            return pages
        return super().paginate(Prefix=Prefix)


def test_two_sizes_that_reserve_at_the_same_time_both_release_and_the_next_to_try_is_trained() -> None:
    s3: Any = SimultaneousReservations()
    data = labelled_bucket(Bucket(s3, "data"))
    clients: list[Any] = [boto3.client("bedrock") for _ in range(2)]
    stubs = [Stubber(client) for client in clients]
    small, large = job_usd(data, 6), job_usd(data)
    run = any_run(max_usd=large + small / 2 + maximum_prediction_usd(any_run(), data))

    def train(number: int) -> str:
        size = (6, 12)[number]
        try:
            return describe_size(run, size, data, clients[number]).status
        except Throttled:
            return "Throttled"

    for stub in stubs:
        expect_no_job(stub)
        expect_creation(stub)
        stub.activate()
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(train, range(2))) == ["Throttled", "Throttled"]
    assert ledger.paid_and_reserved_usd("holiday-1", data) == (0, 0)
    assert [train(0), train(1)] == ["InProgress", "Throttled"]
    assert ledger.paid_and_reserved_usd("holiday-1", data) == pytest.approx((0, small), abs=1e-6)


def test_job_whose_creation_was_not_confirmed_is_reserved_once_it_is_described(
    bedrock_client: Any, bedrock: Stubber
) -> None:
    data = labelled_bucket()
    expect_no_job(bedrock)
    bedrock.add_client_error("create_model_customization_job", "InternalServerException")
    with pytest.raises(Throttled):
        create_or_describe(bedrock_client, data)
    bedrock.add_response("get_model_customization_job", job_description("InProgress"))
    create_or_describe(bedrock_client, data)

    assert ledger.paid_and_reserved_usd("holiday-1", data) == pytest.approx((0, job_usd(data)), abs=1e-6)


@pytest.mark.parametrize(("training", "share"), [("NotStarted", 0), ("Stopped", 1)])
def test_stopped_job_has_no_reservation_and_is_billed_only_if_training_started(
    bedrock_client: Any, bedrock: Stubber, training: str, share: int
) -> None:
    data = labelled_bucket()
    expect_creation(bedrock)
    create_or_describe(bedrock_client, data)
    bedrock.add_response("get_model_customization_job", waiting_job(training, status="Stopped"))
    with pytest.raises(JobFailed):
        create_or_describe(bedrock_client, data)

    assert ledger.paid_and_reserved_usd("holiday-1", data) == pytest.approx((share * job_usd(data), 0), abs=1e-6)


@pytest.mark.parametrize("name", ["train", "test"])
def test_job_is_not_created_if_a_set_was_cut_off(name: str, bedrock_client: Any, bedrock: Stubber) -> None:
    data = split_bucket()
    data.write(
        keys.split_key("holiday-1", name), b"".join(list(data.iter_lines(keys.split_key("holiday-1", name)))[1:])
    )
    expect_no_job(bedrock)

    with pytest.raises(ObjectDamaged, match=rf"splits/{name}\.jsonl has \d+ images, but Split wrote \d+"):
        create_or_describe(bedrock_client, data)
