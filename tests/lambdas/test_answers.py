from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from lambdas.label.batch import label_batch
from lambdas.predict.batch import predict_batch
from lambdas.shared import layout, ledger
from lambdas.shared.answers import AnswerRefused, ask, fault
from lambdas.shared.errors import AccessRefused, BadRequest, Throttled
from lambdas.shared.keywords import keywords
from lambdas.shared.objects import Objects
from lambdas.shared.records import Answer, TrainedModel, Usage
from tests.support.stores import any_run, bucket

IMAGES = [f"{n:064x}" for n in range(3)]


def converse_answer(text: str = "cat, sofa, window", stop: str = "end_turn") -> dict[str, Any]:
    return {
        "output": {"message": {"role": "assistant", "content": [{"text": text}]}},
        "stopReason": stop,
        "usage": {"inputTokens": 1000, "outputTokens": 100, "totalTokens": 1100},
        "metrics": {"latencyMs": 5},
    }


@pytest.fixture
def client() -> Any:
    return boto3.client("bedrock-runtime")


@pytest.fixture
def bedrock(client: Any) -> Iterator[Stubber]:
    with Stubber(client) as stubber:
        yield stubber


def ask_about_one(client: Any) -> Answer:
    run = any_run()
    image = {"sha256": IMAGES[0], "uri": "s3://data/images/900/a.jpg", "owner": run.account}
    return ask(client, run.teacher.model, run.teacher, run.prompt, image)


@pytest.mark.parametrize(
    ("code", "failure"),
    [
        ("ThrottlingException", Throttled),
        ("ServiceUnavailableException", Throttled),
        ("ModelTimeoutException", Throttled),
        ("InternalServerException", Throttled),
        ("AccessDeniedException", AccessRefused),
        ("ResourceNotFoundException", BadRequest),
        ("ValidationException", AnswerRefused),
    ],
)
def test_bedrocks_errors_become_what_the_machine_tells_apart(
    client: Any, bedrock: Stubber, code: str, failure: type[Exception]
) -> None:
    bedrock.add_client_error("converse", code, "why")
    with pytest.raises(failure, match="why"):
        ask_about_one(client)


def test_question_is_what_bedrocks_service_model_wants(client: Any, bedrock: Stubber) -> None:
    bedrock.add_response("converse", converse_answer())

    assert ask_about_one(client).text == "cat, sofa, window"


@pytest.mark.parametrize(
    ("text", "stop", "reason"),
    [
        ("cat, sofa, window", "max_tokens", "max_tokens"),
        ("cat, sofa, User: x", "end_turn", "User:"),
        ("I cannot help with that.", "end_turn", "no list of keywords"),
        ("", "end_turn", "no list of keywords"),
        ("cat, sofa, window", "end_turn", None),
    ],
)
def test_answer_counts_only_when_it_is_complete_and_a_list(text: str, stop: str, reason: str | None) -> None:
    answer = Answer(
        model="m",
        image="i",
        text=text,
        stop_reason=stop,
        usage=Usage(input_tokens=1, output_tokens=1),
        latency_ms=1,
    )
    assert (reason in (fault(answer) or "")) if reason else fault(answer) is None


def label(data: Objects, client: Any, images: list[str] = IMAGES) -> list[str]:
    return [line.status for line in label_batch(any_run(), images, data, client)]


def test_label_is_paid_for_once(client: Any, bedrock: Stubber) -> None:
    data = bucket()
    for _ in IMAGES:
        bedrock.add_response("converse", converse_answer())
    assert label(data, client) == ["ok"] * 3
    assert label(data, client) == ["ok"] * 3

    bedrock.assert_no_pending_responses()
    (entry,) = ledger.summary(data, "holiday-1")["entries"]
    assert (entry["calls"], entry["reused"]) == (3, 3)
    assert ledger.total_usd(data, "holiday-1") == pytest.approx(3 * (1000 * 0.8 + 100 * 3.2) / 1e6)


def test_throttled_batch_keeps_what_was_answered_and_says_what_was_paid(client: Any, bedrock: Stubber) -> None:
    data = bucket()
    bedrock.add_response("converse", converse_answer())
    for _ in IMAGES[1:]:
        bedrock.add_client_error("converse", "ThrottlingException", "slow down")
    with pytest.raises(Throttled):
        label(data, client)

    assert len(list(data.keys("labels/"))) == 1
    assert ledger.summary(data, "holiday-1")["entries"][0]["calls"] == 1
    assert list(data.keys(layout.parts("holiday-1", "label"))) == []


def test_refused_item_is_a_line_and_the_others_go_on(client: Any, bedrock: Stubber) -> None:
    bedrock.add_response("converse", converse_answer())
    bedrock.add_client_error("converse", "ValidationException", "bad image")
    bedrock.add_response("converse", converse_answer(stop="content_filtered"))

    assert sorted(label(bucket(), client)) == ["ok", "refused", "refused"]


def test_base_tuned_and_ceiling_are_asked_and_failed_sizes_are_not(client: Any, bedrock: Stubber) -> None:
    arn = "arn:aws:bedrock:us-east-1:000000000000:custom-model-deployment/abcdefghijkl"
    models = [
        TrainedModel(size=12, status="Active", model="m", deployment=arn),
        TrainedModel(size=30, status="Failed", reason="x"),
    ]
    for _ in range(3):
        bedrock.add_response("converse", converse_answer())
    lines = predict_batch(any_run(), models, IMAGES[:1], bucket(), client)

    assert [line.answerer for line in lines] == ["base", "n12", "ceiling"]
    bedrock.assert_no_pending_responses()


def test_keywords_are_normalised() -> None:
    text = '1. Cat\n- "Golden-Hour", cat; ＷＩＤＥ  view、 * sky.'

    assert keywords(text) == ["cat", "golden hour", "wide view", "sky"]
