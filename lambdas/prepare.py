"""Prepare: resolve the request, refuse what cannot work, and claim the run."""

from __future__ import annotations

from aws_lambda_powertools.utilities.typing import LambdaContext

from distillation.events import PrepareEvent, PrepareResult
from distillation.runs.execution_input import parse_input, read_input
from distillation.runs.preflight import Account
from distillation.runs.prepare import prepare
from distillation.runs.request import Defaults
from distillation.telemetry import logger
from lambdas.runtime import (
    Settings,
    bedrock,
    bedrock_runtime,
    data,
    lambda_client,
    photos,
    service_quotas,
    settings,
    step_functions,
    typed,
)


class PrepareSettings(Settings):
    """Environment variables of Prepare."""

    stage_defaults: str
    """Allowed models and default settings of the stage, as JSON of ``Defaults``."""


@logger.inject_lambda_context(clear_state=True)
@typed(PrepareEvent)
def handler(event: PrepareEvent, context: LambdaContext) -> PrepareResult:
    """Return every field of the run that the state machine reads."""
    defaults = Defaults.model_validate_json(settings(PrepareSettings).stage_defaults)
    states = step_functions()
    account = Account(defaults.region, bedrock(), bedrock_runtime(), service_quotas(), lambda_client(), states)
    start = parse_input(read_input(states, event.execution))
    result = prepare(start, event.execution, photos(), data(), defaults, account)
    logger.info("run prepared", run=result.run, claimed_by=result.claimed_by)
    return result
