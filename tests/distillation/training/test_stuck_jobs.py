from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from botocore.stub import Stubber

from distillation import ledger
from distillation.errors import JobFailed
from distillation.telemetry import metrics
from distillation.training.stuck_jobs import MAXIMUM_WAIT
from tests.support.builders import any_run
from tests.support.training_jobs import (
    CREATED,
    JOB_ARN,
    SETTINGS,
    create_or_describe,
    describe_size,
    split_bucket,
    waiting_job,
)


def stuck_jobs_metric() -> list[float]:
    """Return the values of the metric JobsStuck since the last call."""
    metric = metrics.metric_set.pop("JobsStuck", {"Value": []})
    return list(metric["Value"])  # type: ignore[arg-type, call-overload]


def test_job_that_does_not_start_is_counted_and_continues(bedrock_client: Any, bedrock: Stubber) -> None:
    stuck_jobs_metric()
    bedrock.add_response("get_model_customization_job", waiting_job())
    bedrock.add_response("get_model_customization_job", waiting_job("InProgress"))

    assert create_or_describe(bedrock_client).status == create_or_describe(bedrock_client).status == "InProgress"
    assert stuck_jobs_metric() == [1, 0]


def test_job_that_waits_less_than_the_start_timeout_is_not_stuck(bedrock_client: Any, bedrock: Stubber) -> None:
    stuck_jobs_metric()
    bedrock.add_response("get_model_customization_job", waiting_job())
    settings = replace(SETTINGS, start_timeout=timedelta(hours=31))
    run = any_run(stop_stuck_jobs=True)

    assert describe_size(run, 12, split_bucket(), bedrock_client, settings).status == "InProgress"
    assert stuck_jobs_metric() == [0]


def test_stuck_job_is_stopped_and_not_billed_if_the_request_sets_stop_stuck_jobs(
    bedrock_client: Any, bedrock: Stubber
) -> None:
    data = split_bucket()
    bedrock.add_response("get_model_customization_job", waiting_job())
    bedrock.add_response("stop_model_customization_job", {}, {"jobIdentifier": JOB_ARN})
    with pytest.raises(JobFailed, match="had not started after 30 h, and the request sets stop_stuck_jobs"):
        create_or_describe(bedrock_client, data, stop_stuck_jobs=True)
    assert ledger.paid_and_reserved_usd("holiday-1", data)[0] == 0
    bedrock.add_response("get_model_customization_job", waiting_job())
    bedrock.add_client_error("stop_model_customization_job", "ConflictException")

    assert create_or_describe(bedrock_client, data, stop_stuck_jobs=True).status == "InProgress"


@pytest.mark.parametrize("start_timeout", [timedelta(hours=24), timedelta(days=30)])
def test_job_that_has_waited_for_three_days_is_stopped_by_every_run(
    bedrock_client: Any, bedrock: Stubber, start_timeout: timedelta
) -> None:
    data, settings = split_bucket(), replace(SETTINGS, start_timeout=start_timeout)
    bedrock.add_response("get_model_customization_job", waiting_job())
    bedrock.add_response("get_model_customization_job", waiting_job("InProgress"))
    bedrock.add_response("get_model_customization_job", waiting_job())
    bedrock.add_response("stop_model_customization_job", {}, {"jobIdentifier": JOB_ARN})
    limit = CREATED + MAXIMUM_WAIT
    for now in (limit, limit + timedelta(hours=1)):
        assert describe_size(any_run(), 12, data, bedrock_client, settings, now).status == "InProgress"
    with pytest.raises(JobFailed, match="had not started after 73 h, and the run waits at most 3 days for a job"):
        describe_size(any_run(), 12, data, bedrock_client, settings, limit + timedelta(hours=1))
    assert ledger.paid_and_reserved_usd("holiday-1", data) == (0, 0)
