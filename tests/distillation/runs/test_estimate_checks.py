from __future__ import annotations

from datetime import UTC, datetime

import pytest

from distillation import keys
from distillation.documents import MonthBudget, RunBudget
from distillation.errors import AccessDenied, InvalidRequest, QuotaExceeded
from distillation.records import InventoryLine, Quota
from distillation.runs.account_limits import check_smallest_run
from distillation.runs.estimate_checks import (
    Refusals,
    check_estimate,
    check_in_stage,
    check_photos,
    check_without_stage,
)
from distillation.runs.preflight import check_account, check_training_record
from tests.support.account import StubbedAccount
from tests.support.builders import any_estimate, any_run
from tests.support.fakes import bucket

PRO, LITE = "amazon.nova-pro-v1:0", "amazon.nova-lite-v1:0"
TOKEN_CODES = ("L-D690997B", "L-45E0AD92")


def expect_quotas(aws: StubbedAccount, tokens_per_day: float = 1e9) -> None:
    """Expect the calls of a run that trains, in an account with room for one more custom model."""
    for code in TOKEN_CODES:
        aws.expect_quota(code, tokens_per_day)
    aws.expect_custom_models(99)
    for code, value in (("L-CB5B847D", 100), ("L-430C95DD", 2), ("L-031F46A7", 20_000)):
        aws.expect_quota(code, value)


def test_run_that_the_stage_accepts_has_the_accounts_quotas_and_no_refusal(aws: StubbedAccount) -> None:
    refusals, data = Refusals(), bucket()
    aws.expect_student()
    expect_quotas(aws, 5e6)
    run = check_in_stage(any_run(), data, aws.account, 500, refusals)

    assert refusals.errors == []
    assert run.quota(PRO).tokens_per_day == 5e6
    assert refusals.not_checked == [
        "quotas that Service Quotas does not return",
        "whether the teacher answers, because the question is billed",
    ]
    assert list(data.keys("")) == []


def test_every_refusal_of_the_stage_is_collected_with_the_errors_text(aws: StubbedAccount) -> None:
    refusals, data, run = Refusals(), bucket(), any_run(train_sizes=[20, 40], max_usd=30)
    spent = RunBudget(run="a", created=datetime.now(UTC), max_usd=480, executions=["arn:a"], settled_usd=480)
    data.write_document(keys.month_budget_key(f"{datetime.now(UTC):%Y-%m}"), MonthBudget(runs=[spent]))
    prompt = run.prompt.model_copy(update={"system": "word " * 30_000})
    run = run.model_copy(update={"student_prompt": prompt})
    aws.expect_quota(TOKEN_CODES[0], 0)
    aws.expect_student("LEGACY")
    aws.expect_custom_models(99)
    aws.expect_quota("L-CB5B847D", 100)
    check_in_stage(run, data, aws.account, 500, refusals)
    with pytest.raises(InvalidRequest) as training_record:
        check_training_record(run, data.name)
    aws.expect_student("LEGACY")
    with pytest.raises(InvalidRequest) as student:
        check_account(run, data, aws.account)
    record, quota, budget, legacy, models = refusals.errors

    assert (record, legacy) == (str(training_record.value), str(student.value))
    assert quota.startswith(f"the account's quota of tokens per day for {PRO} is 0")
    assert budget.startswith("max_usd: this run may cost $30.00, but of the stage's max_usd_per_month $500.00 only $20")
    assert models.startswith("the account's quota of custom models of the account is 100, with 99 in use and 2 more")


def test_run_whose_deployment_does_not_exist_is_refused(aws: StubbedAccount) -> None:
    refusals = Refusals()
    check_in_stage(any_run(replace="old", until="Estimate"), bucket(), aws.account, 500, refusals)

    assert refusals.errors == ["replace: this stage has no run 'old'. List its runs with: distill runs"]


def test_check_that_the_caller_has_no_permission_for_is_listed_as_not_checked(aws: StubbedAccount) -> None:
    refusals = Refusals()
    for code in TOKEN_CODES:
        aws.expect_quota(code, 1e9)
    aws.bedrock.add_client_error("get_foundation_model", "AccessDeniedException", "not you", http_status_code=403)
    aws.bedrock.add_client_error("list_custom_models", "AccessDeniedException", "not you", http_status_code=403)
    check_in_stage(any_run(), bucket(), aws.account, 500, refusals)

    assert refusals.errors == []
    for what in refusals.not_checked[:2]:
        assert what.startswith("the student and quotas of the account (")
        assert "not you" in what


def test_error_without_a_subject_is_raised_if_it_says_nothing_about_the_run() -> None:
    with pytest.raises(AccessDenied), Refusals().collect():
        raise AccessDenied("not you")


def test_without_the_stage_the_training_record_is_checked_and_the_account_named_as_not_checked() -> None:
    refusals, run = Refusals(), any_run(replace="old")
    run = run.model_copy(update={"student_prompt": run.prompt.model_copy(update={"system": "word " * 30_000})})
    check_without_stage(run, refusals)
    with pytest.raises(InvalidRequest) as error:
        check_training_record(run, "any-bucket")

    assert refusals.errors == [str(error.value)]
    assert refusals.not_checked == [
        "the account's access to the models, its quotas, and the stage's budget of the month",
        "the deployment that replace names",
    ]


def test_run_is_refused_by_its_estimate_and_by_a_quota_too_small_for_one_question() -> None:
    refusals, run = Refusals(), any_run().model_copy(update={"quotas": {PRO: Quota(tokens_per_day=1000)}})
    over = any_estimate(within_budget=False, verdict="about $30.00, over max_usd $25.00.")
    check_estimate(run, over, refusals)
    with pytest.raises(QuotaExceeded) as error:
        check_smallest_run(run)

    assert refusals.errors == [str(error.value), over.verdict]
    check_estimate(any_run(), any_estimate(), refusals)
    assert len(refusals.errors) == 2


def test_own_labels_are_not_checked_before_they_exist_and_not_used_by_an_applied_model() -> None:
    lines = [InventoryLine(photo="holiday/a.jpg", status="ok")]
    labels = bucket(**{"holiday/labels.csv": b"photo,label\nb.jpg,cat"})
    checked, unknown, applied = Refusals(), Refusals(), Refusals()
    check_photos(any_run(exclude_flags=["dark"]), lines, labels, 10, checked)
    check_photos(any_run(), lines, None, 10, unknown)
    check_photos(any_run(apply="old"), lines, labels, 10, applied)

    assert len(checked.errors) == 1
    assert checked.errors[0].startswith("labels.csv line 2 names 'b.jpg', which is not a photo in 'holiday/'")
    assert "images that exclude_flags leaves out" in checked.not_checked
    assert (unknown.errors, applied.errors) == ([], [])
    assert "your own labels" in unknown.not_checked
