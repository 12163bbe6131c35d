from __future__ import annotations

from collections import Counter
from hashlib import sha256
from typing import Any

import pytest
from botocore.stub import Stubber

from distillation import keys, ledger
from distillation.errors import BatchUnfinished, Throttled
from distillation.inference.image_batch import ImageBatch
from distillation.inference.labelling import label_batch
from distillation.inference.predictions import predict_batch, student_target
from distillation.records import Answer, AnswerLine, Quota, Run, Usage
from distillation.storage import Bucket
from local.bedrock.faults import ConverseFaults
from tests.support.builders import any_limits, any_run, converse_response, image_names
from tests.support.fakes import MemoryS3, bucket
from tests.support.labelling import PRO_QUOTA, billed_calls, label_with_retries, run_with_quota
from tests.support.simulated_bedrock import SimulatedBedrock
from tests.support.virtual_time import VirtualTime

IMAGES = image_names(3)
PRO = "amazon.nova-pro-v1:0"
HAIKU = "us.anthropic.claude-haiku-4-5-20251001-v1:0"


def run_with_teacher(model: str) -> Run:
    run = any_run()
    return run.model_copy(update={"teacher": run.teacher.model_copy(update={"model": model})})


class FasterWriterS3(MemoryS3):
    """S3 where another writer stores each label just before ours."""

    def put_object(self, *, Key: str, Body: Any, IfNoneMatch: str = "", **rest: Any) -> None:  # noqa: N803
        if Key.startswith("labels/") and Key not in self.objects:
            answer = Answer(
                model="m",
                image=IMAGES[0],
                text="dog, lawn, ball",
                stop_reason="end_turn",
                usage=Usage(input_tokens=1, output_tokens=1),
                latency_ms=1,
            )
            self.objects[Key] = answer.model_dump_json().encode()
        super().put_object(Key=Key, Body=Body, IfNoneMatch=IfNoneMatch, **rest)


def test_label_that_another_batch_stored_first_wins_and_both_calls_are_in_the_ledger(
    client: Any, bedrock: Stubber
) -> None:
    data = Bucket(FasterWriterS3(), "data")  # type: ignore[arg-type] - in memory
    bedrock.add_response("converse", converse_response())
    (line,) = label_batch(any_run(), IMAGES[:1], data, client, any_limits())

    assert (line.text, line.reused) == ("dog, lawn, ball", False)
    (entry,) = ledger.summary("holiday-1", data).entries
    assert (entry.calls, entry.input_tokens) == (1, 1000)


def test_throttled_batch_stores_its_answers_and_their_cost(client: Any, bedrock: Stubber) -> None:
    data = bucket()
    bedrock.add_response("converse", converse_response())
    for _ in IMAGES[1:]:
        bedrock.add_client_error("converse", "ThrottlingException", "slow down")
    with pytest.raises(BatchUnfinished, match="1 of 3 images have an answer"):
        label_batch(any_run(), IMAGES, data, client, any_limits(VirtualTime().clock, seconds=0))

    assert len(list(data.keys("labels/"))) == 1
    assert billed_calls(data, "holiday-1") == 1
    assert list(data.keys(keys.parts_prefix("holiday-1", "label"))) == []


def test_batch_stops_before_its_function_ends_and_the_next_attempt_loses_nothing() -> None:
    time, data, images = VirtualTime(), bucket(), image_names(100)
    quota = Quota(requests_per_minute=5)
    bedrock = SimulatedBedrock(time, quota)
    started = time.now()
    with pytest.raises(BatchUnfinished, match="of 100 images have an answer"):
        label_batch(run_with_quota(quota), images, data, bedrock, any_limits(time.clock, 750))  # type: ignore[arg-type]
    assert time.now() - started < 780
    assert billed_calls(data, "holiday-1") == len(bedrock.answered) > 50
    lines, invocations = label_with_retries(time, run_with_quota(quota), images, data, bedrock)

    assert invocations == 1
    assert Counter(line.reused for line in lines)[True] > 50
    assert set(bedrock.answered.values()) == {1}
    assert billed_calls(data, "holiday-1") == 100


def test_batch_without_any_answer_raises_throttled() -> None:
    time, data = VirtualTime(), bucket()
    bedrock = SimulatedBedrock(time, PRO_QUOTA, ConverseFaults(shares={"ServiceUnavailableException": 1.0}))
    run = run_with_quota(PRO_QUOTA)
    with pytest.raises(Throttled, match="0 of 20 images"):
        label_batch(run, image_names(20), data, bedrock, any_limits(time.clock))  # type: ignore[arg-type]

    assert billed_calls(data, "holiday-1") == 0
    assert not list(data.keys(keys.parts_prefix("holiday-1", "label")))


def test_nova_gets_the_s3_uri_of_an_image_and_claude_its_bytes(
    client: Any, bedrock: Stubber, converse_calls: list[dict[str, Any]]
) -> None:
    for _ in range(2):
        bedrock.add_response("converse", converse_response())
    image = sha256(b"jpeg").hexdigest()
    data = bucket(**{f"images/900/{image}.jpg": b"jpeg"})
    label_batch(run_with_teacher(PRO), [image], bucket(), client, any_limits())
    label_batch(run_with_teacher(HAIKU), [image], data, client, any_limits())

    sources = [call["messages"][0]["content"][1]["image"]["source"] for call in converse_calls]
    assert sources[0]["s3Location"]["uri"] == f"s3://data/images/900/{image}.jpg"
    assert sources[1] == {"bytes": b"jpeg"}
    assert [call["modelId"] for call in converse_calls] == [PRO, HAIKU]


def test_image_too_large_for_a_request_is_set_aside_without_a_call(
    client: Any, bedrock: Stubber, converse_calls: list[dict[str, Any]]
) -> None:
    data = bucket(**{f"images/900/{IMAGES[0]}.jpg": b"x" * 3_932_161})
    (line,) = label_batch(run_with_teacher(HAIKU), IMAGES[:1], data, client, any_limits())

    assert line.status == "refused"
    assert "3,932,161 bytes, more than the 3,932,160" in (line.reason or "")
    assert converse_calls == []


@pytest.mark.parametrize("body", [None, b"jp"], ids=["deleted", "changed"])
def test_image_that_was_damaged_after_resizing_is_set_aside_by_key_without_a_call(
    body: bytes | None, client: Any, bedrock: Stubber, converse_calls: list[dict[str, Any]]
) -> None:
    image = sha256(b"jpeg").hexdigest()
    data = bucket(**{f"images/900/{image}.jpg": body} if body else {})
    (line,) = label_batch(run_with_teacher(HAIKU), [image], data, client, any_limits())

    state = "changed" if body else "deleted"
    assert (line.status, converse_calls) == ("refused", [])
    assert (line.reason or "").startswith(f"s3://data/images/900/{image}.jpg was {state} after ResizePhotos.")


@pytest.mark.parametrize("damage", [b"", b"\xff\xfe", b'{"model": "m"', b"{}"])
@pytest.mark.parametrize("answerer", ["teacher", "n12"])
def test_damaged_stored_answer_is_asked_again_and_replaced(
    damage: bytes, answerer: str, client: Any, bedrock: Stubber
) -> None:
    run, data = any_run(), bucket()
    keys_by_answerer = {
        "teacher": keys.label_key("labeler", IMAGES[0], 0),
        "n12": keys.prediction_key(run.name, "n12", IMAGES[0]),
    }
    key = keys_by_answerer[answerer]

    def lines() -> list[AnswerLine]:
        if answerer == "teacher":
            return label_batch(run, IMAGES[:1], data, client, any_limits())
        return ImageBatch(run, "Deploy", data, client, any_limits()).ask(
            student_target(run, "n12", run.student), IMAGES[:1]
        )

    data.write(key, damage)
    bedrock.add_response("converse", converse_response())

    assert [line.reused for line in lines()] == [False]
    assert data.read_document(key, Answer).text == "cat, sofa, window"
    assert [line.reused for line in lines()] == [True]


def test_flex_tier_is_requested_and_billed_at_half_the_price_for_the_teacher_only(
    client: Any, bedrock: Stubber, converse_calls: list[dict[str, Any]]
) -> None:
    for _ in range(3):
        bedrock.add_response("converse", converse_response())
    data, run = bucket(), any_run(service_tier="flex")
    label_batch(run, IMAGES[:1], data, client, any_limits())
    predict_batch(run, [], IMAGES[:1], data, client, any_limits())

    assert [call.get("serviceTier") for call in converse_calls] == [{"type": "flex"}, None, {"type": "flex"}]
    usd = {(entry.step, entry.model): entry.usd for entry in ledger.summary(run.name, data).entries}
    assert usd["LabelImages", PRO] == pytest.approx((1000 * 0.8 + 100 * 3.2) / 1e6 / 2)
