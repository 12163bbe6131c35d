from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from cli.console import NotReachable
from cli.main import app
from cli.stage import Stage
from distillation.errors import AccessDenied, ServiceUnavailable
from distillation.models import catalog
from tests.support.command import distill
from tests.support.fakes import CloudFormationFake


def test_help_lists_every_command() -> None:
    result = distill("--help")

    assert result.exit_code == 0
    assert "Exit codes" in result.stdout
    for command in app.registered_commands:
        assert command.callback
        assert f"  {command.callback.__name__}" in result.stdout


def test_help_imports_no_large_library() -> None:
    code = "import cli.main, sys; print([m for m in sys.modules if m in ('boto3', 'pydantic', 'numpy', 'rich')])"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert process.stdout.strip() == "[]"


def test_missing_stage_is_one_line_and_exit_code_3(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Stage, "client", lambda *_: CloudFormationFake())
    result = distill("report", "holiday-1")

    assert result.exit_code == 3
    assert result.stderr.startswith("distill report: stack Distill-dev-Storage")
    assert len(result.stderr.splitlines()) == 1


def test_stage_is_that_of_the_environment_variable_unless_the_option_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Stage, "client", lambda *_: CloudFormationFake())
    monkeypatch.setenv("DISTILL_STAGE", "local")

    assert "stack Distill-local-Storage" in distill("runs").stderr
    assert "stack Distill-dev-Storage" in distill("runs", "--stage", "dev").stderr


@pytest.mark.parametrize("code", ["AccessDenied", "ExpiredToken"])
def test_aws_error_keeps_its_message_and_is_exit_code_3(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    class Refusing:
        def describe_stacks(self, StackName: str) -> None:  # noqa: N803 - boto3's name
            raise ClientError({"Error": {"Code": code, "Message": f"not {StackName}"}}, "DescribeStacks")

    monkeypatch.setattr(Stage, "client", lambda *_: Refusing())
    result = distill("report", "holiday-1")

    assert result.exit_code == 3
    assert f"({code})" in result.stderr
    assert "eploy" not in result.stderr


def test_debug_raises_the_original_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Stage, "client", lambda *_: CloudFormationFake())

    assert isinstance(distill("--debug", "report", "holiday-1").exception, NotReachable)


@pytest.mark.parametrize("kind", [ServiceUnavailable, AccessDenied])
def test_outage_and_refusal_of_s3_are_exit_code_3_with_the_remedy_of_their_cause(
    monkeypatch: pytest.MonkeyPatch, kind: type[Exception]
) -> None:
    def refuse(*_: object) -> None:
        raise kind("s3://data/x: no answer") from EndpointConnectionError(endpoint_url="https://s3")

    monkeypatch.setattr(Stage, "client", refuse)
    result = distill("report", "holiday-1")

    assert result.exit_code == 3
    assert "Check the network connection" in result.stderr


@pytest.fixture
def own_names() -> Iterator[None]:
    """Give the models their own names again."""
    yield
    catalog.set_served_names("{}")


@pytest.mark.usefixtures("own_names")
def test_estimate_names_the_models_of_the_users_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(catalog.SERVED_NAMES, '{"local.teacher-efficientnet-v1:0": "qwen:7b"}')
    result = distill("estimate", "300x4000x3000", "--stage", "local")

    assert "LabelImages: qwen:7b, input" in result.stdout


def test_invalid_names_of_served_models_are_one_line_and_exit_code_2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(catalog.SERVED_NAMES, "junk")
    result = distill("estimate", "300x4000x3000", "--stage", "local")

    assert result.exit_code == 2
    assert result.stderr == "distill estimate: LOCAL_MODEL_NAMES is not a JSON object of names by model id: 'junk'\n"
