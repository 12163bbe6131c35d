from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.stub import Stubber

from distillation import keys, ledger
from distillation.answers.formats.keywords import normalise
from distillation.answers.refusals import find_refusal
from distillation.errors import AccessDenied, BatchUnfinished, InvalidRequest, Throttled
from distillation.inference.converse import AnswerRejected, Question, ask, rejection
from distillation.inference.labelling import label_batch
from distillation.inference.predictions import predict_batch
from distillation.records import Answer, Limits, Run, TrainedModel, Usage
from distillation.storage import Bucket
from tests.support.builders import any_limits, any_run
from tests.support.fakes import MemoryS3, bucket
from tests.support.virtual_time import VirtualTime

if TYPE_CHECKING:
    from mypy_boto3_bedrock_runtime.type_defs import ImageSourceTypeDef

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
    source: ImageSourceTypeDef = {"s3Location": {"uri": "s3://data/images/900/a.jpg", "bucketOwner": run.account}}
    return ask(client, run.teacher.model, run.teacher, Question(run.prompt, IMAGES[0], source))


@pytest.mark.parametrize(
    ("code", "failure"),
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
def test_bedrocks_errors_become_what_the_machine_tells_apart(
    client: Any, bedrock: Stubber, code: str, failure: type[Exception]
) -> None:
    bedrock.add_client_error("converse", code, "why")
    with pytest.raises(failure, match="why"):
        ask_about_one(client)


def test_question_is_what_bedrocks_service_model_wants(client: Any, bedrock: Stubber) -> None:
    bedrock.add_response("converse", converse_answer())

    assert ask_about_one(client).text == "cat, sofa, window"


def answer(text: str, stop: str = "end_turn") -> Answer:
    usage = Usage(input_tokens=1, output_tokens=1)
    return Answer(model="m", image="i", text=text, stop_reason=stop, usage=usage, latency_ms=1)


def asked_for(least: int, most: int, **request: Any) -> Run:
    return any_run(**request).model_copy(update={"limits": Limits(minimum=least, maximum=most)})


@pytest.mark.parametrize(
    ("text", "stop", "reason"),
    [
        ("cat, sofa, window", "max_tokens", "max_tokens"),
        ("cat, sofa, window", "content_filtered", "content_filtered"),
        ("cat, sofa, User: x", "end_turn", "User:"),
        ("I cannot help with that.", "end_turn", "is a refusal: 'I cannot help'"),
        ("cat, sofa, but I can\u2019t identify people", "end_turn", "is a refusal"),
        ("", "end_turn", "no list of keywords"),
        ("The photo shows a cat on a sofa, a window, and a lamp", "end_turn", "no list of keywords"),
        ("cat, Cat, cats-eye", "end_turn", "2 distinct keywords, not 3 to 4"),
        ("a, b, c, d, e", "end_turn", "5 distinct keywords, not 3 to 4"),
        ("cat, sofa, window", "end_turn", None),
    ],
)
def test_answer_counts_only_when_it_is_complete_and_the_list_that_was_asked_for(
    text: str, stop: str, reason: str | None
) -> None:
    found = rejection(asked_for(3, 4), answer(text, stop))

    assert (reason in (found or "")) if reason else found is None


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't help with this image.",
        "I am sorry, I am unable to describe people.",
        "I apologise for the confusion.",
        "As an AI, I have no eyes.",
        "I will not be able to identify anyone",
        "Unable to process the image",
        "This goes against my content guidelines",
        "The generated text has been blocked by our content filters.",
    ],
)
def test_refusals_are_told_from_keywords(text: str) -> None:
    assert find_refusal(text)


@pytest.mark.parametrize(
    "text", ["sorry, apology card, cannot, helper", "protest, i can't breathe, sign", "asana, aids"]
)
def test_keywords_that_only_sound_like_refusals_are_none(text: str) -> None:
    assert find_refusal(text) is None


def label(data: Bucket, client: Any, images: list[str] = IMAGES) -> list[str]:
    return [line.status for line in label_batch(any_run(), images, data, client, any_limits())]


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


def asked_texts(client: Any) -> list[str]:
    """Collect the text of each question that is asked from now on."""
    texts: list[str] = []
    client.meta.events.register(
        "provide-client-params.bedrock-runtime.Converse",
        lambda params, **_: texts.append(params["messages"][0]["content"][0]["text"]),
    )
    return texts


def test_answer_that_does_not_count_is_asked_for_once_more_with_the_reason(client: Any, bedrock: Stubber) -> None:
    data, texts = bucket(), asked_texts(client)
    bedrock.add_response("converse", converse_answer("cat, sofa"))
    bedrock.add_response("converse", converse_answer("cat, sofa, window"))
    (line,) = label_batch(asked_for(3, 9), IMAGES[:1], data, client, any_limits())

    assert (line.status, line.text) == ("ok", "cat, sofa, window")
    assert texts[0] == "Write keywords."
    assert texts[1].startswith("Write keywords.\n\n")
    assert "2 distinct keywords, not 3 to 9" in texts[1]
    assert ledger.summary(data, "holiday-1")["entries"][0]["calls"] == 2


def test_answer_cut_off_within_a_character_is_kept_all_the_same(client: Any, bedrock: Stubber) -> None:
    bedrock.add_response("converse", converse_answer("cat, sofa, \ud83d"))

    assert label_batch(any_run(), IMAGES[:1], bucket(), client, any_limits())[0].text == "cat, sofa, ?"


def test_reserved_word_is_not_quoted_to_the_teacher_that_said_it(client: Any, bedrock: Stubber) -> None:
    texts = asked_texts(client)
    for text in ("cat, sofa, User: me", "cat, sofa, lamp"):
        bedrock.add_response("converse", converse_answer(text))
    (line,) = label_batch(asked_for(3, 9), IMAGES[:1], bucket(), client, any_limits())

    assert line.status == "ok"
    assert "User:" not in texts[1]
    assert "words that are reserved" in texts[1]


def test_answer_that_fails_twice_is_set_aside_and_never_paid_for_again(client: Any, bedrock: Stubber) -> None:
    data = bucket()
    for _ in range(2):
        bedrock.add_response("converse", converse_answer("cat, sofa"))
    for _ in range(2):
        (line,) = label_batch(asked_for(3, 9), IMAGES[:1], data, client, any_limits())
        assert (line.status, line.reason) == ("refused", "the answer has 2 distinct keywords, not 3 to 9")

    assert label_batch(asked_for(2, 9), IMAGES[:1], data, client, any_limits())[0].status == "ok"
    assert ledger.summary(data, "holiday-1")["entries"][0]["calls"] == 2


def test_first_answer_stays_paid_for_when_the_second_call_is_throttled(client: Any, bedrock: Stubber) -> None:
    data = bucket()
    bedrock.add_response("converse", converse_answer("cat, sofa"))
    bedrock.add_client_error("converse", "ThrottlingException", "slow down")
    with pytest.raises(Throttled):
        label_batch(asked_for(3, 9), IMAGES[:1], data, client, any_limits(VirtualTime().clock, seconds=0))
    bedrock.add_response("converse", converse_answer("cat, sofa, window"))

    assert label_batch(asked_for(3, 9), IMAGES[:1], data, client, any_limits())[0].status == "ok"
    assert ledger.summary(data, "holiday-1")["entries"][0]["calls"] == 2


def test_students_are_asked_once_whatever_they_say(client: Any, bedrock: Stubber) -> None:
    bedrock.add_response("converse", converse_answer("cat"))
    for _ in range(2):
        bedrock.add_response("converse", converse_answer("cat"))
    base, ceiling = predict_batch(asked_for(3, 9), [], IMAGES[:1], bucket(), client, any_limits())

    assert (base.status, ceiling.status) == ("refused", "refused")
    bedrock.assert_no_pending_responses()


class Overtaken(MemoryS3):
    """A bucket where another writer is always a moment faster."""

    def put_object(self, *, Key: str, Body: Any, IfNoneMatch: str = "", **rest: Any) -> None:  # noqa: N803
        if Key.startswith("labels/") and Key not in self.objects:
            self.objects[Key] = (
                answer("dog, lawn, ball").model_copy(update={"image": IMAGES[0]}).model_dump_json().encode()
            )
        super().put_object(Key=Key, Body=Body, IfNoneMatch=IfNoneMatch, **rest)


def test_of_two_writers_of_one_label_the_slower_takes_the_faster_ones_and_its_call_is_in_the_ledger(
    client: Any, bedrock: Stubber
) -> None:
    data = Bucket(Overtaken(), "data")  # type: ignore[arg-type] - in memory
    bedrock.add_response("converse", converse_answer())
    (line,) = label_batch(any_run(), IMAGES[:1], data, client, any_limits())

    assert (line.text, line.reused) == ("dog, lawn, ball", False)
    (entry,) = ledger.summary(data, "holiday-1")["entries"]
    assert (entry["calls"], entry["input_tokens"]) == (1, 1000)


def test_more_photos_and_more_samples_ask_only_for_what_is_missing(client: Any, bedrock: Stubber) -> None:
    data = bucket()
    for _ in IMAGES:
        bedrock.add_response("converse", converse_answer())
    label(data, client, IMAGES[:2])
    label(data, client, IMAGES)
    bedrock.assert_no_pending_responses()
    for _ in IMAGES:
        bedrock.add_response("converse", converse_answer())
    lines = label_batch(any_run(samples_per_image=2, temperature=0.5), IMAGES, data, client, any_limits())

    assert [(line.sample, line.reused) for line in lines] == [(0, True)] * 3 + [(1, False)] * 3
    (entry,) = ledger.summary(data, "holiday-1")["entries"]
    assert (entry["calls"], entry["reused"]) == (6, 5)


def test_throttled_batch_keeps_what_was_answered_and_says_what_was_paid(client: Any, bedrock: Stubber) -> None:
    data = bucket()
    bedrock.add_response("converse", converse_answer())
    for _ in IMAGES[1:]:
        bedrock.add_client_error("converse", "ThrottlingException", "slow down")
    with pytest.raises(BatchUnfinished, match="1 of 3 images have an answer"):
        label_batch(any_run(), IMAGES, data, client, any_limits(VirtualTime().clock, seconds=0))

    assert len(list(data.keys("labels/"))) == 1
    assert ledger.summary(data, "holiday-1")["entries"][0]["calls"] == 1
    assert list(data.keys(keys.parts_prefix("holiday-1", "label"))) == []


def test_refused_item_is_a_line_and_the_others_go_on(client: Any, bedrock: Stubber) -> None:
    bedrock.add_response("converse", converse_answer())
    bedrock.add_client_error("converse", "ValidationException", "bad image")
    for _ in range(2):
        bedrock.add_response("converse", converse_answer(stop="content_filtered"))

    assert sorted(label(bucket(), client)) == ["ok", "refused", "refused"]


def test_base_tuned_and_ceiling_are_asked_and_failed_sizes_are_not(client: Any, bedrock: Stubber) -> None:
    arn = "arn:aws:bedrock:us-east-1:000000000000:custom-model-deployment/abcdefghijkl"
    models = [
        TrainedModel(size=12, status="Active", model_name="m", deployment_arn=arn),
        TrainedModel(size=30, status="Failed", reason="x"),
    ]
    for _ in range(3):
        bedrock.add_response("converse", converse_answer())
    lines = predict_batch(any_run(), models, IMAGES[:1], bucket(), client, any_limits())

    assert [line.answerer for line in lines] == ["base", "n12", "ceiling"]
    bedrock.assert_no_pending_responses()


def test_keywords_are_normalised() -> None:
    text = '1. Cat\n- "Golden-Hour", cat; ＷＩＤＥ  view、 * sky.'

    assert normalise(text) == ["cat", "golden hour", "wide view", "sky"]
