"""Read the account's Service Quotas, and check those on custom models, deployments and training records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from distillation.aws_errors import code_and_message, to_pipeline_error
from distillation.errors import QuotaExceeded
from distillation.models import catalog, ids
from distillation.models.hyperparameters import record_count
from distillation.records import Run
from distillation.telemetry import logger

if TYPE_CHECKING:
    from mypy_boto3_bedrock import BedrockClient
    from mypy_boto3_service_quotas import ServiceQuotasClient

CUSTOM_MODELS, DEPLOYMENTS_IN_PROGRESS = "L-CB5B847D", "L-430C95DD"
"""Quota codes of Amazon Bedrock. The codes for training records and for tokens per day are in catalog.toml."""
CONCURRENT_EXECUTIONS = "L-B99A9384"
"""Quota code of AWS Lambda: concurrent executions of all functions of the account in a Region."""


@dataclass(frozen=True)
class QuotaNeed:
    """How much of one quota a run needs."""

    code: str
    """Quota code in Service Quotas."""
    resource: str
    """Limited resource, as a plural noun phrase."""
    in_use: int
    """Amount that the account already uses."""
    needed: int
    """Amount that the run adds."""
    remedy: str
    """Remedy other than a higher quota; empty if there is none."""


def check_quotas(run: Run, bedrock: BedrockClient, quotas: ServiceQuotasClient) -> None:
    """Raise ``QuotaExceeded`` if a quota is too small for the run. A quota that cannot be read is not checked.

    Jobs and deployments of other runs that are in progress do not count: Customize and Deploy wait for them.
    """
    for need in _quota_needs(run, bedrock):
        _check_quota(need, quotas)


def read_tokens_per_day(model_id: str, quotas: ServiceQuotasClient) -> float | None:
    """Return the account's tokens per day for calls to a model, which may be 0; None if the quota cannot be read.

    A cross-Region inference profile has twice the quota of its model, except a global one, which has its own. AWS's
    default is not read instead, because accounts without an applied quota may have less.
    """
    code = catalog.get_model(model_id).tokens_per_day_quota
    if code is None:
        return None
    try:
        quota = quotas.get_service_quota(ServiceCode="bedrock", QuotaCode=code)["Quota"].get("Value")
    except (BotoCoreError, ClientError):
        return None
    return None if quota is None else quota * (1 if ids.profile_prefix(model_id) in (None, "global") else 2)


def _quota_needs(run: Run, bedrock: BedrockClient) -> list[QuotaNeed]:
    student = catalog.get_model(run.student)
    sizes = run.request.train_sizes or [student.family.minimum_records]
    needs = [
        QuotaNeed(
            CUSTOM_MODELS,
            "custom models of the account",
            _count_custom_models(bedrock),
            len(sizes),
            "Delete models that are not used (`distill clean` lists ours)",
        ),
        QuotaNeed(DEPLOYMENTS_IN_PROGRESS, "custom model deployments in progress", 0, 1, ""),
    ]
    if student.records_quota:
        records = max(record_count(run.request, size) for size in sizes)
        resource = f"records of a job on {student.id}"
        needs.append(QuotaNeed(student.records_quota, resource, 0, records, "Lower train_sizes"))
    return needs


def _count_custom_models(bedrock: BedrockClient) -> int:
    try:
        pages = bedrock.get_paginator("list_custom_models").paginate(isOwned=True)
        return sum(len(page.get("modelSummaries", [])) for page in pages)
    except ClientError as error:
        raise to_pipeline_error(error, "the account's custom models") from error


def _check_quota(need: QuotaNeed, quotas: ServiceQuotasClient) -> None:
    quota = _quota_value(need.code, quotas)
    if quota is None:
        logger.info("quota could not be read", code=need.code, resource=need.resource)
        return
    if need.in_use + need.needed > quota:
        in_use = f"{need.in_use} in use and " if need.in_use else ""
        increase = f"{need.remedy}, or request an increase" if need.remedy else "Request an increase"
        raise QuotaExceeded(
            f"the account's quota of {need.resource} is {quota:g}, with {in_use}{need.needed} more needed. "
            f"{increase}: Service Quotas, Amazon Bedrock, {need.code}"
        )


def _quota_value(code: str, quotas: ServiceQuotasClient) -> float | None:
    """Return the account's applied quota, or else AWS's default; None if neither can be read."""
    for get_quota in (quotas.get_service_quota, quotas.get_aws_default_service_quota):
        try:
            return get_quota(ServiceCode="bedrock", QuotaCode=code)["Quota"].get("Value")
        except ClientError as error:
            if code_and_message(error)[0] != "NoSuchResourceException":
                return None
        except BotoCoreError:
            return None
    return None
