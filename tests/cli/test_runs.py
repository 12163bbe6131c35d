from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from cli.console import CommandError
from cli.runs import list_runs
from distillation import keys
from distillation.documents import Failure, ReplacedDeployment
from distillation.records import TrainedModel
from distillation.storage import Bucket
from tests.support.bedrock_state import claimed_run, ended_run
from tests.support.builders import any_growth, any_manifest, any_report, any_run
from tests.support.fakes import StepFunctionsExceptions, bucket


class Executions:
    """Step Functions client whose executions have one status; an error code is raised, and None is unknown."""

    exceptions = StepFunctionsExceptions

    def __init__(self, status: str | None) -> None:
        self._status = status

    def describe_execution(self, **_: Any) -> dict[str, Any]:
        if self._status is None:
            raise self.exceptions.ExecutionDoesNotExist
        if self._status.endswith("Exception"):
            raise ClientError({"Error": {"Code": self._status, "Message": "User x may not"}}, "DescribeExecution")
        return {"status": self._status}


def stage(data: Bucket, status: str | None = "RUNNING") -> Any:
    return SimpleNamespace(name="dev", data=data, client={"stepfunctions": Executions(status)}.__getitem__)


def test_runs_are_listed_and_compared_with_differences_marked(capsys: pytest.CaptureFixture[str]) -> None:
    data = bucket(**ended_run("first", "first-n1-a1"), **ended_run("second", None, keep="all"))
    for name, sha256 in (("first", "1"), ("second", "2")):
        hashes = {f"runs/{name}/dataset/t.jsonl": sha256}
        data.write_document(keys.manifest_key(name), any_manifest(any_run(), code="abc", datasets_sha256=hashes))
    list_runs(stage(data), [], as_json=True)

    assert {run["run"]: run["promoted"] for run in json.loads(capsys.readouterr().out)} == {
        "first": "first-n1-a1",
        "second": None,
    }

    list_runs(stage(data), ["first", "second"], as_json=False)
    lines = {line.split()[1 if line[0] == "≠" else 0]: line[0] for line in capsys.readouterr().out.splitlines()}

    assert (lines["keep"], lines["sha256"], lines["code"]) == ("≠", "≠", " ")
    with pytest.raises(CommandError, match="no run 'third'"):
        list_runs(stage(data), ["third"], as_json=False)


def test_promoted_model_that_took_over_a_deployment_has_no_deployment_of_its_own(
    capsys: pytest.CaptureFixture[str],
) -> None:
    data = bucket(**claimed_run("new", replace="old"))
    models = [
        TrainedModel(size=size, status="Active", model_name=name, deployment_arn=f"arn:{name}")
        for size, name in ((12, "best"), (30, "other"))
    ]
    data.write_document(keys.report_json_key("new"), any_report(models=models, promoted="best"))
    list_runs(stage(data), ["new"], as_json=True)
    replaced = ReplacedDeployment(deployment_name="old", deployment_arn="arn:old", model_arn="arn:m", replaces="old")
    data.write_document(keys.deployment_key("new"), replaced)
    list_runs(stage(data), ["new"], as_json=True)
    before, after = (json.loads(part + "]")[0] for part in capsys.readouterr().out.split("\n]\n")[:2])

    assert before["deployments"] == ["arn:best", "arn:other"]
    assert (after["deployments"], after["took_over"]) == (["arn:other"], "arn:old")


@pytest.mark.parametrize(
    ("stopped", "failed", "status"),
    [(None, False, "growing"), (None, True, "failed"), ("flat", True, "growing"), ("flat", False, "growing")],
)
def test_run_that_failed_while_it_grew_is_listed_as_failed(
    stopped: str | None, failed: bool, status: str, capsys: pytest.CaptureFixture[str]
) -> None:
    data = bucket(**claimed_run("new"))
    growth = any_growth(stopped=stopped)
    data.write_document(keys.report_json_key("new"), any_report(status="growing", growth=growth))
    if failed:
        failure = Failure(state="LabelImages", error="OverBudget", cause="no money", run="new", execution="arn:e")
        data.write_document(keys.failure_key("new"), failure)
    list_runs(stage(data), [], as_json=True)

    assert json.loads(capsys.readouterr().out)[0]["status"] == status


@pytest.mark.parametrize("growing", [False, True], ids=["no report", "growing"])
@pytest.mark.parametrize(
    ("execution", "status"),
    [
        ("RUNNING", "running"),
        ("ABORTED", "stopped"),
        ("TIMED_OUT", "timed out"),
        ("FAILED", "failed"),
        ("SUCCEEDED", "complete"),
        (None, "ended"),
        ("AccessDeniedException", "running or stopped"),
    ],
)
def test_run_without_a_final_report_has_the_status_of_its_execution(
    execution: str | None, status: str, growing: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    data = bucket(**claimed_run("new"))
    if growing:
        report = any_report(status="growing", growth=any_growth(stopped=None))
        data.write_document(keys.report_json_key("new"), report)
    list_runs(stage(data, execution), [], as_json=True)

    expected = "growing" if growing and status.startswith("running") else status
    assert json.loads(capsys.readouterr().out)[0]["status"] == expected
