"""The account's own quotas on jobs, models and deployments, so far as Service Quotas tells them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from distillation.bedrock_errors import code_and_message, to_pipeline_error
from distillation.errors import QuotaExceeded
from distillation.models import catalog
from distillation.models.hyperparameters import records
from distillation.records import Run
from distillation.telemetry import logger

if TYPE_CHECKING:
    from mypy_boto3_bedrock import BedrockClient
    from mypy_boto3_service_quotas import ServiceQuotasClient

CUSTOM_MODELS, DEPLOYMENTS_IN_PROGRESS = "L-CB5B847D", "L-430C95DD"
"""Codes; those on records differ by student and are in the models table."""


@dataclass(frozen=True)
class Need:
    """How much of a quota a run takes beside what is in use."""

    code: str
    what: str
    in_use: int
    wanted: int
    remedy: str


def check_quotas(run: Run, bedrock: BedrockClient, quotas: ServiceQuotasClient) -> None:
    """Raise ``QuotaExceeded`` where a quota that can be read does not suffice; of one that cannot, nothing is said.

    What other runs have in progress is no reason: Customize and Deploy wait for it.
    """
    for need in _needs(run, bedrock):
        _check_quota(need, quotas)


def _needs(run: Run, bedrock: BedrockClient) -> list[Need]:
    sizes = run.request.train_sizes or [catalog.get_model(run.student).family.minimum_records]
    most = max(records(run.request, size) for size in sizes)
    student = catalog.get_model(run.student)
    needs = [
        Need(
            CUSTOM_MODELS,
            "custom models of the account",
            _custom_models(bedrock),
            len(sizes),
            "delete models that are not used (`distill clean` lists ours)",
        ),
        Need(DEPLOYMENTS_IN_PROGRESS, "custom model deployments in progress", 0, 1, "none can be made"),
    ]
    if student.records_quota:
        needs.append(Need(student.records_quota, f"records of a job on {student.id}", 0, most, "lower train_sizes"))
    return needs


def _custom_models(bedrock: BedrockClient) -> int:
    try:
        pages = bedrock.get_paginator("list_custom_models").paginate(isOwned=True)
        return sum(len(page.get("modelSummaries", [])) for page in pages)
    except ClientError as error:
        raise to_pipeline_error(error, "the account's custom models") from error


def _check_quota(need: Need, quotas: ServiceQuotasClient) -> None:
    quota = _read(need.code, quotas)
    if quota is None:
        logger.info("quota could not be read", code=need.code, what=need.what)
        return
    if need.in_use + need.wanted > quota:
        used = f"{need.in_use} in use and " if need.in_use else ""
        raise QuotaExceeded(
            f"the account's quota of {need.what} is {quota:g}, with {used}{need.wanted} more needed; {need.remedy}, or "
            f"ask for a higher quota: Service Quotas, Amazon Bedrock, {need.code}"
        )


def _read(code: str, quotas: ServiceQuotasClient) -> float | None:
    """Return the account's quota, or AWS's default where the account has none of its own; None if it cannot be read."""
    for read in (quotas.get_service_quota, quotas.get_aws_default_service_quota):
        try:
            return read(ServiceCode="bedrock", QuotaCode=code)["Quota"].get("Value")
        except ClientError as error:
            if code_and_message(error)[0] != "NoSuchResourceException":
                return None
        except BotoCoreError:
            return None
    return None
