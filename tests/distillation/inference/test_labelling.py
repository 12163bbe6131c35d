from __future__ import annotations

from typing import Any

import pytest
from botocore.stub import Stubber

from distillation import ledger
from distillation.errors import Throttled
from distillation.inference.labelling import label_batch
from distillation.storage import Bucket
from tests.support.builders import any_limits, any_run, converse_response, image_names, run_with_limits
from tests.support.fakes import bucket
from tests.support.labelling import billed_calls
from tests.support.virtual_time import VirtualTime

IMAGES = image_names(3)


def label_statuses(data: Bucket, client: Any, images: list[str] = IMAGES) -> list[str]:
    return [line.status for line in label_batch(any_run(service_tier="default"), images, data, client, any_limits())]


def test_label_is_paid_for_once(client: Any, bedrock: Stubber) -> None:
    data = bucket()
    for _ in IMAGES:
        bedrock.add_response("converse", converse_response())
    assert label_statuses(data, client) == ["ok"] * 3
    assert label_statuses(data, client) == ["ok"] * 3

    bedrock.assert_no_pending_responses()
    (entry,) = ledger.summary("holiday-1", data).entries
    assert (entry.calls, entry.reused) == (3, 3)
    assert ledger.paid_and_reserved_usd("holiday-1", data)[0] == pytest.approx(3 * (1000 * 0.8 + 100 * 3.2) / 1e6)


def test_more_images_and_more_samples_ask_only_for_missing_labels(client: Any, bedrock: Stubber) -> None:
    data = bucket()
    for _ in IMAGES:
        bedrock.add_response("converse", converse_response())
    label_statuses(data, client, IMAGES[:2])
    label_statuses(data, client, IMAGES)
    bedrock.assert_no_pending_responses()
    for _ in IMAGES:
        bedrock.add_response("converse", converse_response())
    lines = label_batch(
        any_run(samples_per_image=2, temperature=0.5, service_tier="default"), IMAGES, data, client, any_limits()
    )

    assert [(line.sample, line.reused) for line in lines] == [(0, True)] * 3 + [(1, False)] * 3
    (entry,) = ledger.summary("holiday-1", data).entries
    assert (entry.calls, entry.reused) == (6, 5)


def test_teacher_is_asked_once_more_with_the_reason_after_a_rejected_answer(
    client: Any, bedrock: Stubber, asked_texts: list[str]
) -> None:
    data = bucket()
    bedrock.add_response("converse", converse_response("cat, sofa"))
    bedrock.add_response("converse", converse_response("cat, sofa, window"))
    (line,) = label_batch(run_with_limits(3, 9), IMAGES[:1], data, client, any_limits())

    assert (line.status, line.text) == ("ok", "cat, sofa, window")
    assert asked_texts[0] == "Write keywords."
    assert asked_texts[1].startswith("Write keywords.\n\n")
    assert "2 distinct keywords, not 3 to 9" in asked_texts[1]
    assert billed_calls(data, "holiday-1") == 2


def test_image_is_set_aside_after_two_rejected_answers_and_never_asked_about_again(
    client: Any, bedrock: Stubber
) -> None:
    data = bucket()
    for _ in range(2):
        bedrock.add_response("converse", converse_response("cat, sofa"))
    for _ in range(2):
        (line,) = label_batch(run_with_limits(3, 9), IMAGES[:1], data, client, any_limits())
        assert (line.status, line.reason) == ("refused", "the answer has 2 distinct keywords, not 3 to 9")

    assert label_batch(run_with_limits(2, 9), IMAGES[:1], data, client, any_limits())[0].status == "ok"
    assert billed_calls(data, "holiday-1") == 2


def test_first_answer_is_stored_when_the_second_call_is_throttled(client: Any, bedrock: Stubber) -> None:
    data = bucket()
    bedrock.add_response("converse", converse_response("cat, sofa"))
    bedrock.add_client_error("converse", "ThrottlingException", "slow down")
    with pytest.raises(Throttled):
        label_batch(run_with_limits(3, 9), IMAGES[:1], data, client, any_limits(VirtualTime().clock, seconds=0))
    bedrock.add_response("converse", converse_response("cat, sofa, window"))

    assert label_batch(run_with_limits(3, 9), IMAGES[:1], data, client, any_limits())[0].status == "ok"
    assert billed_calls(data, "holiday-1") == 2


def test_refused_image_does_not_stop_the_batch(client: Any, bedrock: Stubber) -> None:
    bedrock.add_response("converse", converse_response())
    bedrock.add_client_error("converse", "ValidationException", "bad image")
    for _ in range(2):
        bedrock.add_response("converse", converse_response(stop_reason="content_filtered"))

    assert sorted(label_statuses(bucket(), client)) == ["ok", "refused", "refused"]
