"""Lower the limits of a run to those of the account: concurrent Lambda functions and tokens per day."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from distillation.costs.daily_quota import check_daily_quotas, daily_quota_uses, quota_name
from distillation.errors import DailyQuotaExceeded, QuotaExceeded
from distillation.inference.rate_limit import images_per_batch, tokens_per_call
from distillation.models import catalog
from distillation.models.service_quotas import read_tokens_per_day
from distillation.photos.set_assignment import MINIMUM_TEST_IMAGES
from distillation.records import Run
from distillation.telemetry import logger

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_service_quotas import ServiceQuotasClient

FREE_FUNCTIONS = 2
"""Concurrent functions that a Map leaves to the account's other functions, such as those of a rule or another run."""


def cap_concurrency(run: Run, functions: LambdaClient) -> Run:
    """Return the run with as many concurrent batches as the account's Lambda concurrency allows, at least 1.

    A limit that cannot be read changes nothing.
    """
    try:
        limit = functions.get_account_settings()["AccountLimit"].get("UnreservedConcurrentExecutions")
    except (BotoCoreError, ClientError) as error:
        logger.info("Lambda concurrency of the account could not be read", error=str(error))
        return run
    if limit is None:
        return run
    maximum = max(1, limit - FREE_FUNCTIONS)
    batches = {step: min(count, maximum) for step, count in run.concurrency.model_dump().items()}
    if batches != run.concurrency.model_dump():
        logger.info("concurrency lowered to the account's", limit=limit, **batches)
    return run.model_copy(update={"concurrency": run.concurrency.model_copy(update=batches)})


def apply_daily_quotas(run: Run, quotas: ServiceQuotasClient) -> Run:
    """Return the run with the account's tokens per day, and with batches that fit into them.

    Raises ``QuotaExceeded`` if a quota is 0 or too small for any run.
    """
    run = with_account_quotas(run, quotas)
    check_smallest_run(run)
    return run.model_copy(update={"images_per_batch": images_per_batch(run)})


def with_account_quotas(run: Run, quotas: ServiceQuotasClient) -> Run:
    """Return the run with the account's tokens per day, where the stage and the request do not set less.

    A quota that cannot be read keeps its value. Raises ``QuotaExceeded`` if a quota is 0.
    """
    resolved = dict(run.quotas)
    for model in _called_models(run):
        tokens = read_tokens_per_day(model, quotas)
        logger.info("tokens per day", model=model, account=tokens, run=run.quota(model).tokens_per_day)
        if tokens == 0:
            raise QuotaExceeded(
                f"the account's quota of tokens per day for {model} is 0, so Bedrock answers no call. Some new "
                f"accounts have this quota. Open a case with AWS Support: {quota_name(model)}"
            )
        if tokens is not None and tokens < _requested_tokens_per_day(run, model):
            resolved[model] = run.quota(model).model_copy(update={"tokens_per_day": tokens})
    return run.model_copy(update={"quotas": resolved})


def check_refused_probe(run: Run, quotas: ServiceQuotasClient, error: DailyQuotaExceeded) -> None:
    """Raise ``QuotaExceeded`` for a probe that was refused for the day, unless a daily quota above 0 is known.

    With a known quota the run starts, and waits until the quota is renewed.
    """
    model = run.teacher.model
    known = read_tokens_per_day(model, quotas) or _tokens_per_day_set_by_user(run, model)
    if known:
        logger.warning("the daily quota is used up; the run waits for it", model=model, tokens_per_day=known)
        return
    raise QuotaExceeded(
        f"{error}. The quota could not be read, so a run might wait in vain. If it is only used up, start again "
        f"tomorrow, or set tokens_per_day of {model!r} in 'quotas' so that the run waits. {quota_name(model)}"
    ) from error


def _called_models(run: Run) -> list[str]:
    """Return the models that the run cannot do without, and whose daily quota Service Quotas has.

    Service Quotas has none for deployments. An alternative to training is left out if its quota is used up.
    """
    if run.request.until == "Estimate":
        return []
    asks_student = run.request.until in (None, "Baseline")
    return list(dict.fromkeys([run.teacher.model, *([run.student] if asks_student else [])]))


def check_smallest_run(run: Run) -> None:
    """Raise ``QuotaExceeded`` if the tokens per day are too small for one question, or for the smallest run."""
    least = {}
    for model in _called_models(run):
        tokens, quota = tokens_per_call(run, model, run.teacher), run.quota(model).tokens_per_day
        if quota is not None and tokens > quota:
            raise QuotaExceeded(
                f"one question to {model} takes {tokens:,} tokens, more than the {quota:,.0f} tokens per day of the "
                f"account. Lower max_tokens, or have the quota raised: {quota_name(model)}"
            )
        # Labels may all be stored already; the student answers about every test image in each run.
        least[model] = tokens * (MINIMUM_TEST_IMAGES if model == run.student else 1)
    check_daily_quotas(daily_quota_uses(run, least))


def _requested_tokens_per_day(run: Run, model: str) -> float:
    """Return the tokens per day that the stage or the request sets, infinity if neither does."""
    return _tokens_per_day_set_by_user(run, model) or float("inf")


def _tokens_per_day_set_by_user(run: Run, model: str) -> float | None:
    quota = run.quota(model).tokens_per_day
    return None if quota == catalog.default_quota(model).tokens_per_day else quota
