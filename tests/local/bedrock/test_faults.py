from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from distillation.inference.labelling import label_batch
from distillation.inference.rate_limit import Clock
from distillation.storage import Bucket
from lambdas import runtime
from local.bedrock import ConverseFaults
from local.bedrock.faults import KINDS, SLOW
from tests.support.builders import any_limits, any_run
from tests.support.local_bedrock import TEACHER, running_endpoint, trainable_bucket


@pytest.mark.parametrize("kind", [*KINDS, "ModelErrorException"])
def test_labelling_survives_each_kind_of_fault_and_pays_for_each_image_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    s3, images = trainable_bucket(), [str(number) for number in range(10)]
    teacher = any_run().teacher.model_copy(update={"model": TEACHER})
    run = any_run().model_copy(update={"teacher": teacher})
    hurried = any_limits(Clock(sleep=lambda seconds: time.sleep(seconds / 100)))
    with running_endpoint(s3, tmp_path, converse=ConverseFaults(shares={kind: 0.2}, slow_seconds=0.2)) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", endpoint.url)
        own: Any = runtime.bedrock_runtime.__wrapped__()
        lines = label_batch(run, images, Bucket(s3, "data"), own, hurried)  # type: ignore[arg-type] - in memory
        service = endpoint.service

    assert [line.status for line in lines] == ["ok"] * 10
    assert set(service.answered.values()) == {1}
    assert len(service.calls) > 10 or kind == SLOW


def test_labels_come_from_the_standard_tier_if_flex_throttles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    s3, images = trainable_bucket(), [str(number) for number in range(10)]
    teacher = any_run().teacher.model_copy(update={"model": TEACHER})
    run = any_run().model_copy(update={"teacher": teacher})
    hurried = any_limits(Clock(sleep=lambda seconds: time.sleep(seconds / 100)))
    faults = ConverseFaults(shares={"ThrottlingException": 1.0}, tier="flex")
    with running_endpoint(s3, tmp_path, converse=faults) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", endpoint.url)
        own: Any = runtime.bedrock_runtime.__wrapped__()
        lines = label_batch(run, images, Bucket(s3, "data"), own, hurried)  # type: ignore[arg-type] - in memory
        tiers = endpoint.service.tiers

    assert [line.status for line in lines] == ["ok"] * 10
    assert tiers[TEACHER, "default"] == 10
    assert tiers[TEACHER, "flex"] > 0
