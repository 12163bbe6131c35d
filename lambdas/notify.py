"""Notify: tell who subscribed how a run ended, after the machine's last step or after its failure."""

from __future__ import annotations

import json
from typing import Any

import boto3
from aws_lambda_powertools.utilities.typing import LambdaContext

from distillation.runs.notification import failure_message, run_message
from distillation.runs.request import run_name_of
from distillation.telemetry import logger
from lambdas.runtime import data, read_run, setting


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Take ``{run}``, or the event of an ended execution; return ``{run, headline}``."""
    if "detail" in event:
        detail = event["detail"]
        run = run_name_of(json.loads(detail.get("input") or "{}"), detail["executionArn"])
        subject, text = failure_message(run, detail, data())
    else:
        run = read_run(event["run"]).name
        subject, text = run_message(run, data())
    boto3.client("sns").publish(TopicArn=setting("TOPIC_ARN"), Subject=subject, Message=text)
    logger.info("notified", run=run, subject=subject)
    return {"run": run, "headline": subject}
