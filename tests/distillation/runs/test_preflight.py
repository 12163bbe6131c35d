from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from distillation import keys, ledger
from distillation.errors import AccessDenied, AccessPending, InvalidRequest, QuotaExceeded, Throttled
from distillation.models import catalog
from distillation.runs.preflight import check_account, check_training_record
from local.bedrock.faults import PENDING_SUBSCRIPTION
from tests.support.account import TRAINING_ID, StubbedAccount
from tests.support.builders import any_run, converse_response
from tests.support.fakes import bucket


def test_probe_sends_what_the_run_will_send_and_its_cost_is_in_the_ledger(aws: StubbedAccount) -> None:
    data, run = bucket(), any_run(service_tier="flex")
    aws.expect_student()
    aws.expect_custom_models(99)
    for code, value in (("L-CB5B847D", 100), ("L-430C95DD", 2), ("L-031F46A7", 20_000)):
        aws.expect_quota(code, value)
    source = {"s3Location": {"uri": f"s3://data/{keys.PROBE_IMAGE_KEY}", "bucketOwner": run.account}}
    content = [{"text": run.prompt.user}, {"image": {"format": "jpeg", "source": source}}]
    question = {
        "modelId": "amazon.nova-pro-v1:0",
        "system": [{"text": run.prompt.system}],
        "messages": [{"role": "user", "content": content}],
        "inferenceConfig": {"maxTokens": 400, "temperature": run.teacher.temperature},
        "serviceTier": {"type": "flex"},
    }
    usage = {"inputTokens": 10, "outputTokens": 2, "totalTokens": 12}
    aws.runtime.add_response("converse", converse_response("ready") | {"usage": usage}, question)
    check_account(run, data, aws.account)
    (entry,) = ledger.summary("holiday-1", data).entries

    assert data.read(keys.PROBE_IMAGE_KEY).startswith(b"\xff\xd8")
    assert (entry.step, entry.calls, entry.input_tokens, entry.output_tokens) == ("Prepare", 1, 10, 2)
    assert entry.usd == pytest.approx((10 * 0.80e-6 + 2 * 3.20e-6) / 2)


def test_teacher_that_takes_bytes_is_probed_with_bytes(aws: StubbedAccount) -> None:
    calls: list[dict[str, Any]] = []
    aws.account.runtime.meta.events.register(
        "provide-client-params.bedrock-runtime.Converse", lambda params, **_: calls.append(params)
    )
    aws.runtime.add_response("converse", converse_response())
    claude = next(id for id, model in catalog.models().items() if model.family.images_by == "bytes")
    run = any_run(until="LabelImages")
    data, run = bucket(), run.model_copy(update={"teacher": run.teacher.model_copy(update={"model": claude})})
    check_account(run, data, aws.account)

    assert set(calls[0]["messages"][0]["content"][1]["image"]["source"]) == {"bytes"}
    assert data.get_or_none(keys.PROBE_IMAGE_KEY) is None


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
    other_region = replace(aws.account, region="us-west-2")
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
    ("words", "kind", "message"),
    [
        ("#: extraneous key [serviceTier] is not permitted", InvalidRequest, "Change max_tokens, temperature or serv"),
        ("#/inferenceConfig/temperature: 0.0 is not greater or equal to 1.0E-5", InvalidRequest, "not greater"),
        ("The image source s3Location is not supported", InvalidRequest, r"Set images_by .*catalog\.toml"),
        ("Operation not allowed", AccessDenied, "blocked it. Open a case with AWS Support"),
        ("The image cannot be read.", InvalidRequest, "cannot be read. Change 'teacher', or 'teachers' of the stage"),
    ],
)
def test_refused_probe_ends_the_run_with_the_words_of_bedrock_and_a_remedy(
    aws: StubbedAccount, words: str, kind: type[Exception], message: str
) -> None:
    aws.runtime.add_client_error("converse", "ValidationException", words)
    with pytest.raises(kind, match=message) as error:
        check_account(any_run(until="LabelImages", service_tier="default"), bucket(), aws.account)
    assert type(error.value) is kind
    assert words.rstrip(".") in str(error.value)


def test_probe_refused_for_the_day_names_both_causes_or_lets_the_run_wait(aws: StubbedAccount) -> None:
    run, message = (
        any_run(until="LabelImages", service_tier="default"),
        "Too many tokens per day, please wait before trying again.",
    )
    aws.runtime.add_client_error("converse", "ThrottlingException", message)
    aws.quotas.add_client_error("get_service_quota", "AccessDeniedException")
    with pytest.raises(QuotaExceeded, match=r"are used up, .* or the quota is 0.* could not be read"):
        check_account(run, bucket(), aws.account)
    data = bucket()
    aws.runtime.add_client_error("converse", "ThrottlingException", message)
    aws.expect_quota("L-D690997B", 100_000)
    check_account(run, data, aws.account)

    assert list(data.keys("work/")) == []


def test_access_that_bedrock_asks_to_try_again_is_retried_by_the_state_machine(aws: StubbedAccount) -> None:
    aws.runtime.add_client_error("converse", *PENDING_SUBSCRIPTION)
    with pytest.raises(AccessPending, match=r"try again after 2 minutes\. Possible causes: an IAM policy"):
        check_account(any_run(until="LabelImages", service_tier="default"), bucket(), aws.account)


@pytest.mark.parametrize(
    ("code", "kind", "message"),
    [
        ("AccessDeniedException", AccessDenied, r"IAM policy .*SCP.* AWS Marketplace .*use-case form"),
        ("ResourceNotFoundException", InvalidRequest, "Change 'teacher', or 'teachers' of the stage in cdk.json"),
        ("ValidationException", InvalidRequest, "Change 'teacher'"),
        ("ThrottlingException", Throttled, "quota of requests for this model may be 0"),
        ("ModelNotReadyException", Throttled, "If this continues"),
    ],
)
def test_teacher_that_does_not_answer_is_an_error_with_a_remedy(
    aws: StubbedAccount, code: str, kind: type[Exception], message: str
) -> None:
    data = bucket()
    aws.runtime.add_client_error("converse", code)
    with pytest.raises(kind, match=message) as error:
        check_account(any_run(until="LabelImages", service_tier="default"), data, aws.account)
    assert type(error.value) is kind  # The state machine retries by class name.
    assert list(data.keys("work/")) == []


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("ThrottlingException", "Too many requests"),
        ("ServiceUnavailableException", "no capacity"),
        ("ModelTimeoutException", "timeout"),
        ("ValidationException", "#: extraneous key [serviceTier] is not permitted"),
        ("AccessDeniedException", "explicit deny"),
    ],
)
def test_probe_that_flex_does_not_answer_is_asked_and_paid_on_the_standard_tier(
    aws: StubbedAccount, code: str, message: str
) -> None:
    calls: list[Any] = []
    aws.account.runtime.meta.events.register(
        "provide-client-params.bedrock-runtime.Converse", lambda params, **_: calls.append(params.get("serviceTier"))
    )
    data = bucket()
    aws.runtime.add_client_error("converse", code, message)
    aws.runtime.add_response("converse", converse_response())
    check_account(any_run(until="LabelImages"), data, aws.account)
    (entry,) = ledger.summary("holiday-1", data).entries

    assert calls == [{"type": "flex"}, None]
    assert (entry.tier, entry.calls) == ("default", 1)
    assert entry.usd == pytest.approx(1000 * 0.80e-6 + 100 * 3.20e-6)


def test_probe_of_a_run_on_flex_is_not_asked_on_the_standard_tier(aws: StubbedAccount) -> None:
    aws.runtime.add_client_error("converse", "ThrottlingException")
    with pytest.raises(Throttled):
        check_account(any_run(until="LabelImages", service_tier="flex"), bucket(), aws.account)
    aws.runtime.assert_no_pending_responses()


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
        check_training_record(run.model_copy(update={"student_prompt": long_prompt}), "distill-data")
    # The teacher's prompt is not in a training record.
    check_training_record(run.model_copy(update={"prompt": long_prompt}), "distill-data")
