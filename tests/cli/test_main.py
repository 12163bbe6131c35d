from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from botocore.exceptions import ClientError

from cli.console import Unreachable
from cli.main import app
from cli.stage import Stage, stack_outputs
from tests.support.command import distill


class Stacks:
    """What is asked of CloudFormation."""

    def __init__(self, *stacks: dict[str, Any]) -> None:
        self.stacks = stacks

    def describe_stacks(self, StackName: str) -> dict[str, Any]:  # noqa: N803 - boto3's name
        if not self.stacks:
            raise ClientError({"Error": {"Code": "ValidationError", "Message": f"{StackName} does not exist"}}, "D")
        return {"Stacks": list(self.stacks)}


def test_every_command_is_listed_with_what_it_does() -> None:
    told = distill("--help")

    assert told.exit_code == 0
    assert "Exit codes" in told.stdout
    for command in app.registered_commands:
        assert command.callback
        assert f"  {command.callback.__name__}" in told.stdout


def test_help_loads_neither_boto3_nor_a_step() -> None:
    code = "import cli.main, sys; print([m for m in sys.modules if m in ('boto3', 'pydantic', 'numpy', 'rich')])"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert told.stdout.strip() == "[]"


def test_stack_that_is_not_there_is_named_with_what_to_do() -> None:
    with pytest.raises(Unreachable, match=r"Distill-dev-Storage.*deploy the stage"):
        stack_outputs(Stacks(), "Distill-dev-Storage")


def test_stack_without_the_output_is_one_of_an_older_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Stage, "client", lambda *_: Stacks({}))
    with pytest.raises(Unreachable, match="no output DataBucket; deploy it again"):
        _ = Stage("dev", "us-east-1").data


def test_unreachable_stage_is_one_line_and_exit_code_3(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Stage, "client", lambda *_: Stacks())
    told = distill("report", "holiday-1")

    assert told.exit_code == 3
    assert told.stderr.startswith("distill report: stack Distill-dev-Storage")
    assert len(told.stderr.splitlines()) == 1


@pytest.mark.parametrize("code", ["AccessDenied", "ExpiredToken"])
def test_what_aws_refuses_keeps_its_own_words_and_is_exit_code_3(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    class Refusing:
        def describe_stacks(self, StackName: str) -> None:  # noqa: N803 - boto3's name
            raise ClientError({"Error": {"Code": code, "Message": f"not {StackName}"}}, "DescribeStacks")

    monkeypatch.setattr(Stage, "client", lambda *_: Refusing())
    told = distill("report", "holiday-1")

    assert told.exit_code == 3
    assert f"({code})" in told.stderr
    assert "deploy" not in told.stderr


def test_debug_shows_where_an_error_came_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Stage, "client", lambda *_: Stacks())

    assert isinstance(distill("--debug", "report", "holiday-1").exception, Unreachable)
