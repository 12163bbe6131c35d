"""Whole runs against an endpoint that refuses what AWS does not document, or refuses it for some time."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from local.bedrock.faults import PENDING_SUBSCRIPTION, ConverseFaults
from tests.end_to_end.conftest import PHOTOS, PIXELS, PipelineDriver

Start = Callable[..., AbstractContextManager[PipelineDriver]]


def test_deployments_that_refuse_s3_locations_after_training_are_asked_with_bytes(pipeline: Start) -> None:
    with pipeline(deployments_refuse_s3_location=True) as running:
        running.upload(PHOTOS)
        ended = running.run(train_sizes=[8], keep="all", keywords_min=1)
        report = running.report()

        assert ended.status == "SUCCEEDED", ended.cause
        assert [model["images_by"] for model in report["models"]] == ["bytes"]
        (tuned,) = report["evaluation"]["agreement"]["tuned"].values()
        assert tuned["mean"] > 0
        calls = {entry["step"]: entry["calls"] for entry in report["ledger"]["entries"]}
        assert calls["Deploy"] == 1

        running.upload(dict(list(PHOTOS.items())[:4]), "new/")
        applied = running.wait(running.start_from_console(collection="new/", apply=report["run"]))

        assert applied.status == "SUCCEEDED", applied.cause
        assert "answered about 4 of 4 photos." in applied.output["applied"]["verdict"]


def test_unknown_names_may_be_validation_errors_that_do_not_say_so(pipeline: Start) -> None:
    with pipeline(absent=("ValidationException", "The provided identifier is invalid.")) as running:
        running.upload(PHOTOS)
        ended = running.run(train_sizes=[8], keep="none")

        assert ended.status == "SUCCEEDED", ended.cause
        assert running.bedrock_resources == ([], [], [])


def test_run_waits_for_a_first_subscription(pipeline: Start) -> None:
    with pipeline(converse=ConverseFaults(refused_calls=3, refusal=PENDING_SUBSCRIPTION)) as running:
        running.upload(PHOTOS)
        ended = running.run(until="LabelImages")

        assert ended.status == "SUCCEEDED", ended.cause


def test_refused_probe_ends_the_run_before_anything_is_paid(pipeline: Start) -> None:
    refusal = ("ValidationException", "Malformed input request: #: extraneous key [serviceTier] is not permitted")
    with pipeline(converse=ConverseFaults(refused_calls=1, refusal=refusal)) as running:
        running.upload(PHOTOS)
        ended = running.run(service_tier="flex")

        assert (ended.status, ended.error) == ("FAILED", "InvalidRequest")
        assert refusal[1] in (ended.cause or "")
        assert "service_tier in the request" in (ended.cause or "")
        assert running.image_calls(PIXELS["teacher"]) == 0
        assert running.keys("labels/") == []
