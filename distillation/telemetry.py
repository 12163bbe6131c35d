"""Logger and CloudWatch metrics of all Lambda functions, with the dimensions ``service`` (the step) and ``stage``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from distillation.documents import Audit
from distillation.records import Answer, AnswerLine

NAMESPACE = "VisionDistillation"

logger = Logger()
metrics = Metrics(namespace=NAMESPACE)
metrics.set_default_dimensions(stage=os.environ.get("STAGE", "none"))


@dataclass
class CallCounts:
    """Numbers of failed calls of one batch."""

    throttled: int = 0
    """Calls that Bedrock throttled."""
    unavailable: int = 0
    """Calls that Bedrock could not serve, or that were not answered."""


def count_call_metrics(paid: Sequence[Answer], counts: CallCounts) -> None:
    """Add the calls and tokens of one batch to one model as metrics, also if the batch is unfinished.

    ``paid`` has the answers that were billed.
    """
    values = {
        "CallsThrottled": counts.throttled,
        "CallsFailed": counts.unavailable,
        "InputTokens": sum(answer.usage.input_tokens for answer in paid),
        "OutputTokens": sum(answer.usage.output_tokens for answer in paid),
    }
    for name, value in values.items():
        metrics.add_metric(name, MetricUnit.Count, value)


def count_audit(audit: Audit | None) -> None:
    """Add the audit of a run with ``apply`` as metrics; without one, only that no image was audited."""
    metrics.add_metric("ImagesAudited", MetricUnit.Count, audit.images if audit else 0)
    if audit and audit.agreement:
        metrics.add_metric("AuditAgreement", MetricUnit.NoUnit, audit.agreement.mean)
        metrics.add_metric("PhotosDrifted", MetricUnit.Count, int(audit.drifted))


def log_answers(run: str, lines: Sequence[AnswerLine], new_metric: str, prefix: str) -> None:
    """Add the answers of a finished batch as metrics, and log one line per answer, without image or prompt.

    ``new_metric`` counts the valid answers that were not reused. ``prefix`` starts the names of the metrics
    ``<prefix>Reused`` and ``<prefix>Refused``.
    """
    metrics.add_metric(new_metric, MetricUnit.Count, sum(line.status == "ok" and not line.reused for line in lines))
    metrics.add_metric(f"{prefix}Reused", MetricUnit.Count, sum(line.reused for line in lines))
    metrics.add_metric(f"{prefix}Refused", MetricUnit.Count, sum(line.status == "refused" for line in lines))
    for line in lines:
        logger.info(
            "answer",
            run=run,
            image=line.image,
            answerer=line.answerer,
            sample=line.sample,
            status=line.status,
            reused=line.reused,
            reason=line.reason,
        )
