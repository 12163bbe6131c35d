"""``distill doctor`` with fake AWS responses."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as metadata_version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError, NoCredentialsError

from cli import doctor
from cli.doctor import Check, print_checks, run_checks
from distillation import keys
from distillation.documents import MonthBudget, RunBudget
from tests.support.fakes import bucket

SETTINGS = json.loads((Path(__file__).parents[2] / "cdk.json").read_text())["context"]["stages"]["dev"]


class Account:
    """A stage and all its AWS clients. Operations return the responses of a ready stage unless overridden."""

    name, region = "dev", "us-east-1"
    exceptions = SimpleNamespace(ExecutionDoesNotExist=LookupError)

    def __init__(self, **responses: Any) -> None:
        self.responses = responses
        self.data = bucket()

    def client(self, _: str) -> Account:
        return self

    def __getattr__(self, operation: str) -> Any:
        def call(**_: Any) -> Any:
            response = self.responses.get(operation, READY[operation])
            if isinstance(response, Exception):
                raise response
            return response

        return call


MODEL = {
    "agreementAvailability": {"status": "AVAILABLE"},
    "authorizationStatus": "AUTHORIZED",
    "entitlementAvailability": "AVAILABLE",
    "regionAvailability": "AVAILABLE",
}
READY = {
    "get_caller_identity": {"Arn": "arn:aws:iam::1:user/me"},
    "describe_stacks": {
        "Stacks": [
            {
                "StackStatus": "UPDATE_COMPLETE",
                "Outputs": [{"OutputKey": "BootstrapVersion", "OutputValue": "30"}],
            }
        ]
    },
    "get_foundation_model_availability": MODEL,
    "get_foundation_model": {"modelDetails": {"modelLifecycle": {"status": "ACTIVE"}}},
    "get_service_quota": {"Quota": {"Value": 1_000_000}},
}


ABSENT = ClientError({"Error": {"Code": "ValidationError", "Message": "Stack with id S does not exist"}}, "Operation")


def aws_error(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "why"}}, "Operation")


@pytest.fixture(autouse=True)
def node(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_node_version", lambda: "v22.1.0")
    monkeypatch.setattr(doctor, "_cdk_version", doctor._pinned_cdk)


def checks_by_name(**responses: Any) -> dict[str, Check]:
    account: Any = Account(**responses)
    return {check.what: check for check in run_checks(account, SETTINGS)}


def test_missing_stacks_are_named_with_the_commands_that_create_them() -> None:
    checks = checks_by_name(describe_stacks=ABSENT)
    bootstrap, pipeline = checks["CDK bootstrap"], checks["stack Distill-dev-Pipeline"]

    assert bootstrap.detail.startswith("stack CDKToolkit does not exist in us-east-1")
    assert bootstrap.remedy == "Run: npx cdk bootstrap aws://1/us-east-1"
    assert pipeline.detail == "does not exist in us-east-1"
    assert "--stage" not in bootstrap.detail


def test_ready_stage_passes_every_check() -> None:
    assert {check.state for check in checks_by_name().values()} == {"good"}


@pytest.mark.parametrize(
    ("responses", "what", "state", "remedy"),
    [
        ({"get_caller_identity": NoCredentialsError()}, "credentials", "bad", "aws configure"),
        ({"describe_stacks": ABSENT}, "CDK bootstrap", "bad", "cdk bootstrap"),
        ({"describe_stacks": ABSENT}, "stack Distill-dev-Pipeline", "bad", "cdk deploy"),
        ({"describe_stacks": aws_error("AccessDenied")}, "stack Distill-dev-Pipeline", "unknown", "Not checked."),
        (
            {"get_foundation_model_availability": MODEL | {"authorizationStatus": "NOT_AUTHORIZED"}},
            "model amazon.nova-lite-v1:0",
            "bad",
            "service control policy (SCP) denies the call; the account has no AWS Marketplace subscription",
        ),
        (
            {"get_foundation_model": {"modelDetails": {"modelLifecycle": {"status": "LEGACY"}}}},
            "model amazon.nova-lite-v1:0",
            "bad",
            "name another in cdk.json",
        ),
        ({"get_service_quota": {"Quota": {"Value": 0}}}, "quota custom models in the account", "bad", "L-CB5B847D"),
        (
            {"get_service_quota": aws_error("AccessDeniedException")},
            "quota custom models in the account",
            "unknown",
            "",
        ),
        ({"get_service_quota": aws_error("400")}, "quota custom models in the account", "unknown", ""),
        ({"get_service_quota": {"Quota": {"Value": 2}}}, "quota concurrent functions", "bad", "L-B99A9384"),
        ({"get_service_quota": {"Quota": {"Value": 0}}}, "tokens per day amazon.nova-pro-v1:0", "bad", "L-D690997B"),
        (
            {"get_service_quota": aws_error("AccessDeniedException")},
            "tokens per day amazon.nova-lite-v1:0",
            "unknown",
            "L-45E0AD92",
        ),
    ],
)
def test_problem_has_a_remedy(responses: dict[str, Any], what: str, state: str, remedy: str) -> None:
    check = checks_by_name(**responses)[what]

    assert check.state == state
    assert remedy in check.remedy


def month_budget_check(*runs: tuple[str, float, float | None], **responses: Any) -> Check:
    """Return the check of a stage with these runs: name, ``max_usd``, and cost if it has ended."""
    now = datetime.now(UTC)
    entries = [
        RunBudget(run=name, created=now, max_usd=usd, executions=[f"arn:{name}"], settled_usd=cost)
        for name, usd, cost in runs
    ]
    account: Any = Account(describe_execution={"status": "RUNNING"}, **responses)
    account.data.write_document(keys.month_budget_key(f"{now:%Y-%m}"), MonthBudget(runs=entries))
    return next(check for check in run_checks(account, SETTINGS) if check.what == "budget of the month")


def test_budget_of_the_month_shows_what_is_left() -> None:
    check = month_budget_check(("a", 200, 12.5), ("b", 25, None))

    assert check.state == "good"
    assert re.fullmatch(
        r"\$462\.50 of \$500\.00 left in \d{4}-\d\d: \$12\.50 spent, \$25\.00 reserved by 1 running run", check.detail
    )


def test_used_budget_of_the_month_is_bad_with_what_to_change() -> None:
    check = month_budget_check(("a", 200, None), ("b", 300, None))

    assert check.state == "bad"
    assert "raise max_usd_per_month of the stage in cdk.json" in check.remedy


def test_concurrent_functions_and_tokens_per_day_are_compared_with_what_a_run_needs() -> None:
    checks = checks_by_name(get_service_quota={"Quota": {"Value": 10}})

    functions = checks["quota concurrent functions"]
    assert (functions.state, functions.detail) == (
        "good",
        "10 (L-B99A9384; at most 8 batches of a run at the same time)",
    )
    tokens = checks["tokens per day amazon.nova-pro-v1:0"]
    assert (tokens.state, tokens.detail.partition(",")[0]) == ("bad", "10 (L-D690997B)")
    assert re.search(r"about 0 images; the smallest run needs 3\d,\d{3}$", tokens.detail)


def test_old_node_and_another_version_of_the_cdk_are_bad(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_node_version", lambda: "v20.20.2")
    monkeypatch.setattr(doctor, "_cdk_version", lambda: "2.1.0")
    checks = checks_by_name()

    assert checks["Node.js for the CDK"].state == checks["CDK command"].state == "bad"
    assert checks["CDK command"].remedy.endswith("with: npm ci")


def test_what_only_a_deployment_needs_is_named_if_it_is_missing_but_not_bad(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def version(name: str) -> str:
        if name == "aws-cdk-lib":
            raise PackageNotFoundError(name)
        return metadata_version(name)

    monkeypatch.setattr(doctor, "version", version)
    monkeypatch.setattr(doctor, "_node_version", lambda: None)
    monkeypatch.setattr(doctor, "_cdk_version", lambda: None)
    account: Any = Account()
    assert print_checks(account, as_json=False)
    lines = capsys.readouterr().out.splitlines()

    for name, remedy in (
        ("aws-cdk-lib", "pip install '.[deploy]'"),
        ("Node.js for the CDK", "Install Node.js 22 or newer."),
        ("CDK command", "npm ci"),
    ):
        (at,) = [number for number, line in enumerate(lines) if line.startswith(f"-    {name} ")]
        assert "missing" in lines[at]
        assert "Needed only for cdk deploy, cdk destroy and distill destroy" in lines[at + 1]
        assert lines[at + 1].endswith(remedy)


def test_cdk_of_the_clone_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(doctor, "ROOT", tmp_path)
    assert doctor._cdk_version() is None
    package = tmp_path / "node_modules/aws-cdk/package.json"
    package.parent.mkdir(parents=True)
    package.write_text('{"version": "2.1148.1"}')

    assert doctor._cdk_version() == "2.1148.1"


def test_version_of_a_package_is_compared_with_the_pinned_one(monkeypatch: pytest.MonkeyPatch) -> None:
    pins = ["boto3==1.0.0", 'aws-cdk-lib==2.0.0; extra == "deploy"', 'vision-distillation[deploy]; extra == "local"']
    monkeypatch.setattr(doctor, "requires", lambda _: pins)
    checks = checks_by_name()

    assert (checks["boto3"].state, checks["boto3"].remedy) == (
        "bad",
        "Install 1.0.0 with: pip install 'boto3==1.0.0'",
    )
    assert checks["aws-cdk-lib"].state == "bad"
    assert checks["pydantic"].state == "good"


def test_service_that_the_local_aws_does_not_have_is_named_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    on_aws = checks_by_name(get_service_quota=aws_error("400"))["quota custom models in the account"]
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:4566")
    local = checks_by_name(get_service_quota=aws_error("400"))["quota custom models in the account"]

    assert on_aws.detail == "400: why"
    assert (local.state, local.detail, local.remedy) == ("unknown", "not offered by the local AWS", "")


def test_checks_stop_after_missing_credentials() -> None:
    assert list(checks_by_name(get_caller_identity=NoCredentialsError()))[-1] == "credentials"
