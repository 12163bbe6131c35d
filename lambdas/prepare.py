"""Prepare: read the request, refuse what cannot work, and claim the run."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from distillation.runs.existing_model import with_replaced_deployment, with_tuned_model
from distillation.runs.preflight import Account, check_account
from distillation.runs.request import Defaults, claim, is_claimed, resolve
from distillation.runs.specimen import check_specimen
from distillation.telemetry import logger
from lambdas.runtime import bedrock, bedrock_runtime, data, photos, service_quotas, setting


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Take ``{input, execution}``; return every field that the state machine reads.

    The run is claimed last, so that what is refused before, or tried again, leaves nothing behind but its ledger.
    """
    defaults = Defaults.model_validate_json(setting("STAGE_DEFAULTS"))
    run = resolve(event["input"], event["execution"], photos(), defaults)
    if run.request.apply:
        run = with_tuned_model(run, data(), bedrock())
    else:
        if run.request.replace:
            run = with_replaced_deployment(run, data(), bedrock())
        check_specimen(run, data().name)
        if not is_claimed(run, data()):
            check_account(run, data(), Account(defaults.region, bedrock(), bedrock_runtime(), service_quotas()))
    claimed_by = claim(run, data())
    logger.info("run prepared", run=run.name, claimed_by=claimed_by)
    return {
        "run": run.name,
        "collection": run.collection,
        "claimed_by": claimed_by,
        "apply": run.request.apply,
        "until": run.request.until or "Notify",
        "concurrency": run.concurrency.model_dump(),
        "images_per_batch": run.images_per_batch,
        "listing": {"photos": 0, "digest": "", "settled": False},
    }
