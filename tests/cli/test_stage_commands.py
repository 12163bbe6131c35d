"""clean and runs, against the local Bedrock endpoint and a Data bucket in memory."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest

from cli.apply import apply_model
from cli.clean import clean_stage
from cli.console import Refused
from cli.requests import read_request, request_from_manifest
from cli.runs import list_runs
from distillation import keys
from distillation.errors import InvalidRequest
from distillation.storage import Bucket
from local.bedrock import Endpoint
from tests.support.bedrock_state import add_resources, ended_run
from tests.support.fakes import bucket


class Executions:
    """Step Functions that knows one status of all executions."""

    class exceptions:  # noqa: N801 - boto3's name
        class ExecutionDoesNotExist(Exception):
            """Raised for an execution that is long over."""

    def __init__(self, status: str = "SUCCEEDED") -> None:
        self._status = status

    def describe_execution(self, **_: Any) -> dict[str, Any]:
        return {"status": self._status}


def stage(endpoint: Endpoint, data: Bucket, status: str = "SUCCEEDED") -> Any:
    make: Any = boto3.client
    clients = {"bedrock": make("bedrock", endpoint_url=endpoint.url), "stepfunctions": Executions(status)}
    return SimpleNamespace(name="dev", region="us-east-1", data=data, client=clients.__getitem__)


def clean(found: Any, run: str | None = None, *, objects: bool = False, really: bool = False) -> None:
    clean_stage(found, run, objects=objects, really=really, as_json=False)


def test_clean_removes_nothing_until_it_is_told_to_and_then_only_leftovers(
    endpoint: Endpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    kept, dropped = add_resources(endpoint, "kept", 1), add_resources(endpoint, "dropped", 2)
    add_resources(endpoint, "theirs", 3, stage="prod")
    found = stage(endpoint, bucket(**ended_run("kept", kept), **ended_run("dropped", None)))
    clean(found)
    told = capsys.readouterr().out

    assert len(endpoint.service.custom_models) == 3
    assert "1.95" in told
    assert f"Nothing was removed. With --yes: deployment {dropped}, model {dropped}." in told
    assert "theirs" not in told

    clean(found, really=True)

    assert {one["modelName"] for one in endpoint.service.custom_models.values()} == {kept, "theirs-n3-a1"}


def test_all_of_one_run_goes_with_its_objects_when_asked_by_name(endpoint: Endpoint) -> None:
    name = add_resources(endpoint, "kept")
    data = bucket(**ended_run("kept", name), **{"labels/l/a/0.json": b"{}", "work/kept/x": b"", "runs/kept-2/y": b""})
    with pytest.raises(Refused, match="needs --run"):
        clean(stage(endpoint, data), objects=True, really=True)
    clean(stage(endpoint, data), "kept", objects=True, really=True)

    assert not endpoint.service.custom_models
    assert not endpoint.service.deployments
    assert list(data.keys("")) == ["labels/l/a/0.json", "runs/kept-2/y"]


def test_run_that_goes_on_or_is_unknown_is_refused(endpoint: Endpoint) -> None:
    data = bucket(**ended_run("busy", None))
    with pytest.raises(Refused, match="goes on"):
        clean(stage(endpoint, data, "RUNNING"), "busy", really=True)
    with pytest.raises(Refused, match="no run 'absent'"):
        clean(stage(endpoint, data), "absent")


def test_model_that_another_runs_deployment_serves_is_not_taken_from_under_it(endpoint: Endpoint) -> None:
    name = add_resources(endpoint, "old")
    ((arn, _),) = endpoint.service.deployments.items()
    endpoint.service.tags[arn][0] = {"key": "vision-distillation:run", "value": "new"}
    with pytest.raises(Refused, match=f"deployment {name} of run 'new' serves"):
        clean(stage(endpoint, bucket(**ended_run("old", name))), "old", really=True)


def test_runs_are_listed_and_compared_with_what_differs_marked(
    endpoint: Endpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    data = bucket(**ended_run("first", "first-n1-a1"), **ended_run("second", None, keep="all"))
    data.write_json(keys.manifest_key("first"), {"code": "abc", "datasets_sha256": {"runs/first/dataset/t.jsonl": "1"}})
    data.write_json(
        keys.manifest_key("second"), {"code": "abc", "datasets_sha256": {"runs/second/dataset/t.jsonl": "2"}}
    )
    found = stage(endpoint, data)
    list_runs(found, [], as_json=True)

    assert {run["run"]: run["promoted"] for run in json.loads(capsys.readouterr().out)} == {
        "first": "first-n1-a1",
        "second": None,
    }

    list_runs(found, ["first", "second"], as_json=False)
    lines = {line.split()[1 if line[0] == "≠" else 0]: line[0] for line in capsys.readouterr().out.splitlines()}

    assert (lines["keep"], lines["sha256"], lines["code"]) == ("≠", "≠", " ")
    with pytest.raises(Refused, match="no run 'third'"):
        list_runs(found, ["third"], as_json=False)


def test_run_that_took_over_a_deployment_names_no_other_that_is_gone(
    endpoint: Endpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    data = bucket(**ended_run("new", "best", replace="old"))
    models = [{"model_name": name, "deployment_arn": f"arn:{name}"} for name in ("best", "other")]
    data.write_json(keys.report_key("new", "report.json"), {"models": models, "gate": {"promoted": "best"}})
    found = stage(endpoint, data)
    list_runs(found, ["new"], as_json=True)
    data.write_json(keys.deployment_key("new"), {"arn": "arn:old"})
    list_runs(found, ["new"], as_json=True)
    before, after = (json.loads(part + "]")[0] for part in capsys.readouterr().out.split("\n]\n")[:2])

    assert before["deployments"] == ["arn:best", "arn:other"]
    assert (after["deployments"], after["took_over"]) == (["arn:other"], "arn:old")


def test_run_is_repeated_from_its_manifest_by_file_or_by_name(tmp_path: Path) -> None:
    manifest = {"run": json.loads(ended_run("r", None)["runs/r/request.json"]), "hyperparameters": {}}
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps(manifest))
    data = bucket(**{keys.manifest_key("r"): json.dumps(manifest).encode()})
    by_name = request_from_manifest("r", lambda: data)

    assert by_name == request_from_manifest(str(path), bucket)
    assert by_name["teacher"] == "amazon.nova-pro-v1:0"
    with pytest.raises(Refused, match="neither a file nor a run"):
        request_from_manifest("absent", lambda: data)


@pytest.mark.parametrize("limits", [{"tolerance": 7.0}, {"max_usd": -1.0}])
def test_apply_refuses_what_prepare_would_before_anything_starts(limits: dict[str, Any], tmp_path: Path) -> None:
    untouched: Any = SimpleNamespace(name="dev", region="us-east-1")  # has no client to start anything with
    with pytest.raises(InvalidRequest, match=next(iter(limits))):
        apply_model("holiday", "r", limits, tmp_path, untouched, as_json=False)


def test_collection_in_the_request_file_must_be_the_one_that_was_given(tmp_path: Path) -> None:
    path = tmp_path / "distill.json"
    path.write_text('{"collection": "holiday/", "until": "Split"}')

    assert read_request(path, "holiday/") == read_request(path, None) == {"until": "Split"}
    with pytest.raises(Refused, match="'holiday/', but 'work/' was given"):
        read_request(path, "work/")
