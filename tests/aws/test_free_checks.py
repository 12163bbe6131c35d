"""The free checks that the emulator cannot run, with responses that botocore checks against the service models."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from cli.doctor import Check
from tests.aws import free_checks
from tests.aws.free_checks import StageUnderTest

TEACHER, STUDENT = "amazon.nova-pro-v1:0", "amazon.nova-lite-v1:0"
MACHINE = "arn:aws:states:us-east-1:123456789012:stateMachine:Pipeline"


class StubbedStage:
    """A stage whose clients return the given responses, in this order."""

    name, region, state_machine = "dev", "us-east-1", MACHINE

    def __init__(self, service: str, *responses: tuple[str, Any]) -> None:
        self._client = boto3.session.Session(region_name=self.region).client(service)  # pyright: ignore[reportArgumentType, reportCallIssue]
        self._stubber = Stubber(self._client)
        for operation, response in responses:
            if isinstance(response, str):
                self._stubber.add_client_error(operation, response)
            else:
                self._stubber.add_response(operation, response)

    def client(self, _: str) -> Any:
        return self._client

    @contextmanager
    def asked(self) -> Iterator[StageUnderTest]:
        with self._stubber:
            yield StageUnderTest(self, TEACHER, STUDENT)  # pyright: ignore[reportArgumentType]
            self._stubber.assert_no_pending_responses()


def run(check: Callable[[StageUnderTest], str], stage: StubbedStage) -> str:
    with stage.asked() as target:
        return check(target)


def quota(code: str, name: str, value: float) -> tuple[str, Any]:
    return "get_service_quota", {"Quota": {"QuotaCode": code, "QuotaName": name, "Value": value}}


def quotas(*names: str) -> tuple[str, Any]:
    return "list_service_quotas", {"Quotas": [{"QuotaName": name, "Value": 25.0} for name in names]}


QUOTAS_BY_CODE = (
    quota("L-CB5B847D", "Custom models per account", 100),
    quota("L-430C95DD", "Custom model deployments in progress", 2),
    quota("L-031F46A7", "Sum of records", 20_000),
    quota("L-45E0AD92", "Model invocation max tokens per day for Amazon Nova Lite", 0),
    quota("L-D690997B", "Model invocation max tokens per day for Amazon Nova Pro", 0),
    quota("L-B99A9384", "Concurrent executions", 10),
)


def test_quota_codes_are_observed_with_their_names_and_values() -> None:
    observation = run(free_checks.service_quota_codes, StubbedStage("service-quotas", *QUOTAS_BY_CODE))

    assert "L-430C95DD Custom model deployments in progress: 2" in observation
    assert observation.endswith("L-B99A9384 Concurrent executions: 10")


def test_default_is_observed_if_the_account_has_no_quota_of_its_own() -> None:
    default = ("get_aws_default_service_quota", QUOTAS_BY_CODE[0][1])
    responses = [("get_service_quota", "NoSuchResourceException"), default, *QUOTAS_BY_CODE[1:]]

    assert "L-CB5B847D" in run(free_checks.service_quota_codes, StubbedStage("service-quotas", *responses))


def test_code_that_is_not_of_tokens_per_day_refutes_the_codes() -> None:
    other = quota("L-D690997B", "Records per batch inference job", 100)
    stage = StubbedStage("service-quotas", *QUOTAS_BY_CODE[:4], other, QUOTAS_BY_CODE[5])

    with pytest.raises(AssertionError, match="Records per batch"):
        run(free_checks.service_quota_codes, stage)


PER_MINUTE = "On-demand model inference requests per minute for Amazon Nova Pro"
TOKENS_PER_MINUTE = "On-demand model inference tokens per minute for Amazon Nova Pro"
PER_DAY = "Model invocation max tokens per day for Amazon Nova Pro"


def test_inference_quotas_are_found_by_the_name_of_the_teacher() -> None:
    stage = StubbedStage("service-quotas", quotas(PER_MINUTE, TOKENS_PER_MINUTE, PER_DAY, "Flows per account"))

    observation = run(free_checks.inference_quotas, stage)

    assert observation.count(": 25") == 3
    assert "Flows" not in observation


def test_missing_daily_quota_refutes_the_inference_quotas() -> None:
    with pytest.raises(AssertionError, match="no quota of tokens per day for Nova Pro"):
        run(free_checks.inference_quotas, StubbedStage("service-quotas", quotas(PER_MINUTE, TOKENS_PER_MINUTE)))


def profile(*regions: str) -> tuple[str, Any]:
    models = [{"modelArn": f"arn:aws:bedrock:{region}::foundation-model/{TEACHER}"} for region in regions]
    arn = f"arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.{TEACHER}"
    names = {"inferenceProfileName": "US Nova Pro", "inferenceProfileArn": arn, "inferenceProfileId": f"us.{TEACHER}"}
    return "get_inference_profile", {**names, "models": models, "status": "ACTIVE", "type": "SYSTEM_DEFINED"}


def test_profile_must_lead_to_granted_regions_only() -> None:
    stage = StubbedStage("bedrock", profile("us-west-2", "us-east-1"))
    assert run(free_checks.profile_regions, stage) == f"us.{TEACHER}: us-east-1, us-west-2"

    with pytest.raises(AssertionError, match="eu-west-1 is not granted"):
        run(free_checks.profile_regions, StubbedStage("bedrock", profile("us-east-1", "eu-west-1")))


def definition(result: str, *findings: tuple[str, str]) -> StubbedStage:
    diagnostics = [{"severity": severity, "code": code, "message": "why"} for severity, code in findings]
    machine = {"stateMachineArn": MACHINE, "name": "Pipeline", "definition": "{}", "roleArn": "arn:aws:iam::1:role/r"}
    described = {**machine, "type": "STANDARD", "creationDate": 0}
    validated = {"result": result, "diagnostics": diagnostics}
    return StubbedStage(
        "stepfunctions",
        ("describe_state_machine", described),
        ("validate_state_machine_definition", validated),
    )


def test_definition_with_an_error_is_refuted_and_one_with_a_warning_confirmed() -> None:
    assert run(free_checks.definition_accepted, definition("OK", ("WARNING", "NO_DOLLAR"))) == (
        "no errors, 1 warning WARNING NO_DOLLAR"
    )
    with pytest.raises(AssertionError, match="ERROR SCHEMA_VALIDATION_FAILED"):
        run(free_checks.definition_accepted, definition("FAIL", ("ERROR", "SCHEMA_VALIDATION_FAILED")))


@pytest.mark.parametrize(("state", "is_confirmed"), [("good", True), ("unknown", True), ("bad", False)])
def test_stage_is_ready_unless_doctor_finds_a_problem(
    monkeypatch: pytest.MonkeyPatch, state: Any, is_confirmed: bool
) -> None:
    monkeypatch.setattr(free_checks, "run_checks", lambda *_: [Check("CDK bootstrap", state, "version 20")])
    stage = StubbedStage("sts")

    if is_confirmed:
        assert run(free_checks.stage_ready, stage).startswith("1 check, ")
    else:
        with pytest.raises(AssertionError, match="CDK bootstrap: version 20"):
            run(free_checks.stage_ready, stage)


@pytest.mark.parametrize("code", ["AccessDeniedException", "ThrottlingException"])
def test_error_that_is_not_worded_as_not_found_refutes_absent_names(code: str) -> None:
    with pytest.raises(AssertionError, match=code):
        run(free_checks.absent_names, StubbedStage("bedrock", ("get_model_customization_job", code)))


def test_absent_names_are_observed_without_the_name() -> None:
    gets = ("get_model_customization_job", "get_custom_model", "get_custom_model_deployment")

    observation = run(
        free_checks.absent_names, StubbedStage("bedrock", *((get, "ResourceNotFoundException") for get in gets))
    )

    assert observation.count("ResourceNotFoundException") == 3
