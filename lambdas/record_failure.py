"""RecordFailure: say which state failed and why, where the report would have been."""

from __future__ import annotations

from typing import Any

import boto3
from aws_lambda_powertools.utilities.typing import LambdaContext

from distillation import keys
from distillation.runs.failure import describe_failure, failed_run
from distillation.telemetry import logger
from lambdas.runtime import data


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Take ``{state, execution}``, the machine's whole state; return ``{error, cause}``."""
    failure = describe_failure(event["state"], event["execution"], boto3.client("stepfunctions"))
    if run := failed_run(event["state"], event["execution"], data()):
        data().write_json(keys.failure_key(run), {"run": run, "execution": event["execution"], **failure})
    logger.error("run failed", **failure)
    return {"error": failure["error"], "cause": failure["cause"]}
