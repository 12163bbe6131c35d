from __future__ import annotations

import json
from typing import Any

import pytest

from distillation import keys, ledger
from distillation.documents import Failure, Ledger, LedgerEntry, Recommendation, Report, SetAside
from distillation.events import EndingEvent, ExecutionDetail
from distillation.records import Run
from distillation.runs.notification import SUBJECT_LIMIT, ending_message, failure_message, run_message
from distillation.storage import Bucket
from tests.support.builders import any_apply_report, any_estimate, any_report, any_run
from tests.support.fakes import bucket

RUN = "holiday-1"
FAILED = ExecutionDetail(executionArn="arn:e", status="FAILED")


def report_with_set_aside(count: int, **fields: Any) -> Report:
    return any_report(
        verdict="Better.",
        status=f"complete with {count} set aside",
        set_aside=count,
        photos_set_aside=[SetAside(photo="holiday/IMG (1).JPG", reason="not an image")] if count else [],
        labels_set_aside=[SetAside(photo=f"holiday/{n}.jpg", reason="a refusal") for n in range(1, count)],
        usd=1.5,
        estimate=any_estimate(verdict="about $2"),
        **fields,
    )


def reported(count: int, **fields: Any) -> Bucket:
    """Return a Data bucket with a report that sets ``count`` items aside; keywords are fields of the report."""
    data = bucket()
    data.write_document(keys.report_json_key(RUN), report_with_set_aside(count, **fields))
    return data


def ledger_entry(step: str, model: str, throttled: int) -> LedgerEntry:
    return LedgerEntry(
        step=step,
        model=model,
        tier="default",
        calls=100,
        throttled=throttled,
        reused=0,
        input_tokens=0,
        output_tokens=0,
        training_tokens=0,
        usd=0,
        confirmed=True,
    )


def test_message_has_the_verdict_and_the_cost() -> None:
    text = run_message(RUN, reported(0))[1]

    assert text.startswith("Better.\n")
    assert "s3://data/runs/holiday-1/report/report.html" in text
    assert "Spent: $1.5000; estimated: about $2\n" in text


def test_photos_that_were_set_aside_are_listed_with_their_reasons() -> None:
    subject, text = run_message(RUN, reported(3))

    assert subject == "Vision Distillation holiday-1: complete with 3 set aside"
    assert "Set aside: 3\n  holiday/IMG (1).JPG: not an image\n  holiday/1.jpg: a refusal\n" in text
    assert "more, listed in the report" not in text


def test_only_the_first_ten_are_listed() -> None:
    _, text = run_message(RUN, reported(25))

    assert text.count("\n  holiday/") == 10
    assert "  and 15 more, listed in the report\n" in text


def test_message_without_photos_set_aside_says_so() -> None:
    assert "Set aside: 0\nSpent" in run_message(RUN, reported(0))[1]


def test_message_ends_with_the_recommendation_on_one_line() -> None:
    recommendation = Recommendation(action="more photos", text="Add about\n300 photos\u202e.", usd=2.0)
    busy = Ledger(usd=1.5, entries=[ledger_entry("LabelImages", "teacher", 12)])

    assert run_message(RUN, reported(1, ledger=busy, recommendation=recommendation))[1].endswith(
        "\n\nNext: Add about 300 photos.\n"
    )
    assert "Next:" not in run_message(RUN, reported(1))[1]


def test_message_of_an_applied_model_ends_with_the_recommendation() -> None:
    data, recommendation = bucket(), Recommendation(action="use the tuned model", text="Keep using it.")
    data.write_document(keys.report_json_key(RUN), any_apply_report(recommendation=recommendation))

    assert run_message(RUN, data)[1].endswith("\nNext: Keep using it.\n")


def test_throttling_of_more_than_a_tenth_of_the_calls_is_reported_with_a_remedy() -> None:
    entries = [ledger_entry("LabelImages", "teacher", 12), ledger_entry("PredictTestImages", "student", 11)]
    text = run_message(RUN, reported(0, ledger=Ledger(usd=1.5, entries=entries)))[1]

    assert "Throttled: 12 of 112 calls to teacher in LabelImages" in text
    assert "see 'quotas' in cdk.json" in text
    assert "student" not in text


def no_models(_: Run) -> str:
    """Return the text about the kept models of a run that has none."""
    return ""


def test_failure_message_has_the_cause_and_says_that_labels_are_kept() -> None:
    cause = "WriteDataset: 16 of 24 labels were set aside. First: holiday/1.jpg: a refusal"
    data = bucket()
    failure = Failure(run=RUN, execution="arn:e", state="WriteDataset", error="ToleranceExceeded", cause=cause)
    data.write_document(keys.failure_key(RUN), failure)
    subject, text = failure_message(RUN, FAILED, data, no_models)

    assert subject == "Vision Distillation holiday-1: FAILED"
    assert text.startswith(cause)
    assert "Execution: arn:e\nSpent: $0.0000\nStored labels are reused" in text


def test_failure_message_has_the_highest_cost_of_a_job_that_was_stopped_with_the_run() -> None:
    data = bucket()
    ledger.reserve(RUN, "TrainModels", "holiday-1-n8-a1", 2.5, data)

    text = failure_message(RUN, FAILED, data, no_models)[1]
    assert "\nSpent: $0.0000, and up to $2.5000 for jobs and calls that had not ended\n" in text


@pytest.mark.parametrize(("cause", "text"), [("States.Timeout", "States.Timeout"), (None, "no cause was given")])
def test_failure_without_a_document_has_the_cause_of_the_execution(cause: str | None, text: str) -> None:
    detail = ExecutionDetail(executionArn="arn:e", status="TIMED_OUT", cause=cause)

    assert failure_message(RUN, detail, bucket(), no_models)[1].startswith(f"{text}\n")


def test_message_of_a_run_that_was_stopped_names_the_models_that_are_kept_and_a_failures_cause_already_does() -> None:
    data, detail = bucket(), ExecutionDetail(executionArn="arn:e", status="ABORTED")
    data.write_document(keys.request_key(RUN), any_run().model_copy(update={"execution": "arn:e"}))
    other = detail.model_copy(update={"execution_arn": "arn:other"})

    assert "\nTuned model kept\n" in failure_message(RUN, detail, data, lambda _: "Tuned model kept")[1]
    assert "Tuned model" not in failure_message(RUN, other, data, lambda _: "Tuned model kept")[1]
    failure = Failure(run=RUN, execution="arn:e", state="Evaluate", error="E", cause="Evaluate: e. Model kept.")
    data.write_document(keys.failure_key(RUN), failure)
    assert "Tuned model" not in failure_message(RUN, detail, data, lambda _: "Tuned model kept")[1]


def test_message_of_an_execution_without_a_run_has_no_run() -> None:
    message = ending_message(EndingEvent(detail=FAILED), bucket(), no_models)

    assert (message.run, message.subject) == (None, "Vision Distillation execution: FAILED")
    assert "Spent" not in message.text


def test_message_of_a_failed_execution_names_the_run_of_its_input() -> None:
    detail = FAILED.model_copy(update={"input": json.dumps({"collection": "holiday/"})})
    run = keys.run_name("holiday/", "arn:e")
    message = ending_message(EndingEvent(detail=detail), bucket(), no_models)

    assert (message.run, message.subject) == (run, f"Vision Distillation {run}: FAILED")


def test_message_of_a_completed_run_names_it() -> None:
    assert ending_message(EndingEvent(run=RUN), reported(0), no_models).run == RUN


def test_subject_is_cut_to_the_limit_of_sns() -> None:
    data = bucket()
    report = any_report(status="x" * 200)
    data.write_document(keys.report_json_key(RUN), report)

    assert len(run_message(RUN, data)[0]) == SUBJECT_LIMIT == 100


def test_messages_have_no_invisible_characters_and_a_cause_adds_no_lines() -> None:
    data = bucket()
    failure = Failure(
        run=RUN,
        execution="arn:e",
        state="Prepare",
        error="InvalidRequest",
        cause="Prepare: a\u202eb\x1b[2J\n\nSpent: $0",
    )
    data.write_document(keys.failure_key(RUN), failure)
    failed = failure_message(RUN, FAILED.model_copy(update={"status": "FAILED\u200b\nBcc: x"}), data, no_models)
    data.write_document(
        keys.report_json_key(RUN),
        any_report(photos_set_aside=[SetAside(photo="a\u2066\nSpent: $0.jpg", reason="damaged\x07")]),
    )

    assert failed[0] == "Vision Distillation holiday-1: FAILED Bcc: x"
    assert failed[1].startswith("Prepare: ab[2J Spent: $0\n\nExecution: arn:e\n")
    assert "\n  a Spent: $0.jpg: damaged\n" in run_message(RUN, data)[1]


@pytest.mark.parametrize("key", [keys.failure_key(RUN), keys.request_key(RUN)])
def test_failure_is_announced_also_if_an_object_of_the_run_is_damaged(key: str) -> None:
    detail = FAILED.model_copy(update={"cause": "Split: no photos"})

    assert "Split: no photos" in failure_message(RUN, detail, bucket(**{key: b"{"}), lambda run: "")[1]
