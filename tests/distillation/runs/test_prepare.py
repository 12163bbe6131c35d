from __future__ import annotations

from typing import Any

import pytest

from distillation import keys
from distillation.errors import AccessDenied, InvalidRequest
from distillation.events import Listing, PrepareResult
from distillation.records import Concurrency, Run
from distillation.runs.prepare import prepare
from distillation.runs.request import Defaults
from distillation.storage import Bucket
from tests.support.account import StubbedAccount
from tests.support.builders import converse_response
from tests.support.fakes import bucket

START = {"collection": "holiday/"}
DEFAULTS = Defaults(
    stage="dev",
    teachers=["amazon.nova-pro-v1:0"],
    students=["amazon.nova-lite-v1:0"],
    concurrency=Concurrency(resize=3, label=2, predict=1),
    images_per_batch=50,
    region="us-east-1",
    account="000000000000",
)


def prepared(aws: StubbedAccount, data: Bucket, execution: str = "arn:1", **request: Any) -> PrepareResult:
    return prepare(START | request, execution, bucket(), data, DEFAULTS, aws.account)


def expect_checks(aws: StubbedAccount) -> None:
    """Expect the calls of all preflight checks, which pass, in an account with small quotas."""
    aws.functions.add_response("get_account_settings", {"AccountLimit": {"UnreservedConcurrentExecutions": 4}})
    aws.expect_student()
    aws.expect_custom_models()
    for code in ("L-D690997B", "L-45E0AD92"):
        aws.expect_quota(code, 100_000)
    for code in ("L-CB5B847D", "L-430C95DD", "L-031F46A7"):
        aws.expect_quota(code, 20_000)
    aws.runtime.add_response("converse", converse_response("ready"))


def test_prepared_run_is_claimed_and_returned_with_what_the_state_machine_reads(aws: StubbedAccount) -> None:
    expect_checks(aws)
    data = bucket()
    result = prepared(aws, data)
    run = Run.model_validate_json(data.read(keys.request_key(result.run)))

    assert result == PrepareResult(
        run=keys.run_name("holiday/", "arn:1"),
        collection="holiday/",
        claimed_by=None,
        apply=None,
        until="Notify",
        concurrency=Concurrency(resize=2, label=2, predict=1),
        images_per_batch=run.images_per_batch,
        listing=Listing(photos=0, digest="", settled=False),
    )
    assert (run.execution, run.stage) == ("arn:1", "dev")
    assert run.concurrency == result.concurrency
    assert run.quota("amazon.nova-pro-v1:0").tokens_per_day == 100_000
    assert 10 < run.images_per_batch < 40


def test_claimed_run_is_not_checked_again(aws: StubbedAccount) -> None:
    expect_checks(aws)
    data = bucket()

    assert prepared(aws, data) == prepared(aws, data)


def test_run_that_another_execution_claimed_names_it(aws: StubbedAccount) -> None:
    data, photos = bucket(), bucket(**{"holiday/distill.json": b'{"until": "Estimate"}'})
    start = {"detail": {"object": {"key": "holiday/distill.json", "version-id": "v1", "etag": "e"}}}
    results = [prepare(start, arn, photos, data, DEFAULTS, aws.account) for arn in ("arn:1", "arn:2")]

    assert [result.claimed_by for result in results] == [None, "arn:1"]
    assert [result.until for result in results] == ["Estimate", "Estimate"]


def test_refused_run_is_not_claimed(aws: StubbedAccount) -> None:
    data = bucket()
    aws.runtime.add_client_error("converse", "AccessDeniedException")
    with pytest.raises(AccessDenied):
        prepared(aws, data, until="LabelImages")
    with pytest.raises(InvalidRequest, match="unknown field 'teachr'"):
        prepared(aws, data, teachr="x")

    assert list(data.keys("")) == [keys.PROBE_IMAGE_KEY]


def test_account_is_checked_for_a_run_that_replaces_and_not_for_one_that_applies(
    aws: StubbedAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[str | None] = []
    monkeypatch.setattr("distillation.runs.prepare.check_account", lambda run, *_: checked.append(run.request.replace))
    monkeypatch.setattr("distillation.runs.prepare.with_tuned_model", lambda run, *_: run)
    monkeypatch.setattr("distillation.runs.prepare.with_replaced_deployment", lambda run, *_: run)
    data = bucket()

    prepared(aws, data, "arn:1", replace="earlier")
    prepared(aws, data, "arn:2", apply="earlier")

    assert checked == ["earlier"]


def test_training_record_is_checked_before_the_account(aws: StubbedAccount) -> None:
    data = Bucket(bucket().client, "Data_Bucket")
    with pytest.raises(InvalidRequest, match="Bedrock would refuse every training record"):
        prepared(aws, data)
