"""``distill doctor``: check whether a stage is ready to run, and say how to fix each problem."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, requires, version
from typing import Any, Literal

from botocore.exceptions import BotoCoreError, ClientError

from cli.console import CommandError, print_json, print_wrapped, quantity
from cli.requests import resolve_request, stage_defaults
from cli.stage import ROOT, Stage, is_missing_stack, outputs_of, stage_settings
from distillation.aws_errors import ACCESS_CAUSES, code_and_message
from distillation.costs.daily_quota import MAXIMUM_DAYS
from distillation.errors import AccessDenied, DistillationError, ServiceUnavailable
from distillation.inference.rate_limit import tokens_per_call
from distillation.models import catalog, ids
from distillation.models.service_quotas import (
    CONCURRENT_EXECUTIONS,
    CUSTOM_MODELS,
    DEPLOYMENTS_IN_PROGRESS,
    read_tokens_per_day,
)
from distillation.runs.account_limits import FREE_FUNCTIONS
from distillation.runs.month_budget import MonthlyBudget

_MINIMUM_BOOTSTRAP = 21
"""Minimum version of the CDK bootstrap stack."""
_MINIMUM_NODE = 22
"""Minimum major version of Node.js."""
_PINNED = ("boto3", "botocore", "pydantic", "aws-cdk-lib")
_FOR_DEPLOYMENT = "Needed only for cdk deploy, cdk destroy and distill destroy, in a clone of this repository."
_QUOTAS = {
    CUSTOM_MODELS: ("custom models in the account", 1),
    DEPLOYMENTS_IN_PROGRESS: ("deployments in progress", 1),
}
"""Name and minimum value of each quota that a run needs, keyed by quota code."""
_MORE_FUNCTIONS = (
    "Runs work, but slowly. Request more with: aws service-quotas request-service-quota-increase --service-code lambda "
    f"--quota-code {CONCURRENT_EXECUTIONS} --desired-value 1000"
)
_MORE_BUDGET = (
    "Runs are refused until a running one ends or the month (UTC) is over. To allow more, raise max_usd_per_month of "
    "the stage in cdk.json and deploy again."
)
_INCONCLUSIVE_CODES = {
    "AccessDenied",
    "AccessDeniedException",
    "InvalidAction",
    "NotImplemented",
    "UnknownOperationException",
}
"""Error codes that mean that the caller lacks a permission or the endpoint does not implement the operation."""
_MARKS = {"good": "ok  ", "bad": "BAD ", "unknown": "?   ", "optional": "-   "}


@dataclass(frozen=True)
class Check:
    """Result of one check."""

    what: str
    """Name of the checked thing."""
    state: Literal["good", "bad", "unknown", "optional"]
    """``unknown`` if AWS did not answer the question; ``optional`` if a thing is missing that runs do not need."""
    detail: str
    """Value or error message."""
    remedy: str = ""
    """Remedy if the state is not ``good``."""


def print_checks(stage: Stage, *, as_json: bool) -> bool:
    """Print all checks and return whether none is bad. Raises ``CommandError`` if the stage is not in cdk.json."""
    checks = list(run_checks(stage, stage_settings(stage.name)))
    if as_json:
        print_json([asdict(check) for check in checks])
    else:
        for check in checks:
            print_wrapped(f"{_MARKS[check.state]} {check.what:<28} {check.detail}")
            if check.state != "good" and check.remedy:
                print_wrapped(f"     {check.remedy}")
    return not any(check.state == "bad" for check in checks)


def run_checks(stage: Stage, settings: dict[str, Any]) -> Iterator[Check]:
    """Check this machine, Region, account, stacks, models and quotas. Stop after missing credentials."""
    yield from _check_versions()
    yield _check_region(stage, settings)
    caller = _check_aws(
        "credentials", lambda: _caller(stage), "Set up credentials with: aws configure, or aws sso login"
    )
    yield caller
    if caller.state == "bad":
        return
    account = caller.detail.split(":")[4] if caller.state == "good" else "ACCOUNT"
    bootstrap = f"Run: npx cdk bootstrap aws://{account}/{stage.region}"
    yield _check_aws("CDK bootstrap", lambda: _bootstrap(stage), bootstrap)
    stacks = [_check_stack(stage, stack) for stack in ("Storage", "Pipeline")]
    yield from stacks
    if all(check.state == "good" for check in stacks):
        yield _check_aws("budget of the month", lambda: _month_budget(stage), _MORE_BUDGET)
    for model in dict.fromkeys([*settings["teachers"], *settings["students"]]):
        access = f"{ACCESS_CAUSES} A legacy model can no longer be tuned: name another in cdk.json."
        yield _check_aws(f"model {model}", lambda model=model: _model(stage, model), access)
    yield _check_aws("quota concurrent functions", lambda: _concurrent_functions(stage), _MORE_FUNCTIONS)
    for model in dict.fromkeys([*settings["teachers"], *settings["students"]]):
        if catalog.get_model(model).tokens_per_day_quota:
            yield _check_tokens_per_day(stage, model)
    for code, (name, minimum) in _QUOTAS.items():
        increase = "Request more with: aws service-quotas request-service-quota-increase --service-code bedrock"
        increase += f" --quota-code {code} --desired-value N"
        yield _check_aws(f"quota {name}", lambda code=code, minimum=minimum: _quota(stage, code, minimum), increase)


def _check_versions() -> Iterator[Check]:
    python = sys.version.split()[0]
    yield _check("Python", sys.version_info >= (3, 11), python, "Install Python 3.11 or newer.")
    pins = _pins()
    for name in _PINNED:
        try:
            installed = version(name)
        except PackageNotFoundError:
            yield _missing(name, "Install it with: pip install '.[deploy]'")
            continue
        required = pins.get(name, installed)
        yield _check(
            name, installed == required, installed, f"Install {required} with: pip install '{name}=={required}'"
        )
    node = _node_version()
    if node is None:
        yield _missing("Node.js for the CDK", f"Install Node.js {_MINIMUM_NODE} or newer.")
    else:
        is_recent = int(node.lstrip("v").partition(".")[0]) >= _MINIMUM_NODE
        yield _check("Node.js for the CDK", is_recent, node, f"Install Node.js {_MINIMUM_NODE} or newer.")
    cdk = _cdk_version()
    if cdk is None:
        yield _missing("CDK command", "Install it with: npm ci")
    else:
        yield _check("CDK command", cdk == _pinned_cdk(), cdk, f"Install {_pinned_cdk()} with: npm ci")


def _missing(what: str, remedy: str) -> Check:
    return Check(what, "optional", "missing", f"{_FOR_DEPLOYMENT} {remedy}")


def _pins() -> dict[str, str]:
    """Return the version of each package that this program is tested with, those of its extras included."""
    requirements = [requirement.partition(";")[0].strip() for requirement in requires("vision-distillation") or []]
    return dict(requirement.split("==") for requirement in requirements if "==" in requirement)


def _cdk_version() -> str | None:
    """Return the version of the CDK command that ``npm ci`` has installed in the clone; None if it has not."""
    try:
        return json.loads((ROOT / "node_modules/aws-cdk/package.json").read_text("utf-8"))["version"]
    except (OSError, ValueError, LookupError):
        return None


def _pinned_cdk() -> str:
    package = json.loads((ROOT / "package.json").read_text("utf-8"))
    return {**package.get("dependencies", {}), **package.get("devDependencies", {})}["aws-cdk"]


def _node_version() -> str | None:
    """Return the version of the Node.js that ``npx`` uses. As in the Makefile, .venv/bin comes before PATH."""
    node = shutil.which("node", path=str(ROOT / ".venv/bin")) or shutil.which("node")
    return subprocess.run([node, "--version"], capture_output=True, text=True).stdout.strip() if node else None


def _check_region(stage: Stage, settings: dict[str, Any]) -> Check:
    regions = [set(catalog.get_model(student).family.training_regions) for student in settings["students"]]
    allowed = set.intersection(*regions)
    remedy = f"Deploy in one of: {', '.join(sorted(allowed))}."
    if not allowed:
        remedy = "The students in cdk.json cannot be trained in the same Region. Remove one of them."
    return _check("Region", stage.region in allowed, stage.region, remedy)


def _check_aws(what: str, request: Callable[[], tuple[bool, str]], remedy: str) -> Check:
    """Return the check of a request to AWS. An error is ``bad``, or ``unknown`` if it says nothing about the thing."""
    try:
        good, detail = request()
    except (AccessDenied, ServiceUnavailable) as error:
        return Check(what, "unknown", str(error), f"Not checked. {remedy}")
    except (CommandError, DistillationError) as error:
        return Check(what, "bad", str(error), remedy)
    except ClientError as error:
        code, message = code_and_message(error)
        # AWS has names as codes. An emulator answers with a number about a service that it does not have.
        if code.isdigit() and "AWS_ENDPOINT_URL" in os.environ:
            return Check(what, "unknown", "not offered by the local AWS")
        state = "unknown" if code in _INCONCLUSIVE_CODES or code.isdigit() else "bad"
        return Check(what, state, f"{code}: {message}", remedy if state == "bad" else f"Not checked. {remedy}")
    except BotoCoreError as error:
        return Check(what, "bad" if what == "credentials" else "unknown", str(error), remedy)
    return _check(what, good, detail, remedy)


def _caller(stage: Stage) -> tuple[bool, str]:
    return True, stage.client("sts").get_caller_identity()["Arn"]


def _bootstrap(stage: Stage) -> tuple[bool, str]:
    stack = _find_stack(stage, "CDKToolkit")
    if stack is None:
        return (
            False,
            f"stack CDKToolkit does not exist in {stage.region}: the account is not bootstrapped there",
        )
    installed = outputs_of(stack).get("BootstrapVersion", "0")
    return int(installed) >= _MINIMUM_BOOTSTRAP, f"version {installed} (at least {_MINIMUM_BOOTSTRAP} is required)"


def _check_stack(stage: Stage, stack: str) -> Check:
    name = f"Distill-{stage.name}-{stack}"
    deploy = f"Run: npx cdk deploy --all -c stage={stage.name}. For another stage pass --stage."
    return _check_aws(f"stack {name}", lambda: _stack(stage, name), deploy)


def _month_budget(stage: Stage) -> tuple[bool, str]:
    """Return whether a run may still cost something this month, and what is left of max_usd_per_month."""
    limit = stage_defaults(stage.name, stage.region).max_usd_per_month
    use = MonthlyBudget(stage.data, stage.client("stepfunctions"), datetime.now(UTC)).use()
    left = use.left_usd(limit)
    detail = f"${left:,.2f} of ${limit:,.2f} left in {use.month}: ${use.spent_usd:,.2f} spent"
    if use.running:
        detail += f", ${use.reserved_usd:,.2f} reserved by {quantity(len(use.running), 'running run')}"
    return left > 0, detail


def _stack(stage: Stage, name: str) -> tuple[bool, str]:
    stack = _find_stack(stage, name)
    if stack is None:
        return False, f"does not exist in {stage.region}"
    return stack["StackStatus"] in ("CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE"), stack["StackStatus"]


def _find_stack(stage: Stage, name: str) -> dict[str, Any] | None:
    try:
        return stage.client("cloudformation").describe_stacks(StackName=name)["Stacks"][0]
    except ClientError as error:
        if not is_missing_stack(error):
            raise
        return None


def _model(stage: Stage, id: str) -> tuple[bool, str]:
    bedrock, foundation = stage.client("bedrock"), ids.foundation_id(id)
    availability = bedrock.get_foundation_model_availability(modelId=foundation)
    statuses = {
        "agreement": availability["agreementAvailability"]["status"],
        "authorization": availability["authorizationStatus"],
        "entitlement": availability["entitlementAvailability"],
        "Region": availability["regionAvailability"],
    }
    problems = [f"{name} {value}" for name, value in statuses.items() if value not in ("AVAILABLE", "AUTHORIZED")]
    details = bedrock.get_foundation_model(modelIdentifier=foundation)["modelDetails"]
    lifecycle = details.get("modelLifecycle", {}).get("status", "ACTIVE")
    # A legacy model can be invoked but not tuned.
    is_legacy = lifecycle != "ACTIVE" and catalog.get_model(id).training_id is not None
    return not problems and not is_legacy, ", ".join([lifecycle, *problems])


def _quota(stage: Stage, code: str, minimum: int) -> tuple[bool, str]:
    quota = stage.client("service-quotas").get_service_quota(ServiceCode="bedrock", QuotaCode=code)["Quota"]["Value"]
    return quota >= minimum, f"{quota:g}"


def _concurrent_functions(stage: Stage) -> tuple[bool, str]:
    """Return whether a Map can run a batch and leave functions free, and the quota with its code."""
    response = stage.client("service-quotas").get_service_quota(ServiceCode="lambda", QuotaCode=CONCURRENT_EXECUTIONS)
    quota = response["Quota"]["Value"]
    batches = max(1, round(quota) - FREE_FUNCTIONS)
    detail = f"{quota:g} ({CONCURRENT_EXECUTIONS}; at most {batches:,} batches of a run at the same time)"
    return quota > FREE_FUNCTIONS, detail


def _check_tokens_per_day(stage: Stage, model: str) -> Check:
    """Compare the account's tokens per day for a model with those of the smallest run."""
    what, code = f"tokens per day {model}", catalog.get_model(model).tokens_per_day_quota
    remedy = (
        f"Compare {code} in Service Quotas, Amazon Bedrock. It is not adjustable there: open a case with AWS Support."
    )
    quota = read_tokens_per_day(model, stage.client("service-quotas"))
    if quota is None:
        return Check(what, "unknown", f"{code} cannot be read", f"Not checked. {remedy}")
    run = resolve_request("doctor/", {}, stage.name, stage.region)
    tokens = tokens_per_call(run, model, run.teacher)
    needed = run.request.min_images * tokens
    detail = f"{quota:,.0f} ({code}), about {quota / tokens:,.0f} images; the smallest run needs {needed:,}"
    return _check(what, needed <= quota * MAXIMUM_DAYS, detail, remedy)


def _check(what: str, good: bool, detail: str, remedy: str) -> Check:
    return Check(what, "good" if good else "bad", detail, remedy)
