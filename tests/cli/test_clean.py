"""``distill clean`` against the local Bedrock endpoint and a Data bucket in memory."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import boto3
import pytest

from cli.clean import clean_stage
from cli.console import CommandError
from distillation.storage import Bucket
from local.bedrock import Endpoint
from tests.support.bedrock_state import add_resources, ended_run
from tests.support.fakes import bucket


class Executions:
    """Step Functions client that returns the same status for every execution."""

    class exceptions:  # noqa: N801 - boto3's name
        class ExecutionDoesNotExist(Exception):
            """Raised for an execution whose history has expired."""

    def __init__(self, status: str = "SUCCEEDED") -> None:
        self._status = status

    def describe_execution(self, **_: Any) -> dict[str, Any]:
        return {"status": self._status}


def stage(endpoint: Endpoint, data: Bucket, status: str = "SUCCEEDED") -> Any:
    make: Any = boto3.client
    clients = {"bedrock": make("bedrock", endpoint_url=endpoint.url), "stepfunctions": Executions(status)}
    return SimpleNamespace(name="dev", region="us-east-1", data=data, client=clients.__getitem__)


def clean(
    stage: Any, run: str | None = None, *, objects: bool = False, unknown: bool = False, confirmed: bool = False
) -> None:
    clean_stage(stage, run, objects=objects, include_unknown=unknown, confirmed=confirmed, as_json=False)


def test_clean_deletes_nothing_without_yes_and_then_only_resources_that_no_run_retains(
    endpoint: Endpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    retained, dropped = add_resources(endpoint, "kept", 1), add_resources(endpoint, "dropped", 2)
    add_resources(endpoint, "theirs", 3, stage="prod")
    dev = stage(endpoint, bucket(**ended_run("kept", retained), **ended_run("dropped", None)))
    clean(dev)
    output = capsys.readouterr().out

    assert len(endpoint.service.custom_models) == 3
    assert "1.95" in output
    assert f"Nothing was deleted. --yes would delete: deployment {dropped}, model {dropped}." in output
    assert "theirs" not in output

    clean(dev, confirmed=True)

    assert {model["modelName"] for model in endpoint.service.custom_models.values()} == {retained, "theirs-n3-a1"}


def test_all_resources_and_objects_of_a_named_run_are_deleted(endpoint: Endpoint) -> None:
    name = add_resources(endpoint, "kept")
    data = bucket(**ended_run("kept", name), **{"labels/l/a/0.json": b"{}", "work/kept/x": b"", "runs/kept-2/y": b""})
    with pytest.raises(CommandError, match="with --run RUN"):
        clean(stage(endpoint, data), objects=True, confirmed=True)
    clean(stage(endpoint, data), "kept", objects=True, confirmed=True)

    assert not endpoint.service.custom_models
    assert not endpoint.service.deployments
    assert list(data.keys("")) == ["labels/l/a/0.json", "runs/kept-2/y"]


def model_names(endpoint: Endpoint) -> set[str]:
    return {model["modelName"] for model in endpoint.service.custom_models.values()}


def test_unknown_models_are_listed_and_deleted_only_by_name_or_with_the_unknown_option(
    endpoint: Endpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    dropped, unclaimed = add_resources(endpoint, "dropped", 1), add_resources(endpoint, "unclaimed", 2)
    earlier = add_resources(endpoint, "earlier", 3, data_bucket="earlier-data")
    dev = stage(endpoint, bucket(**ended_run("dropped", None)))
    clean(dev, confirmed=True)
    output = capsys.readouterr().out

    assert model_names(endpoint) == {unclaimed, earlier}
    assert [line.split()[-1] for line in output.splitlines() if f" {earlier} " in line][:2] == ["unknown", "unknown"]
    assert f"Deleted: deployment {dropped}, model {dropped}." in output
    (kept,) = [line for line in output.splitlines() if line.startswith("Kept, because they belong to no run")]
    assert all(f"{kind} {name}" in kept for kind in ("deployment", "model") for name in (unclaimed, earlier))

    clean(dev, "earlier", confirmed=True)

    assert model_names(endpoint) == {unclaimed}

    with pytest.raises(CommandError, match="Pass one of them"):
        clean(dev, "earlier", unknown=True, confirmed=True)
    clean(dev, unknown=True, confirmed=True)

    assert model_names(endpoint) == set()


def test_unknown_job_is_stopped_like_other_leftovers(endpoint: Endpoint) -> None:
    add_resources(endpoint, "earlier", data_bucket="earlier-data", job="InProgress")
    clean(stage(endpoint, bucket()), confirmed=True)

    assert [job["status"] for job in endpoint.service.jobs.values()] == ["Stopped"]


def test_running_or_unknown_run_is_not_cleaned(endpoint: Endpoint) -> None:
    data = bucket(**ended_run("busy", None))
    with pytest.raises(CommandError, match="still running"):
        clean(stage(endpoint, data, "RUNNING"), "busy", confirmed=True)
    with pytest.raises(CommandError, match="no run 'absent'"):
        clean(stage(endpoint, data), "absent")


def test_model_that_another_runs_deployment_serves_is_not_deleted(endpoint: Endpoint) -> None:
    name = add_resources(endpoint, "old")
    ((arn, _),) = endpoint.service.deployments.items()
    endpoint.service.tags[arn][0] = {"key": "vision-distillation:run", "value": "new"}
    with pytest.raises(CommandError, match=f"deployment {name} of run 'new' serves"):
        clean(stage(endpoint, bucket(**ended_run("old", name))), "old", confirmed=True)
