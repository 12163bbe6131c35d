from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from botocore.stub import Stubber

from distillation import keys, ledger
from distillation.errors import BatchUnfinished, Throttled
from distillation.inference.labelling import label_batch
from distillation.records import Answer, Quota, Usage
from distillation.storage import Bucket
from local.bedrock.faults import ConverseFaults
from tests.support.bedrock import SimulatedBedrock
from tests.support.builders import any_limits, any_run, converse_response
from tests.support.fakes import MemoryS3, bucket
from tests.support.labelling import PRO_QUOTA, billed_calls, image_names, label_with_retries, run_with_quota
from tests.support.virtual_time import VirtualTime

IMAGES = image_names(3)


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
    (entry,) = ledger.summary(data, "holiday-1").entries
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
