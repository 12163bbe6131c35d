from __future__ import annotations

from typing import Any

from distillation import keys
from distillation.runs.notification import failure_message, run_message
from distillation.storage import Bucket
from tests.support.fakes import bucket

RUN = "holiday-1"


def reported(aside: int) -> Bucket:
    data = bucket()
    report: dict[str, Any] = {
        "verdict": "Better.",
        "status": f"complete with {aside} set aside",
        "set_aside": aside,
        "rejected": [{"photo": "holiday/IMG (1).JPG", "reason": "not an image"}] if aside else [],
        "labels_set_aside": [{"photo": f"holiday/{n}.jpg", "reason": "a refusal"} for n in range(1, aside)],
        "usd": 1.5,
        "estimate": {"verdict": "about $2"},
    }
    data.write_json(keys.report_key(RUN, "report.json"), report)
    return data


def test_photos_that_were_set_aside_are_named_with_their_reasons() -> None:
    subject, text = run_message(RUN, reported(3))

    assert subject == "Vision Distillation holiday-1: complete with 3 set aside"
    assert "Set aside: 3\n  holiday/IMG (1).JPG: not an image\n  holiday/1.jpg: a refusal\n" in text
    assert "more, which the report lists" not in text


def test_only_the_first_of_many_are_named() -> None:
    _, text = run_message(RUN, reported(25))

    assert text.count("\n  holiday/") == 10
    assert "  and 15 more, which the report lists\n" in text


def test_run_without_anything_set_aside_says_so() -> None:
    assert "Set aside: 0\nSpent" in run_message(RUN, reported(0))[1]


def test_throttling_is_told_with_what_to_change_once_it_is_more_than_a_tenth() -> None:
    data = reported(0)
    report = data.read_json(keys.report_key(RUN, "report.json"))
    entries = [
        {"step": "LabelImages", "model": "teacher", "calls": 100, "throttled": 12},
        {"step": "PredictTestImages", "model": "student", "calls": 100, "throttled": 11},
    ]
    data.write_json(keys.report_key(RUN, "report.json"), report | {"ledger": {"entries": entries}})
    text = run_message(RUN, data)[1]

    assert "Throttled: 12 of 112 calls to teacher in LabelImages" in text
    assert "see 'quotas' in cdk.json" in text
    assert "student" not in text


def test_failure_tells_its_cause_and_that_labels_are_kept() -> None:
    data = bucket()
    cause = "WriteDataset: 16 of 24 labels were refused. First: holiday/1.jpg: a refusal"
    data.write_json(keys.failure_key(RUN), {"state": "WriteDataset", "error": "ToleranceExceeded", "cause": cause})
    subject, text = failure_message(RUN, {"executionArn": "arn:e", "status": "FAILED"}, data)

    assert subject == "Vision Distillation holiday-1: FAILED"
    assert text.startswith(cause)
    assert "What was labelled is kept" in text
