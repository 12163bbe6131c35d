"""Detect jobs whose training does not start. In 2026 some waited for days, without a failure or message of Bedrock."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.metrics import MetricUnit

from distillation.errors import LABELS_ARE_REUSED
from distillation.records import Run
from distillation.serving.resources import stop_job
from distillation.telemetry import logger, metrics

if TYPE_CHECKING:
    from mypy_boto3_bedrock import BedrockClient

MAXIMUM_WAIT = timedelta(days=3)
"""Longest wait for any job.

An execution ends after 7 days or 25,000 history events. Two jobs that wait at the same time, polled every 5 minutes,
use about 15,600 of these events in 3 days. A third and a fourth size that then wait as long would exceed the limit.
"""


def stop_if_stuck(run: Run, job: Any, start_timeout: timedelta, now: datetime, bedrock: BedrockClient) -> str | None:
    """Count a job that waits longer than ``start_timeout`` as stuck; return why it was stopped, or None.

    The job is stopped if the request has ``stop_stuck_jobs``, or after ``MAXIMUM_WAIT``.
    """
    waited = _waited(job, now)
    is_stuck = waited is not None and waited > start_timeout
    metrics.add_metric("JobsStuck", MetricUnit.Count, int(is_stuck))
    if waited is None or not (is_stuck or waited > MAXIMUM_WAIT):
        return None
    hours = waited / timedelta(hours=1)
    logger.warning("job stuck", run=run.name, job=job["jobName"], hours=round(hours, 1), phases=_phases(job))
    reason = _reason_to_stop(run, waited)
    if reason and stop_job(job["jobName"], job["jobArn"], bedrock):
        return (
            f"training had not started after {hours:.0f} h, and {reason}. "
            f"Upload distill.json again later. {LABELS_ARE_REUSED}"
        )
    return None


def may_have_started(job: Any) -> bool:
    """Return whether a job's training has started, or Bedrock does not report it."""
    return _phases(job).get("trainingDetails") != "NotStarted"


def _reason_to_stop(run: Run, waited: timedelta) -> str | None:
    if run.request.stop_stuck_jobs:
        return "the request sets stop_stuck_jobs"
    if waited > MAXIMUM_WAIT:
        return f"the run waits at most {MAXIMUM_WAIT.days} days for a job, so that its other sizes are not lost"
    return None


def _waited(job: Any, now: datetime) -> timedelta | None:
    """Return how long a job has waited for its training; None if it has started or Bedrock does not report it."""
    return None if may_have_started(job) else now - job["creationTime"]


def _phases(job: Any) -> dict[str, str]:
    """Return the status of each phase that Bedrock reports."""
    return {phase: details["status"] for phase, details in job.get("statusDetails", {}).items() if "status" in details}
