from __future__ import annotations

import pytest

from distillation import keys
from distillation.errors import AccessDenied, DailyQuotaExceeded, Throttled
from distillation.runs.notification import Message
from distillation.runs.quota_notification import announce_waiting
from tests.support.builders import any_run
from tests.support.fakes import bucket
from tests.support.stored import read_json


def test_first_batch_of_a_run_that_waits_is_announced_once() -> None:
    data, published = bucket(), list[Message]()
    for name in ("holiday-1", "holiday-1", "holiday-2"):
        run = any_run().model_copy(update={"name": name})
        with pytest.raises(DailyQuotaExceeded), announce_waiting(run, data, published.append):
            raise DailyQuotaExceeded("Too many tokens per day. Either used up or 0")

    assert [message.run for message in published] == ["holiday-1", "holiday-2"]
    assert published[0].subject == "Vision Distillation holiday-1: waits for its daily quota"
    for words in ("Either used up or 0", "every hour, for up to 26 hours", any_run().execution):
        assert words in published[0].text
    assert "Either used up or 0" in read_json(data, keys.waiting_key("holiday-1"))["error"]


def test_other_errors_are_not_announced() -> None:
    data, published = bucket(), list[Message]()
    with pytest.raises(Throttled), announce_waiting(any_run(), data, published.append):
        raise Throttled("slow down")
    with announce_waiting(any_run(), data, published.append):
        pass

    assert (published, list(data.keys(""))) == ([], [])


def test_notification_that_cannot_be_published_does_not_hide_the_error() -> None:
    def publish(_: Message) -> None:
        raise AccessDenied("no sns:Publish")

    with pytest.raises(DailyQuotaExceeded), announce_waiting(any_run(), bucket(), publish):
        raise DailyQuotaExceeded("used up")
