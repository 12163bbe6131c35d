"""The one logger and the one set of metrics; the service name is the step's folder, the stage tells stages apart."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from distillation.records import Answer, AnswerLine

NAMESPACE = "VisionDistillation"

logger = Logger()
metrics = Metrics(namespace=NAMESPACE)
metrics.set_default_dimensions(stage=os.environ.get("STAGE", "none"))


@dataclass
class CallCounts:
    """What became of the calls of one batch."""

    calls: int = 0
    throttled: int = 0
    unavailable: int = 0


def count_calls(paid: Sequence[Answer], tally: CallCounts) -> None:
    """Count as metrics what one batch asked of one model, whether or not the batch was done with it."""
    figures = {
        "CallsThrottled": tally.throttled,
        "CallsFailed": tally.unavailable,
        "InputTokens": sum(answer.usage.input_tokens for answer in paid),
        "OutputTokens": sum(answer.usage.output_tokens for answer in paid),
    }
    for name, value in figures.items():
        metrics.add_metric(name, MetricUnit.Count, value)


def log_answers(run: str, lines: Sequence[AnswerLine], new: str, what: str) -> None:
    """Count the answers of a batch that is done as metrics, and log each on one line: never an image, never a prompt.

    ``new`` names what counts answers that count and were not there before, ``what`` begins the others' names.
    """
    metrics.add_metric(new, MetricUnit.Count, sum(line.status == "ok" and not line.reused for line in lines))
    metrics.add_metric(f"{what}Reused", MetricUnit.Count, sum(line.reused for line in lines))
    metrics.add_metric(f"{what}Refused", MetricUnit.Count, sum(line.status == "refused" for line in lines))
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
