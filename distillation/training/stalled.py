"""A job whose training does not start: seen for days in 2026, with no failure and no message."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.metrics import MetricUnit

from distillation.bedrock_errors import BEDROCK_FAILURES, to_pipeline_error
from distillation.records import Run
from distillation.telemetry import logger, metrics

if TYPE_CHECKING:
    from mypy_boto3_bedrock import BedrockClient

LONGEST_WAIT = timedelta(days=3)
"""No job waits longer, whatever the request says: a run has seven days and 25,000 events of history, and one that
passes either is lost with the models that it has paid for. Two sizes that wait, looked at each 300 s, stay below."""


def check(run: Run, job: Any, patience: timedelta, now: datetime, bedrock: BedrockClient) -> str | None:
    """Tell of a job that has waited for longer than ``patience``; return why it was stopped, if the request asks for
    that or it has waited for longer than any may."""
    waited = _waited(job, now)
    stuck = waited is not None and waited > patience
    metrics.add_metric("JobsStuck", MetricUnit.Count, int(stuck))
    if waited is None or not (stuck or waited > LONGEST_WAIT):
        return None
    hours = waited / timedelta(hours=1)
    logger.warning("job stuck", run=run.name, job=job["jobName"], hours=round(hours, 1), phases=_phases(job))
    why = _why_to_stop(run, waited)
    if why and _stop(job, bedrock):
        return (
            f"its training had not started after {hours:.0f} h, and {why}; "
            "put distill.json again later, no label is paid for twice"
        )
    return None


def _why_to_stop(run: Run, waited: timedelta) -> str | None:
    if run.request.stop_stuck_jobs:
        return "stop_stuck_jobs asks to stop such a job"
    if waited > LONGEST_WAIT:
        return f"no job is waited for longer than {LONGEST_WAIT.days} days, so that other sizes are not lost with it"
    return None


def may_have_started(job: Any) -> bool:
    """Tell whether a job's training has started, or Bedrock does not say."""
    return _phases(job).get("trainingDetails") != "NotStarted"


def _waited(job: Any, now: datetime) -> timedelta | None:
    """Return how long a job has waited for its training to start; None once it has, or where Bedrock does not say."""
    return None if may_have_started(job) else now - job["creationTime"]


def _phases(job: Any) -> dict[str, str]:
    return {phase: details["status"] for phase, details in job.get("statusDetails", {}).items() if "status" in details}


def _stop(job: Any, bedrock: BedrockClient) -> bool:
    """Return whether the job was stopped; False when it ended between the look and now."""
    try:
        bedrock.stop_model_customization_job(jobIdentifier=job["jobArn"])
    except bedrock.exceptions.ConflictException:
        return False
    except BEDROCK_FAILURES as error:
        raise to_pipeline_error(error, f"job {job['jobName']}") from error
    return True
