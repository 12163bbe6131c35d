"""Notify: publish how a run ended, from the state machine or from EventBridge after a failure."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial

from aws_lambda_powertools.utilities.typing import LambdaContext

from distillation.events import EndingEvent, NotifyResult
from distillation.runs.notification import ending_message
from distillation.serving.kept_models import kept_models_text
from distillation.telemetry import logger
from lambdas.runtime import bedrock, data, publish, typed


@logger.inject_lambda_context(clear_state=True)
@typed(EndingEvent)
def handler(event: EndingEvent, context: LambdaContext) -> NotifyResult:
    """Return the run's name and the subject of the notification."""
    kept_models = partial(kept_models_text, bedrock=bedrock(), ended=datetime.now(UTC))
    message = ending_message(event, data(), kept_models)
    publish(message)
    logger.info("notification published", run=message.run, subject=message.subject)
    return NotifyResult(run=message.run, headline=message.subject)
