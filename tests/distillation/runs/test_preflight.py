from __future__ import annotations

import pytest

from distillation import ledger
from distillation.errors import AccessDenied, InvalidRequest, QuotaExceeded, Throttled
from distillation.runs.preflight import Account, check_account, check_training_record
from tests.support.account import TRAINING_ID, StubbedAccount
from tests.support.builders import any_run, converse_response
from tests.support.fakes import bucket


def test_probe_of_the_teacher_is_billed_and_in_the_ledger(aws: StubbedAccount) -> None:
    data = bucket()
    aws.expect_student()
    aws.expect_custom_models(99)
    for code, value in (("L-CB5B847D", 100), ("L-430C95DD", 2), ("L-031F46A7", 20_000)):
        aws.expect_quota(code, value)
    question = {
        "modelId": "amazon.nova-pro-v1:0",
        "messages": [{"role": "user", "content": [{"text": "Answer with one word: ready."}]}],
        "inferenceConfig": {"maxTokens": 8},
    }
    usage = {"inputTokens": 10, "outputTokens": 2, "totalTokens": 12}
    aws.runtime.add_response("converse", converse_response("ready") | {"usage": usage}, question)
    check_account(any_run(), data, aws.account)
    (entry,) = ledger.summary(data, "holiday-1").entries

    assert (entry.step, entry.calls, entry.input_tokens, entry.output_tokens) == ("Prepare", 1, 10, 2)
    assert entry.usd == pytest.approx(10 * 0.80e-6 + 2 * 3.20e-6)


def test_legacy_student_is_refused_with_its_successor(aws: StubbedAccount) -> None:
    aws.expect_student("LEGACY")
    message = r"LEGACY on Bedrock \(end of life 2026-12-04\) .* its successor 'us.amazon.nova-2-lite-v1:0' as student"
    with pytest.raises(InvalidRequest, match=message):
        check_account(any_run(), bucket(), aws.account)


def test_student_that_bedrock_does_not_have_or_fine_tune_is_refused(aws: StubbedAccount) -> None:
    aws.bedrock.add_client_error("get_foundation_model", "ResourceNotFoundException")
    with pytest.raises(InvalidRequest, match=f"Bedrock has no model '{TRAINING_ID}' in us-east-1"):
        check_account(any_run(), bucket(), aws.account)
    aws.expect_student(customizationsSupported=["DISTILLATION"])
    with pytest.raises(InvalidRequest, match="does not fine-tune"):
        check_account(any_run(), bucket(), aws.account)


def test_region_without_on_demand_deployments_of_tuned_models_is_refused(aws: StubbedAccount) -> None:
    other_region = Account("us-west-2", aws.account.bedrock, aws.account.runtime, aws.account.quotas)
    message = "deployed on demand in us-east-1 only, not in us-west-2. Deploy the stage there"
    with pytest.raises(InvalidRequest, match=message):
        check_account(any_run(), bucket(), other_region)


def test_quota_that_is_too_small_stops_the_run_before_the_teacher_is_asked(aws: StubbedAccount) -> None:
    aws.expect_student()
    aws.expect_custom_models(100)
    aws.expect_quota("L-CB5B847D", 100)
    with pytest.raises(QuotaExceeded, match="L-CB5B847D"):
        check_account(any_run(), bucket(), aws.account)


@pytest.mark.parametrize(
    ("code", "kind", "message"),
    [
        ("AccessDeniedException", AccessDenied, "give the account access to the model"),
        ("ResourceNotFoundException", InvalidRequest, "change 'teacher', or 'teachers' of the stage in cdk.json"),
        ("ValidationException", InvalidRequest, "change 'teacher'"),
        ("ThrottlingException", Throttled, "quota of requests for this model may be 0"),
        ("ModelNotReadyException", Throttled, "if this continues"),
    ],
)
def test_teacher_that_does_not_answer_is_an_error_with_a_remedy(
    aws: StubbedAccount, code: str, kind: type[Exception], message: str
) -> None:
    data = bucket()
    aws.runtime.add_client_error("converse", code)
    with pytest.raises(kind, match=message) as error:
        check_account(any_run(until="LabelImages"), data, aws.account)
    assert type(error.value) is kind  # The state machine retries by class name.
    assert list(data.keys("work/")) == []


def test_run_until_estimate_calls_and_pays_nothing(aws: StubbedAccount) -> None:
    check_account(any_run(until="Estimate"), bucket(), aws.account)


def test_training_record_that_bedrock_would_refuse_is_refused_before_anything_is_paid() -> None:
    run = any_run()
    check_training_record(run, "distill-data")

    with pytest.raises(InvalidRequest, match=r"every training record.*uri: must be a bucket and a key .*Data_Bucket"):
        check_training_record(run, "Data_Bucket")
    with pytest.raises(InvalidRequest, match="bucketOwner: must be an account number of 12 digits"):
        check_training_record(run.model_copy(update={"account": "me"}), "distill-data")
    long_prompt = run.prompt.model_copy(update={"system": "word " * 30_000})
    with pytest.raises(InvalidRequest, match="more than 32,000 tokens"):
        check_training_record(run.model_copy(update={"prompt": long_prompt}), "distill-data")
