"""Labelling on the AWS emulator: stopped and restarted, in two concurrent runs, with faults, and mostly refused."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from distillation import ledger
from local import ROOT
from local.bedrock import ConverseFaults, Faults
from local.bedrock.faults import equal_shares
from tests.end_to_end.conftest import PHOTOS, PIXELS, PipelineDriver

Start = Callable[..., AbstractContextManager[PipelineDriver]]
TEACHER = PIXELS["teacher"]
ALL_PHOTOS = {path.name: path for path in sorted((ROOT / "samples" / "photos").glob("*.jpg"))}


def answers(running: PipelineDriver) -> list[int]:
    """Return the number of the teacher's answers for each image."""
    answered = running.pipeline.bedrock.service.answered
    return [count for (model, _), count in answered.items() if model == TEACHER]


def calls_in_ledgers(running: PipelineDriver) -> int:
    """Return the number of labelling calls in the ledgers of all runs."""
    data = running.pipeline.data
    runs = {key.split("/")[1] for key in running.keys("runs/")}
    entries = [entry for run in runs for entry in ledger.summary(run, data).entries]
    return int(sum(entry.calls for entry in entries if entry.step == "LabelImages"))


def test_stopped_run_and_two_concurrent_runs_pay_for_each_label_once(pipeline: Start) -> None:
    with pipeline() as running:
        running.upload(ALL_PHOTOS)
        stopped = running.start(until="LabelImages", quotas={TEACHER: {"requests_per_minute": 600}})
        running.until(lambda: len(running.keys("labels/")) >= 5)
        running.pipeline.aws.client("stepfunctions").stop_execution(executionArn=stopped)
        assert len(answers(running)) < len(ALL_PHOTOS)
        both = [running.start(until="LabelImages") for _ in range(2)]

        assert [running.wait(execution).status for execution in both] == ["SUCCEEDED", "SUCCEEDED"]
        assert running.wait(stopped).status == "ABORTED"
        assert len(running.keys("labels/")) == len(ALL_PHOTOS)
        assert answers(running) == [1] * len(ALL_PHOTOS)
        running.until(lambda: calls_in_ledgers(running) == len(ALL_PHOTOS))


def test_faults_of_all_kinds_are_retried_and_no_image_is_lost_or_paid_for_twice(pipeline: Start) -> None:
    with pipeline(converse=ConverseFaults(shares=equal_shares(0.4), slow_seconds=0.5)) as running:
        running.upload(PHOTOS)
        ended = running.run(until="LabelImages")

        assert ended.status == "SUCCEEDED"
        assert running.image_calls(TEACHER) > len(PHOTOS)
        assert answers(running) == [1] * len(PHOTOS)
        assert calls_in_ledgers(running) == running.report()["labelled"] == len(PHOTOS)
        report = running.report()
        assert report["labels_set_aside"] == []
        page = running.pipeline.data.read(report["review_key"]).decode()
        assert page.count("data:image/jpeg") == len(PHOTOS)


def test_refusal_of_two_thirds_of_the_labels_fails_the_run_and_its_labels_are_used_again(
    pipeline: Start,
) -> None:
    with pipeline(converse=ConverseFaults(shares={"ValidationException": 0.67})) as running:
        running.upload(PHOTOS)
        # On flex, a refused question would be asked once more, on the standard tier.
        ended = running.run(service_tier="default")
        labelled = len(answers(running))

        assert (ended.status, ended.error) == ("FAILED", "ToleranceExceeded")
        assert f"{len(PHOTOS) - labelled} of {len(PHOTOS)} labels were set aside" in (ended.cause or "")
        assert "This local endpoint is configured to fail here" in (ended.cause or "")
        assert "Stored labels are reused; a new run does not pay for them again" in (ended.cause or "")
        assert 0 < labelled <= len(PHOTOS) / 2
        running.pipeline.bedrock.service.faults = Faults()
        assert running.run(until="LabelImages").status == "SUCCEEDED"
        assert answers(running) == [1] * len(PHOTOS)
