from __future__ import annotations

from typing import Any

import pytest
from botocore.stub import Stubber

from distillation import keys
from distillation.answers.formats import format_of
from distillation.documents import ReplacedDeployment, Report
from distillation.errors import InvalidRequest, Throttled
from distillation.inference.apply import tuned_target
from distillation.records import Prompt, Request, Run, TrainedModel
from distillation.runs.existing_model import (
    check_fields_with_apply,
    check_fields_without_apply,
    with_replaced_deployment,
    with_tuned_model,
)
from distillation.storage import Bucket
from tests.support.builders import any_apply_report, any_growth, any_report, any_run
from tests.support.fakes import bucket
from tests.support.training_jobs import CREATED, DEPLOYMENT_ARN, MODEL_ARN

MODEL = TrainedModel(
    size=12, status="Active", model_name="tuned-1-n12-a1", model_arn=MODEL_ARN, deployment_arn=DEPLOYMENT_ARN
)
PROMPT = Prompt(system="s", user="the tuned model's prompt")
TEACHER_PROMPT = Prompt(system="s", user="the prompt of its teacher")
HAIKU = "us.anthropic.claude-haiku-4-5-20251001-v1:0"


VOCABULARY = {"format": "keywords", "vocabulary": {"cat": ["kitty"]}, "closed_vocabulary": True}


def trained(promoted: str | None = "tuned-1-n12-a1", **request: Any) -> Bucket:
    """Return the Data bucket after the run ``tuned-1``; keywords are fields of its request."""
    prompts = {"prompt": TEACHER_PROMPT, "student_prompt": PROMPT, "answers": VOCABULARY}
    run = any_run(**request).model_copy(update={"name": "tuned-1", **prompts})
    data = bucket()
    data.write_document(keys.request_key("tuned-1"), run)
    report = any_report(run="tuned-1", models=[MODEL], promoted=promoted, verdict="no gain.")
    data.write_document(keys.report_json_key("tuned-1"), report)
    return data


def expect_deployment(bedrock: Stubber, status: str = "Active", model_arn: str = MODEL_ARN) -> None:
    description = {
        "customModelDeploymentArn": DEPLOYMENT_ARN,
        "modelDeploymentName": "n",
        "modelArn": model_arn,
        "createdAt": CREATED,
        "status": status,
    }
    expected = {"customModelDeploymentIdentifier": DEPLOYMENT_ARN}
    bedrock.add_response("get_custom_model_deployment", description, expected)


def applying() -> Run:
    return any_run(apply="tuned-1")


def replacing(prompt: Prompt = PROMPT, **request: Any) -> Run:
    return any_run(replace="tuned-1", **request).model_copy(update={"student_prompt": prompt})


def test_tuned_model_alone_is_asked_with_the_prompt_that_it_was_trained_with(
    bedrock_client: Any, bedrock: Stubber
) -> None:
    expect_deployment(bedrock)
    run = with_tuned_model(applying(), trained(), bedrock_client)

    target = tuned_target(run)

    assert (run.prompt, run.student_prompt) == (TEACHER_PROMPT, PROMPT)
    assert format_of(run).cells(format_of(run).parse("kitties, sofa")) == ["cat"]
    assert (target.name, target.model, target.billed_as, target.prompt) == (
        *("tuned", DEPLOYMENT_ARN, "amazon.nova-lite-v1:0"),
        PROMPT,
    )


def test_audited_image_gets_as_many_answers_of_the_teacher_as_a_label_of_the_tuned_run(
    bedrock_client: Any, bedrock: Stubber
) -> None:
    expect_deployment(bedrock)
    run = with_tuned_model(applying(), trained(samples_per_image=3, temperature=0.5), bedrock_client)

    assert run.request.samples_per_image == 3


def test_service_tier_that_the_teacher_of_the_tuned_run_lacks_is_refused(bedrock_client: Any, bedrock: Stubber) -> None:
    expect_deployment(bedrock)
    data = trained()
    run = data.read_document(keys.request_key("tuned-1"), Run)
    teacher = run.teacher.model_copy(update={"model": HAIKU})
    data.write_document(keys.request_key("tuned-1"), run.model_copy(update={"teacher": teacher}))
    with pytest.raises(InvalidRequest, match=r"service_tier: '.*haiku.*' has no flex tier"):
        with_tuned_model(any_run(apply="tuned-1", service_tier="flex"), data, bedrock_client)


def test_best_model_is_applied_if_all_were_kept_and_none_was_promoted(bedrock_client: Any, bedrock: Stubber) -> None:
    expect_deployment(bedrock)
    run = with_tuned_model(applying(), trained(None, keep="all"), bedrock_client)

    assert run.applies
    assert run.applies.deployment_arn == DEPLOYMENT_ARN


@pytest.mark.parametrize("replaced", [False, True])
def test_deployment_is_applied_with_the_image_source_that_it_accepted(
    bedrock_client: Any, bedrock: Stubber, replaced: bool
) -> None:
    expect_deployment(bedrock)
    data, model = trained(), MODEL.model_copy(update={"images_by": "bytes"})
    report = any_report(run="tuned-1", models=[model], promoted="tuned-1-n12-a1")
    data.write_document(keys.report_json_key("tuned-1"), report)
    if replaced:
        deployment = ReplacedDeployment(
            deployment_name="n", deployment_arn=DEPLOYMENT_ARN, model_arn=MODEL_ARN, replaces="earlier"
        )
        data.write_document(keys.deployment_key("tuned-1"), deployment)
    target = tuned_target(with_tuned_model(applying(), data, bedrock_client))

    assert (target.model, target.images_by) == (DEPLOYMENT_ARN, "bytes")


def test_applied_model_of_an_older_run_is_asked_at_the_lowest_temperature(
    bedrock_client: Any, bedrock: Stubber
) -> None:
    expect_deployment(bedrock)
    data = trained()
    run = data.read_document(keys.request_key("tuned-1"), Run)
    older = run.model_copy(update={"teacher": run.teacher.model_copy(update={"temperature": 0})})
    data.write_document(keys.request_key("tuned-1"), older)
    target = tuned_target(with_tuned_model(applying(), data, bedrock_client))

    assert target.labeler.temperature == 0.00001


@pytest.mark.parametrize(
    ("code", "message"),
    [("ResourceNotFoundException", ""), ("ValidationException", "The deployment could not be found.")],
)
def test_deleted_deployment_cannot_be_applied(bedrock_client: Any, bedrock: Stubber, code: str, message: str) -> None:
    bedrock.add_client_error("get_custom_model_deployment", code, message)
    with pytest.raises(InvalidRequest, match="deployment of run 'tuned-1' no longer exists"):
        with_tuned_model(applying(), trained(), bedrock_client)


def test_run_without_a_usable_model_cannot_be_applied(bedrock_client: Any, bedrock: Stubber) -> None:
    with pytest.raises(InvalidRequest, match="apply: this stage has no run 'tuned-1'"):
        with_tuned_model(applying(), bucket(), bedrock_client)
    with pytest.raises(InvalidRequest, match="promoted no model: no gain"):
        with_tuned_model(applying(), trained(None), bedrock_client)
    unfinished = bucket(**{keys.request_key("tuned-1"): any_run().model_dump_json().encode()})
    with pytest.raises(InvalidRequest, match="has no final report"):
        with_tuned_model(applying(), unfinished, bedrock_client)
    growing = trained()
    report = growing.read_document(keys.report_json_key("tuned-1"), Report)
    growing.write_document(keys.report_json_key("tuned-1"), report.model_copy(update={"growth": any_growth()}))
    with pytest.raises(InvalidRequest, match="has no final report: it is still running"):
        with_tuned_model(applying(), growing, bedrock_client)
    expect_deployment(bedrock, "Creating")
    with pytest.raises(InvalidRequest, match="is Creating, not Active"):
        with_tuned_model(applying(), trained(), bedrock_client)
    expect_deployment(bedrock, model_arn=MODEL_ARN.replace("abc", "xyz"))
    with pytest.raises(InvalidRequest, match="run 'tuned-1' was replaced"):
        with_tuned_model(applying(), trained(), bedrock_client)
    bedrock.add_client_error("get_custom_model_deployment", "ResourceNotFoundException")
    with pytest.raises(InvalidRequest, match=r"no longer exists. Train again"):
        with_tuned_model(applying(), trained(), bedrock_client)


def test_run_that_applied_a_model_has_none_of_its_own(bedrock_client: Any, bedrock: Stubber) -> None:
    data = trained()
    report = any_apply_report(run="tuned-1", verdict="1 photo answered.")
    data.write_document(keys.report_json_key("tuned-1"), report)
    with pytest.raises(InvalidRequest, match="promoted no model: 1 photo answered"):
        with_tuned_model(applying(), data, bedrock_client)


def test_throttled_description_of_the_deployment_is_an_error_that_the_state_machine_retries(
    bedrock_client: Any, bedrock: Stubber
) -> None:
    bedrock.add_client_error("get_custom_model_deployment", "ThrottlingException")
    with pytest.raises(Throttled, match="run 'tuned-1'"):
        with_tuned_model(applying(), trained(), bedrock_client)


def test_fields_of_training_cannot_be_combined_with_apply() -> None:
    check_fields_with_apply(
        Request(apply="r", max_usd=1, tolerance=0.1, fallback="teacher", audit_share=0, service_tier="default")
    )
    with pytest.raises(InvalidRequest, match="prompt, train_sizes cannot be combined with apply"):
        check_fields_with_apply(Request(apply="r", prompt="keywords", train_sizes=[12]))


@pytest.mark.parametrize(
    ("request_", "fields"),
    [({"fallback": "teacher"}, "fallback"), ({"audit_share": 0.02, "fallback": "teacher"}, "audit_share, fallback")],
)
def test_fields_of_apply_are_refused_without_it(request_: dict[str, Any], fields: str) -> None:
    check_fields_without_apply(Request())
    with pytest.raises(InvalidRequest, match=f"^{fields}: only a request with 'apply' asks the teacher"):
        check_fields_without_apply(Request(**request_))


def test_run_that_replaces_has_the_deployment_of_the_earlier_run(bedrock_client: Any, bedrock: Stubber) -> None:
    expect_deployment(bedrock)

    run = with_replaced_deployment(replacing(), trained(), bedrock_client)

    assert run.replaces == DEPLOYMENT_ARN
    # Callers do not send the teacher's prompt.
    assert run.prompt != TEACHER_PROMPT


def test_replacement_that_callers_would_notice_is_refused(bedrock_client: Any, bedrock: Stubber) -> None:
    other_prompt = replacing(Prompt(system="s", user="another"))
    expect_deployment(bedrock)
    with pytest.raises(InvalidRequest, match="replace: student_prompt of run 'tuned-1' differ from this request's"):
        with_replaced_deployment(other_prompt, trained(), bedrock_client)
    expect_deployment(bedrock)
    other_student = other_prompt.model_copy(update={"student": "us.amazon.nova-2-lite-v1:0"})
    with pytest.raises(InvalidRequest, match="replace: student and student_prompt of run"):
        with_replaced_deployment(other_student, trained(), bedrock_client)
    expect_deployment(bedrock)
    with pytest.raises(InvalidRequest, match="with keep 'none' no model remains"):
        with_replaced_deployment(replacing(keep="none"), trained(), bedrock_client)
    with pytest.raises(InvalidRequest, match="replace: this stage has no run 'tuned-1'"):
        with_replaced_deployment(replacing(), bucket(), bedrock_client)
