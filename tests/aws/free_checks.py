"""Checks that cost nothing: they read the account and make no call that Bedrock bills.

A check returns its observation as text, and raises ``AssertionError`` if the assumption is wrong.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from cli.console import quantity
from cli.doctor import run_checks
from cli.stage import ROOT, Stage, stage_settings
from distillation.aws_errors import code_and_message, is_not_found
from distillation.models import catalog, ids
from distillation.models.service_quotas import CONCURRENT_EXECUTIONS, CUSTOM_MODELS, DEPLOYMENTS_IN_PROGRESS
from tests.aws.observed_run import job_event_queue, uploaded


@dataclass(frozen=True)
class StageUnderTest:
    """A deployed stage and the two models that the paid checks use."""

    stage: Stage
    teacher: str
    """Model id of the teacher."""
    student: str
    """Model id of the student."""


def stage_ready(target: StageUnderTest) -> str:
    """``distill doctor`` finds no problem in the stage."""
    checks = list(run_checks(target.stage, stage_settings(target.stage.name)))
    problems = [f"{check.what}: {check.detail}" for check in checks if check.state == "bad"]
    assert not problems, "; ".join(problems)
    unknown = [check.what for check in checks if check.state == "unknown"]
    return f"{quantity(len(checks), 'check')}, not answered: {', '.join(unknown) or 'none'}"


def caller_permissions(target: StageUnderTest) -> str:
    """The caller may upload photos, make a queue and a rule for events, and list what Bedrock has."""
    stage, bedrock = target.stage, target.stage.client("bedrock")
    photo = next((ROOT / "samples" / "photos").glob("*.jpg"))
    with uploaded(stage, [photo], f"verify-aws-{uuid.uuid4().hex[:8]}/"), job_event_queue(stage):
        pass
    stage.client("stepfunctions").list_executions(stateMachineArn=stage.state_machine, maxResults=1)
    next(iter(stage.data.keys("runs/")), None)
    bedrock.list_model_customization_jobs(maxResults=1)
    bedrock.list_custom_models(maxResults=1)
    bedrock.list_custom_model_deployments(maxResults=1)
    return "photos, queue, rule and lists; starting a run and calling a model were not tried"


def definition_accepted(target: StageUnderTest) -> str:
    """Step Functions finds no error in the definition of the deployed state machine."""
    states = target.stage.client("stepfunctions")
    definition = states.describe_state_machine(stateMachineArn=target.stage.state_machine)["definition"]
    response = states.validate_state_machine_definition(definition=definition, type="STANDARD", severity="WARNING")
    findings = [f"{finding['severity']} {finding['code']}" for finding in response["diagnostics"]]
    assert response["result"] == "OK", "; ".join(findings)
    return f"no errors, {quantity(len(findings), 'warning')} {' '.join(sorted(set(findings)))}".rstrip()


def lambda_concurrency(target: StageUnderTest) -> str:
    """GetAccountSettings returns the limit of concurrent Lambda executions, and how many are not reserved."""
    limits = target.stage.client("lambda").get_account_settings()["AccountLimit"]
    assert limits["UnreservedConcurrentExecutions"] >= 1, limits
    return f"{limits['ConcurrentExecutions']}, of which {limits['UnreservedConcurrentExecutions']} not reserved"


def lifecycle_fields(target: StageUnderTest) -> str:
    """GetFoundationModel knows the student by its customization id, with its lifecycle and its customizations."""
    model = catalog.get_model(target.student).training_id or ""
    details = target.stage.client("bedrock").get_foundation_model(modelIdentifier=model)["modelDetails"]
    assert details["modelLifecycle"]["status"] in ("ACTIVE", "LEGACY")
    assert "FINE_TUNING" in details["customizationsSupported"], details["customizationsSupported"]
    return f"{model}: {details['modelLifecycle']['status']}"


def model_availability(target: StageUnderTest) -> str:
    """GetFoundationModelAvailability reports teacher and student as available, also without a Marketplace agreement."""
    observations = []
    for model in (target.teacher, target.student):
        availability = target.stage.client("bedrock").get_foundation_model_availability(
            modelId=ids.foundation_id(model)
        )
        statuses = {
            "agreement": availability["agreementAvailability"]["status"],
            "authorization": availability["authorizationStatus"],
            "entitlement": availability["entitlementAvailability"],
            "Region": availability["regionAvailability"],
        }
        observations.append(f"{model}: {', '.join(f'{name} {status}' for name, status in statuses.items())}")
        assert set(statuses.values()) <= {"AVAILABLE", "AUTHORIZED"}, observations[-1]
    return "; ".join(observations)


def service_quota_codes(target: StageUnderTest) -> str:
    """Service Quotas knows the quota codes that the pipeline reads, and those of tokens per day are named so."""
    teacher, student = catalog.get_model(target.teacher), catalog.get_model(target.student)
    daily = {code for code in (teacher.tokens_per_day_quota, student.tokens_per_day_quota) if code}
    codes = [code for code in (CUSTOM_MODELS, DEPLOYMENTS_IN_PROGRESS, student.records_quota, *sorted(daily)) if code]
    quotas = [_quota(target, "bedrock", code) for code in codes]
    quotas.append(_quota(target, "lambda", CONCURRENT_EXECUTIONS))
    observation = "; ".join(f"{quota['QuotaCode']} {quota['QuotaName']}: {quota['Value']:g}" for quota in quotas)
    assert all("tokens per day" in quota["QuotaName"] for quota in quotas if quota["QuotaCode"] in daily), observation
    return observation


def inference_quotas(target: StageUnderTest) -> str:
    """Service Quotas lists the teacher's requests per minute, tokens per minute and tokens per day by its name."""
    name = catalog.get_model(target.teacher).display_name
    pages = target.stage.client("service-quotas").get_paginator("list_service_quotas").paginate(ServiceCode="bedrock")
    values = {
        quota["QuotaName"]: quota["Value"]
        for page in pages
        for quota in page["Quotas"]
        if name in quota["QuotaName"] and ("per minute" in quota["QuotaName"] or "per day" in quota["QuotaName"])
    }
    for kind in ("requests per minute", "tokens per minute", "tokens per day"):
        assert any(kind in quota for quota in values), f"no quota of {kind} for {name} among: {'; '.join(values)}"
    return "; ".join(f"{quota}: {value:g}" for quota, value in sorted(values.items()))


def absent_names(target: StageUnderTest) -> str:
    """Get of a job, model or deployment that does not exist is an error that is worded as not found."""
    name, bedrock = f"verify-aws-{uuid.uuid4().hex[:8]}", target.stage.client("bedrock")
    gets: dict[str, Callable[[], Any]] = {
        "job": lambda: bedrock.get_model_customization_job(jobIdentifier=name),
        "model": lambda: bedrock.get_custom_model(modelIdentifier=name),
        "deployment": lambda: bedrock.get_custom_model_deployment(customModelDeploymentIdentifier=name),
    }
    return "; ".join(f"{kind}: {_not_found(get, name)}" for kind, get in gets.items())


def absent_tags(target: StageUnderTest) -> str:
    """ListTagsForResource of a deployment that does not exist is an error that is worded as not found."""
    stage = target.stage
    account = stage.client("sts").get_caller_identity()["Account"]
    arn = f"arn:aws:bedrock:{stage.region}:{account}:custom-model-deployment/{uuid.uuid4().hex[:12]}"
    return _not_found(lambda: stage.client("bedrock").list_tags_for_resource(resourceARN=arn), arn)


def profile_regions(target: StageUnderTest) -> str:
    """The teacher's inference profile routes to Regions that the permissions of the stage name, and to no other."""
    prefix = ids.profile_prefix(target.teacher) or _geographic_prefix(target.stage.region)
    profile = f"{prefix}.{ids.foundation_id(target.teacher)}"
    response = target.stage.client("bedrock").get_inference_profile(inferenceProfileIdentifier=profile)
    regions = {model["modelArn"].split(":")[3] for model in response["models"]}
    granted = set(ids.profile_regions(profile))
    # An empty list of the catalog means every Region.
    assert not granted or regions <= granted, f"{profile}: {', '.join(sorted(regions - granted))} is not granted"
    return f"{profile}: {', '.join(sorted(regions))}"


FREE_CHECKS: Mapping[str, Callable[[StageUnderTest], str]] = {
    check.__name__: check
    for check in (
        *(stage_ready, caller_permissions, definition_accepted, lambda_concurrency, lifecycle_fields),
        *(model_availability, service_quota_codes, inference_quotas, absent_names, absent_tags, profile_regions),
    )
}


def _quota(target: StageUnderTest, service: str, code: str) -> Any:
    """Return the applied quota, or AWS's default if the account has no value of its own."""
    quotas = target.stage.client("service-quotas")
    try:
        return quotas.get_service_quota(ServiceCode=service, QuotaCode=code)["Quota"]
    except quotas.exceptions.NoSuchResourceException:
        return quotas.get_aws_default_service_quota(ServiceCode=service, QuotaCode=code)["Quota"]


def _not_found(get: Callable[[], Any], name: str) -> str:
    """Return code and message of a Get that must fail because ``name`` does not exist."""
    try:
        get()
    except ClientError as error:
        code, message = code_and_message(error)
        text = f"{code}: {message.replace(name, '<name>')}"
        if not is_not_found(error):
            raise AssertionError(text) from None
        return text
    raise AssertionError(f"{name} exists")


def _geographic_prefix(region: str) -> str:
    """Return the prefix of the inference profiles that can be called from a Region, such as ``us``."""
    return next(prefix for prefix in ("us", "eu", "apac") if region in ids.profile_regions(f"{prefix}.model"))
