from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from distillation import keys
from distillation.inference.label_lock import LIFETIME_SECONDS, LabelLock, find_answer
from distillation.records import Answer, AnswerLine, Usage
from distillation.storage import Bucket
from tests.support.builders import image_names
from tests.support.fakes import MemoryS3, bucket
from tests.support.labelling import PRO_QUOTA, billed_calls, label_with_retries, run_with_quota
from tests.support.simulated_bedrock import SimulatedBedrock
from tests.support.stored import read_json
from tests.support.virtual_time import VirtualTime

(IMAGE,) = image_names(1)
ANSWER_KEY = keys.label_key("labeler", IMAGE, 0)
ANSWER = Answer(
    model="m",
    image=IMAGE,
    text="cat",
    stop_reason="end_turn",
    usage=Usage(input_tokens=1, output_tokens=1),
    latency_ms=1,
)


def lock_of(run: str, data: Bucket, seconds: float = 0) -> LabelLock:
    """Return a lock on one answer, whose clock shows ``seconds``."""
    return LabelLock(data, ANSWER_KEY, IMAGE, run, lambda: seconds)


def test_lock_is_acquired_by_one_run_only() -> None:
    data = bucket()

    assert lock_of("holiday-1", data).acquire()
    assert not lock_of("holiday-2", data, seconds=LIFETIME_SECONDS - 1).acquire()


def test_lock_is_acquired_again_by_a_retry_of_its_own_run() -> None:
    data = bucket()
    lock_of("holiday-1", data).acquire()

    assert lock_of("holiday-1", data).acquire()
    assert not lock_of("holiday-2", data).acquire()


def test_expired_lock_is_taken_over() -> None:
    data = bucket()
    lock_of("holiday-1", data).acquire()

    assert lock_of("holiday-2", data, seconds=LIFETIME_SECONDS).acquire()
    assert not lock_of("holiday-1", data, seconds=LIFETIME_SECONDS).acquire()


def test_released_lock_is_taken_over() -> None:
    data = bucket()
    lock = lock_of("holiday-1", data)
    lock.acquire()
    lock.release()

    assert lock_of("holiday-2", data).acquire()


def test_expired_lock_is_not_acquired_when_the_answer_is_stored() -> None:
    data = bucket()
    lock_of("holiday-1", data).acquire()
    data.write_document(ANSWER_KEY, ANSWER)

    assert not lock_of("holiday-2", data, seconds=LIFETIME_SECONDS).acquire()


@pytest.mark.parametrize("damage", [b"", b"\xff", b"{}", b"null", b'{"run": "holiday-1", "until": 1e12}'])
def test_damaged_lock_is_taken_over(damage: bytes) -> None:
    data = bucket(**{keys.lock_key(ANSWER_KEY): damage})

    assert lock_of("holiday-2", data).acquire()
    assert not lock_of("holiday-3", data).acquire()


@pytest.mark.parametrize(
    "damage",
    [b"", b"\xff", b"{}", b"[]", ANSWER.model_copy(update={"image": "other"}).model_dump_json().encode()],
)
def test_damaged_answer_is_no_answer(damage: bytes) -> None:
    data = bucket(**{ANSWER_KEY: damage})

    assert find_answer(ANSWER_KEY, IMAGE, data) is None
    assert lock_of("holiday-1", data).acquire()
    assert lock_of("holiday-2", data, seconds=LIFETIME_SECONDS).acquire()


@pytest.mark.parametrize(("seconds", "expires"), [(0.5, 1.0), (0.51, 1.51)])
def test_lock_is_extended_after_half_of_its_lifetime(seconds: float, expires: float) -> None:
    data, now = bucket(), 0.0
    lock = LabelLock(data, ANSWER_KEY, IMAGE, "holiday-1", lambda: now)
    lock.acquire()
    now = seconds * LIFETIME_SECONDS
    lock.extend()

    assert read_json(data, keys.lock_key(ANSWER_KEY)) == {"run": "holiday-1", "until": expires * LIFETIME_SECONDS}


def test_two_concurrent_runs_pay_for_each_label_once() -> None:
    time, data, images = VirtualTime(), bucket(), image_names(200)
    bedrock = SimulatedBedrock(time)
    runs = [run_with_quota(PRO_QUOTA, name) for name in ("holiday-1", "holiday-2")]
    results = list(time.clock.pool(2).map(lambda run: label_with_retries(time, run, images, data, bedrock), runs))

    for lines, _ in results:
        assert [line.status for line in lines] == ["ok"] * 200
    assert sum(bedrock.answered.values()) == 200
    assert billed_calls(data, "holiday-1", "holiday-2") == 200
    assert {line.text for line in results[0][0]} == {line.text for line in results[1][0]}


class ThrottlingBedrock(SimulatedBedrock):
    """Throttles all calls of its first ten minutes."""

    def converse(self, **question: Any) -> dict[str, Any]:
        if self.time.now() < 600:
            raise ClientError({"Error": {"Code": "ThrottlingException", "Message": "slow down"}}, "Converse")
        return super().converse(**question)


def test_lock_is_extended_while_its_run_is_throttled() -> None:
    time, data = VirtualTime(), bucket()
    run, bedrock = run_with_quota(PRO_QUOTA), ThrottlingBedrock(time, PRO_QUOTA)
    (image,) = image_names(1)
    label_with_retries(time, run, [image], data, bedrock)
    lock = read_json(data, keys.lock_key(keys.label_key(run.teacher.id, image, 0)))

    assert time.now() >= 600
    assert lock["until"] > time.now()


def test_locks_of_a_crashed_run_are_taken_over_when_they_expire() -> None:
    time, data, images = VirtualTime(), bucket(), image_names(20)
    crashed_run = run_with_quota(PRO_QUOTA, "holiday-1")
    bedrock = SimulatedBedrock(time)
    for image in images[:3]:
        key = keys.label_key(crashed_run.teacher.id, image, 0)
        data.write_json(keys.lock_key(key), {"run": "holiday-1", "until": time.now() + 300})
    started = time.now()
    lines, _ = label_with_retries(time, run_with_quota(PRO_QUOTA, "holiday-2"), images, data, bedrock)

    assert [line.status for line in lines] == ["ok"] * 20
    assert 300 <= time.now() - started < 360
    assert label_with_retries(time, crashed_run, images, data, bedrock)[0] == [as_reused(line) for line in lines]


def as_reused(line: AnswerLine) -> AnswerLine:
    return line.model_copy(update={"reused": True})


class ConflictingS3(MemoryS3):
    """S3 where the first creation of each lock conflicts with another writer."""

    def __init__(self) -> None:
        super().__init__()
        self.conflicts: set[str] = set()

    def put_object(self, *, Key: str, **rest: Any) -> None:  # noqa: N803 - boto3's names
        if Key.startswith("work/locks/") and Key not in self.conflicts:
            self.conflicts.add(Key)
            raise ClientError({"Error": {"Code": "ConditionalRequestConflict"}}, "PutObject")
        super().put_object(Key=Key, **rest)


def test_lock_that_another_run_is_creating_is_tried_again_later() -> None:
    time, data = VirtualTime(), Bucket(ConflictingS3(), "data")  # type: ignore[arg-type] - in memory
    bedrock = SimulatedBedrock(time)
    lines, invocations = label_with_retries(time, run_with_quota(PRO_QUOTA), image_names(20), data, bedrock)

    assert (invocations, [line.status for line in lines]) == (1, ["ok"] * 20)
    assert set(bedrock.answered.values()) == {1}
