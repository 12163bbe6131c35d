from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from distillation import keys
from distillation.documents import ReplacedDeployment
from distillation.errors import AccessDenied, InvalidRequest, OverBudget
from distillation.events import Listing, NoModels, PrepareResult, RoundStart
from distillation.records import Concurrency, Run
from distillation.runs.execution_input import StartedRequest, Upload
from distillation.runs.prepare import prepare
from distillation.runs.request import Defaults
from distillation.storage import Bucket
from tests.support.account import StubbedAccount
from tests.support.builders import any_run, converse_response
from tests.support.fakes import bucket

DEFAULTS = Defaults(
    stage="dev",
    teachers=["amazon.nova-pro-v1:0"],
    students=["amazon.nova-lite-v1:0"],
    concurrency=Concurrency(resize=3, label=2, predict=1),
    images_per_batch=50,
    region="us-east-1",
    account="000000000000",
)


RUNNING = {
    "executionArn": "arn:1",
    "stateMachineArn": "arn:m",
    "status": "RUNNING",
    "startDate": datetime(2026, 11, 24, tzinfo=UTC),
}


def prepared(aws: StubbedAccount, data: Bucket, execution: str = "arn:1", **request: Any) -> PrepareResult:
    return prepare(StartedRequest("holiday/", request), execution, bucket(), data, DEFAULTS, aws.account)


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
        round=RoundStart(),
        trained=NoModels(),
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
    start = Upload("holiday/distill.json", "v1")
    results = [prepare(start, arn, photos, data, DEFAULTS, aws.account) for arn in ("arn:1", "arn:2")]

    assert [result.claimed_by for result in results] == [None, "arn:1"]
    assert [result.until for result in results] == ["Estimate", "Estimate"]


def test_refused_run_is_not_claimed(aws: StubbedAccount) -> None:
    data = bucket()
    aws.runtime.add_client_error("converse", "AccessDeniedException")
    with pytest.raises(AccessDenied):
        prepared(aws, data, until="LabelImages", service_tier="default")
    with pytest.raises(InvalidRequest, match="unknown field 'teachr'"):
        prepared(aws, data, teachr="x")

    assert [key for key in data.keys("") if not key.startswith("budget/")] == [keys.PROBE_IMAGE_KEY]


def test_account_is_checked_for_a_run_that_replaces_and_not_for_one_that_applies(
    aws: StubbedAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[str | None] = []
    monkeypatch.setattr("distillation.runs.prepare.check_account", lambda run, *_: checked.append(run.request.replace))
    monkeypatch.setattr("distillation.runs.prepare.with_tuned_model", lambda run, *_: run)
    monkeypatch.setattr("distillation.runs.prepare.with_replaced_deployment", lambda run, *_: run)
    data = bucket()

    aws.states.add_response("describe_execution", RUNNING, {"executionArn": "arn:1"})
    prepared(aws, data, "arn:1", replace="earlier")
    prepared(aws, data, "arn:2", apply="earlier")

    assert checked == ["earlier"]


def test_teacher_is_asked_before_a_run_that_falls_back_to_it(
    aws: StubbedAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("distillation.runs.prepare.with_tuned_model", lambda run, *_: run)
    data = bucket()
    aws.runtime.add_client_error("converse", "AccessDeniedException")
    with pytest.raises(AccessDenied):
        prepared(aws, data, apply="earlier", fallback="teacher", service_tier="default")

    # The audit alone does not need the teacher: without it the run has no audit. The stub refuses a second question.
    aws.states.add_response("describe_execution", RUNNING, {"executionArn": "arn:1"})
    assert prepared(aws, data, "arn:2", apply="earlier").claimed_by is None


def uploaded(aws: StubbedAccount, data: Bucket, request: bytes, shared_models: Sequence[str] = ()) -> PrepareResult:
    """Prepare the run of a ``distill.json`` in the collection ``holiday/``."""
    start = Upload("holiday/distill.json", "v1")
    defaults = DEFAULTS.model_copy(update={"shared_models": list(shared_models)})
    return prepare(start, "arn:1", bucket(**{"holiday/distill.json": request}), data, defaults, aws.account)


@pytest.mark.parametrize("field", ["apply", "replace"])
@pytest.mark.parametrize(
    ("collection", "shared_models", "refused"),
    [("holiday/", [], False), ("other/", [], True), ("other/", ["tuned-1"], False), ("holiday/sub/", [], True)],
)
def test_upload_may_name_runs_of_its_collection_and_shared_models_and_an_execution_any_run(
    aws: StubbedAccount,
    monkeypatch: pytest.MonkeyPatch,
    field: str,
    collection: str,
    shared_models: list[str],
    refused: bool,
) -> None:
    monkeypatch.setattr("distillation.runs.prepare.check_account", lambda *_: None)
    monkeypatch.setattr("distillation.runs.prepare.with_tuned_model", lambda run, *_: run)
    monkeypatch.setattr("distillation.runs.prepare.with_replaced_deployment", lambda run, *_: run)
    data = bucket()
    tuned = any_run().model_copy(update={"name": "tuned-1", "collection": collection})
    data.write_document(keys.request_key("tuned-1"), tuned)
    request = json.dumps({field: "tuned-1"}).encode()
    if refused:
        with pytest.raises(InvalidRequest, match=f"{field}: 'tuned-1' is neither a run of collection 'holiday/'"):
            uploaded(aws, data, request, shared_models)
        assert list(data.keys("")) == [keys.request_key("tuned-1")]
        assert prepared(aws, data, **{field: "tuned-1"}).claimed_by is None
    else:
        assert uploaded(aws, data, request, shared_models).claimed_by is None


def test_upload_does_not_learn_whether_a_run_of_another_collection_exists(aws: StubbedAccount) -> None:
    with pytest.raises(InvalidRequest, match="apply: 'missing' is neither a run of collection 'holiday/'"):
        uploaded(aws, bucket(), b'{"apply": "missing"}')


def test_upload_may_not_replace_a_deployment_that_was_of_another_collection(aws: StubbedAccount) -> None:
    data = bucket()
    for name, collection in (("tuned-1", "holiday/"), ("production", "other/")):
        run = any_run().model_copy(update={"name": name, "collection": collection})
        data.write_document(keys.request_key(name), run)
    taken_over = ReplacedDeployment(
        deployment_name="n", deployment_arn="arn:d", model_arn="arn:m", replaces="production"
    )
    data.write_document(keys.deployment_key("tuned-1"), taken_over)

    with pytest.raises(InvalidRequest, match="replace: 'production' is neither"):
        uploaded(aws, data, b'{"replace": "tuned-1"}')


def test_run_beyond_the_budget_of_the_month_is_refused_before_the_teacher_is_asked(aws: StubbedAccount) -> None:
    defaults = DEFAULTS.model_copy(update={"max_usd_per_month": 30.0})
    data = bucket()
    # The stub refuses a second question to the teacher.
    aws.runtime.add_response("converse", converse_response("ready"))
    aws.states.add_response("describe_execution", RUNNING, {"executionArn": "arn:1"})
    request = StartedRequest("holiday/", {"until": "LabelImages", "max_usd": 20})
    first = prepare(request, "arn:1", bucket(), data, defaults, aws.account)

    with pytest.raises(OverBudget, match=f"only \\$10.00 are left .* by running runs \\({first.run}\\)"):
        prepare(request, "arn:2", bucket(), data, defaults, aws.account)
    assert prepare(request, "arn:1", bucket(), data, defaults, aws.account) == first


def test_training_record_is_checked_before_the_account(aws: StubbedAccount) -> None:
    data = Bucket(bucket().client, "Data_Bucket")
    with pytest.raises(InvalidRequest, match="Bedrock would refuse every training record"):
        prepared(aws, data)
