from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from botocore.stub import Stubber

from distillation.errors import AccessDenied, AccessPending, DailyQuotaExceeded, InvalidRequest, Throttled
from distillation.inference.converse import AnswerRejected, ImageSourceRefused, Question, ask
from distillation.inference.labelling import label_batch
from distillation.records import Answer
from tests.support.builders import any_limits, any_run, converse_response, image_names, run_with_limits
from tests.support.fakes import bucket

if TYPE_CHECKING:
    from mypy_boto3_bedrock_runtime.type_defs import ImageSourceTypeDef

IMAGES = image_names(1)


def ask_about_an_image(client: Any) -> Answer:
    run = any_run()
    source: ImageSourceTypeDef = {"s3Location": {"uri": "s3://data/images/900/a.jpg", "bucketOwner": run.account}}
    return ask(client, run.teacher.model, run.teacher, Question(run.prompt, IMAGES[0], source))


@pytest.mark.parametrize(
    ("code", "error_class"),
    [
        ("ThrottlingException", Throttled),
        ("ServiceUnavailableException", Throttled),
        ("ModelTimeoutException", Throttled),
        ("InternalServerException", Throttled),
        ("AccessDeniedException", AccessDenied),
        ("ResourceNotFoundException", InvalidRequest),
        ("ValidationException", AnswerRejected),
    ],
)
def test_error_code_of_bedrock_becomes_an_error_of_the_pipeline(
    client: Any, bedrock: Stubber, code: str, error_class: type[Exception]
) -> None:
    bedrock.add_client_error("converse", code, "why")
    with pytest.raises(error_class, match="why"):
        ask_about_an_image(client)


def test_used_up_daily_quota_is_an_error_of_its_own_that_names_both_causes(client: Any, bedrock: Stubber) -> None:
    message = "Too many tokens per day, please wait before trying again."
    bedrock.add_client_error("converse", "ThrottlingException", message)
    with pytest.raises(
        DailyQuotaExceeded, match=r"Too many tokens per day.* are used up, .* or the quota is 0"
    ) as error:
        ask_about_an_image(client)
    assert not isinstance(error.value, Throttled)

    bedrock.add_client_error("converse", "ThrottlingException", "Too many tokens, please wait before trying again.")
    with pytest.raises(Throttled):
        ask_about_an_image(client)


@pytest.mark.parametrize(
    ("code", "message", "error_class"),
    [
        ("ValidationException", "The provided model identifier is invalid.", InvalidRequest),
        (
            "ValidationException",
            "Invocation of model ID amazon.nova-pro-v1:0 with on-demand throughput isn\u2019t supported. Retry your "
            "request with the ID or ARN of an inference profile that contains this model.",
            InvalidRequest,
        ),
        ("ValidationException", "The provided model doesn't support on-demand throughput.", InvalidRequest),
        (
            "ValidationException",
            "This action doesn't support the model that you provided. Try again with a supported text or chat model.",
            InvalidRequest,
        ),
        ("ValidationException", "Operation not allowed", AccessDenied),
        ("ValidationException", "Value '1.5' at 'inferenceConfig.temperature' failed to satisfy", InvalidRequest),
        ("ValidationException", "`temperature` is deprecated for this model.", InvalidRequest),
        ("ValidationException", "The maximum tokens you requested exceeds the model limit of 100", InvalidRequest),
        ("ValidationException", "Malformed input request: extraneous key [x] is not permitted", InvalidRequest),
        ("ValidationException", "The image source s3Location is not supported.", ImageSourceRefused),
        ("ValidationException", "#/messages/0/image/source: extraneous key [s3Location]", ImageSourceRefused),
        ("ResourceNotFoundException", "Model not found.", InvalidRequest),
        ("ResourceNotFoundException", "Model use case details have not been submitted", AccessDenied),
        ("AccessDeniedException", "You don't have access to the model.", AccessDenied),
        ("AccessDeniedException", "If you recently fixed this issue, try again after 15 minutes.", AccessPending),
    ],
)
def test_error_that_concerns_every_image_ends_the_batch_after_one_call(
    client: Any, bedrock: Stubber, code: str, message: str, error_class: type[Exception]
) -> None:
    bedrock.add_client_error("converse", code, message)
    with pytest.raises(error_class) as error:
        label_batch(any_run(service_tier="default"), IMAGES, bucket(), client, any_limits())
    assert type(error.value) is error_class
    assert message.rstrip(".") in str(error.value)


@pytest.mark.parametrize(
    "message",
    [
        "The image cannot be decoded.",
        "The S3 object s3://data/images/900/a.jpg does not exist.",
        "The model returned the following errors: Could not process image",
        "Input is too long for requested model.",
    ],
)
def test_error_about_one_image_sets_that_image_aside(client: Any, bedrock: Stubber, message: str) -> None:
    bedrock.add_client_error("converse", "ValidationException", message)
    (line,) = label_batch(any_run(service_tier="default"), IMAGES, bucket(), client, any_limits())

    assert (line.status, line.reason) == ("refused", f"ValidationException: {message}")


@pytest.mark.parametrize(("served", "expected"), [(None, "flex"), ("flex", "flex"), ("default", "default")])
def test_answer_has_the_tier_by_which_it_is_billed(
    client: Any, bedrock: Stubber, served: str | None, expected: str
) -> None:
    bedrock.add_response("converse", converse_response() | ({"serviceTier": {"type": served}} if served else {}))
    run = any_run()
    question = Question(run.prompt, IMAGES[0], {"bytes": b"jpeg"}, tier="flex")

    assert ask(client, run.teacher.model, run.teacher, question).tier == expected


@pytest.mark.parametrize("code", ["AccessDeniedException", "ResourceNotFoundException"])
def test_refused_access_names_its_possible_causes(client: Any, bedrock: Stubber, code: str) -> None:
    bedrock.add_client_error("converse", code, "Model use case details have not been submitted.")
    with pytest.raises(AccessDenied) as error:
        ask_about_an_image(client)
    for cause in ("IAM policy", "service control policy (SCP)", "AWS Marketplace subscription", "use-case form"):
        assert cause in str(error.value)


def test_answer_says_how_the_image_was_sent(client: Any, bedrock: Stubber) -> None:
    bedrock.add_response("converse", converse_response())
    bedrock.add_response("converse", converse_response())
    run = any_run()
    by_bytes = ask(client, run.teacher.model, run.teacher, Question(run.prompt, IMAGES[0], {"bytes": b"jpeg"}))

    assert (ask_about_an_image(client).images_by, by_bytes.images_by) == ("s3Location", "bytes")


def test_question_is_valid_in_the_service_model_of_bedrock(client: Any, bedrock: Stubber) -> None:
    bedrock.add_response("converse", converse_response())

    assert ask_about_an_image(client).text == "cat, sofa, window"


def test_answer_cut_off_within_a_character_can_be_stored(client: Any, bedrock: Stubber) -> None:
    bedrock.add_response("converse", converse_response("cat, sofa, \ud83d"))

    assert (
        label_batch(any_run(service_tier="default"), IMAGES, bucket(), client, any_limits())[0].text == "cat, sofa, ?"
    )


def test_retry_does_not_quote_reserved_words(client: Any, bedrock: Stubber, asked_texts: list[str]) -> None:
    for text in ("cat, sofa, User: me", "cat, sofa, lamp"):
        bedrock.add_response("converse", converse_response(text))
    (line,) = label_batch(run_with_limits(3, 9), IMAGES, bucket(), client, any_limits())

    assert line.status == "ok"
    assert "User:" not in asked_texts[1]
    assert "words that are reserved" in asked_texts[1]
