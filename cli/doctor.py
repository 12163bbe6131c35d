"""``distill doctor``: what a stage needs before it can run, each with what to do about it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

from botocore.exceptions import BotoCoreError, ClientError

from cli.console import Refused, print_json, say_wrapped
from cli.stage import ROOT, Stage, settings_of, stack_outputs
from distillation.bedrock_errors import code_and_message
from distillation.models import catalog
from distillation.models.service_quotas import CUSTOM_MODELS, DEPLOYMENTS_IN_PROGRESS

_BOOTSTRAP_VERSION = 21
_NODE = 22
_PINNED = ("aws-cdk-lib", "boto3", "botocore", "pydantic")
_QUOTAS = {
    CUSTOM_MODELS: ("custom models in the account", 1),
    DEPLOYMENTS_IN_PROGRESS: ("deployments being made at once", 1),
}
"""By code: what it counts, and the least that a run needs."""
_MARKS = {"good": "ok  ", "bad": "BAD ", "unknown": "?   "}


@dataclass(frozen=True)
class Finding:
    """One check: ``good``, ``bad``, or ``unknown`` where it could not be asked."""

    what: str
    state: Literal["good", "bad", "unknown"]
    detail: str
    remedy: str = ""


def examine(stage: Stage, as_json: bool) -> bool:
    """Print what was found; return whether nothing is bad. Raises ``Refused`` for a stage that is not in cdk.json."""
    found = list(findings(stage, settings_of(stage.name)))
    if as_json:
        print_json([asdict(finding) for finding in found])
    else:
        for finding in found:
            say_wrapped(f"{_MARKS[finding.state]} {finding.what:<28} {finding.detail}")
            if finding.state != "good" and finding.remedy:
                say_wrapped(f"     {finding.remedy}")
    return not any(finding.state == "bad" for finding in found)


def findings(stage: Stage, settings: dict[str, Any]) -> Iterator[Finding]:
    """Examine this machine, account, stacks, models and quotas, in the order in which they are needed."""
    yield from _versions()
    yield _region(stage, settings)
    caller = _asked("credentials", lambda: _caller(stage), "set up credentials: aws configure, or aws sso login")
    yield caller
    if caller.state == "bad":
        return
    bootstrap = f"npx cdk bootstrap aws://ACCOUNT/{stage.region}"
    yield _asked("CDK bootstrap", lambda: _bootstrap(stage), bootstrap)
    for stack in ("Storage", "Pipeline"):
        name = f"Distill-{stage.name}-{stack}"
        yield _asked(
            f"stack {name}", lambda name=name: _stack(stage, name), f"npx cdk deploy --all -c stage={stage.name}"
        )
    for model in dict.fromkeys([*settings["teachers"], *settings["students"]]):
        access = f"ask for access to it in the Bedrock console, {stage.region}, Model access; "
        access += "a legacy one is tuned no more: name another in cdk.json"
        yield _asked(f"model {model}", lambda model=model: _model(stage, model), access)
    for code, (what, least) in _QUOTAS.items():
        more = "ask for more: aws service-quotas request-service-quota-increase --service-code bedrock"
        more += f" --quota-code {code} --desired-value N"
        yield _asked(f"quota {what}", lambda code=code, least=least: _quota(stage, code, least), more)


def _versions() -> Iterator[Finding]:
    python = sys.version.split()[0]
    yield _judged("Python", sys.version_info >= (3, 11), python, "install Python 3.11 or newer")
    pins = dict(line.split("==") for line in (ROOT / "requirements.txt").read_text("utf-8").split() if "==" in line)
    for name in _PINNED:
        try:
            found = version(name)
        except PackageNotFoundError:
            found = "missing"
        yield _judged(name, found == pins[name], found, f"{pins[name]} is wanted: pip install -r requirements.txt")
    node = _node()
    recent = node is not None and int(node.lstrip("v").partition(".")[0]) >= _NODE
    yield _judged("Node.js for the CDK", recent, node or "missing", f"install Node.js {_NODE} or newer")


def _node() -> str | None:
    """Return the version of the Node.js that `npx` runs on; that of the venv first, as in the Makefile."""
    found = shutil.which("node", path=str(ROOT / ".venv/bin")) or shutil.which("node")
    return subprocess.run([found, "--version"], capture_output=True, text=True).stdout.strip() if found else None


def _region(stage: Stage, settings: dict[str, Any]) -> Finding:
    regions = [set(catalog.get_model(student).family.training_regions) for student in settings["students"]]
    allowed = set.intersection(*regions)
    remedy = f"deploy in {', '.join(sorted(allowed)) or 'no Region: the students have none in common'}"
    return _judged("Region", stage.region in allowed, stage.region, remedy)


def _asked(what: str, ask: Callable[[], tuple[bool, str]], remedy: str) -> Finding:
    """Ask AWS; what it refuses is bad, what cannot be asked is unknown."""
    try:
        good, detail = ask()
    except Refused as refusal:
        return Finding(what, "bad", str(refusal), remedy)
    except ClientError as error:
        code, message = code_and_message(error)
        # An error without a code of its own is an endpoint's that does not know the service.
        state = "unknown" if code in _NOT_OURS or code.isdigit() else "bad"
        return Finding(what, state, f"{code}: {message}", remedy if state == "bad" else f"could not be asked; {remedy}")
    except BotoCoreError as error:
        return Finding(what, "bad" if what == "credentials" else "unknown", str(error), remedy)
    return _judged(what, good, detail, remedy)


_NOT_OURS = {"AccessDenied", "AccessDeniedException", "InvalidAction", "NotImplemented", "UnknownOperationException"}
"""What says nothing of what was asked about: the caller may not ask, or the endpoint does not know the question."""


def _caller(stage: Stage) -> tuple[bool, str]:
    found = stage.client("sts").get_caller_identity()
    return True, found["Arn"]


def _bootstrap(stage: Stage) -> tuple[bool, str]:
    found = stack_outputs(stage.client("cloudformation"), "CDKToolkit").get("BootstrapVersion", "0")
    return int(found) >= _BOOTSTRAP_VERSION, f"version {found}, at least {_BOOTSTRAP_VERSION} is wanted"


def _stack(stage: Stage, name: str) -> tuple[bool, str]:
    stack_outputs(stage.client("cloudformation"), name)
    status = stage.client("cloudformation").describe_stacks(StackName=name)["Stacks"][0]["StackStatus"]
    return status in ("CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE"), status


def _model(stage: Stage, id: str) -> tuple[bool, str]:
    bedrock, foundation = stage.client("bedrock"), catalog.foundation_id(id)
    found = bedrock.get_foundation_model_availability(modelId=foundation)
    facts = {
        "agreement": found["agreementAvailability"]["status"],
        "authorization": found["authorizationStatus"],
        "entitlement": found["entitlementAvailability"],
        "Region": found["regionAvailability"],
    }
    wrong = [f"{name} {value}" for name, value in facts.items() if value not in ("AVAILABLE", "AUTHORIZED")]
    details = bedrock.get_foundation_model(modelIdentifier=foundation)["modelDetails"]
    lifecycle = details.get("modelLifecycle", {}).get("status", "ACTIVE")
    # A legacy model answers still, but is tuned no more.
    legacy = lifecycle != "ACTIVE" and catalog.get_model(id).training_id is not None
    return not wrong and not legacy, ", ".join([lifecycle, *wrong])


def _quota(stage: Stage, code: str, least: int) -> tuple[bool, str]:
    found = stage.client("service-quotas").get_service_quota(ServiceCode="bedrock", QuotaCode=code)["Quota"]["Value"]
    return found >= least, f"{found:g}"


def _judged(what: str, good: bool, detail: str, remedy: str) -> Finding:
    return Finding(what, "good" if good else "bad", detail, remedy)
