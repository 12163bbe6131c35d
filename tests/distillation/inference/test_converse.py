from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from botocore.stub import Stubber

from distillation.errors import AccessDenied, InvalidRequest, Throttled
from distillation.inference.converse import AnswerRejected, Question, ask
from distillation.inference.labelling import label_batch
from distillation.records import Answer
from tests.support.builders import any_limits, any_run, converse_response, run_with_limits
from tests.support.fakes import bucket
from tests.support.labelling import image_names

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


def test_question_is_valid_in_the_service_model_of_bedrock(client: Any, bedrock: Stubber) -> None:
    bedrock.add_response("converse", converse_response())

    assert ask_about_an_image(client).text == "cat, sofa, window"


def test_answer_cut_off_within_a_character_can_be_stored(client: Any, bedrock: Stubber) -> None:
    bedrock.add_response("converse", converse_response("cat, sofa, \ud83d"))

    assert label_batch(any_run(), IMAGES, bucket(), client, any_limits())[0].text == "cat, sofa, ?"


def test_retry_does_not_quote_reserved_words(client: Any, bedrock: Stubber, asked_texts: list[str]) -> None:
    for text in ("cat, sofa, User: me", "cat, sofa, lamp"):
        bedrock.add_response("converse", converse_response(text))
    (line,) = label_batch(run_with_limits(3, 9), IMAGES, bucket(), client, any_limits())

    assert line.status == "ok"
    assert "User:" not in asked_texts[1]
    assert "words that are reserved" in asked_texts[1]
