"""``distill clean`` against the local Bedrock endpoint and a Data bucket in memory."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import boto3
import pytest

from cli.clean import clean_stage
from cli.console import CommandError
from distillation import keys, ledger
from distillation.serving.tags import USED_BY_PREFIX
from distillation.storage import Bucket
from local.bedrock import Endpoint
from tests.support.bedrock_state import ARN, BASE, add_resources, claimed_run, ended_run
from tests.support.fakes import StepFunctionsExceptions, bucket


class Executions:
    """Step Functions client that returns the same status and end for every execution."""

    exceptions = StepFunctionsExceptions

    def __init__(self, status: str, ended_days_ago: int) -> None:
        self._status, self._ended = status, datetime.now(UTC) - timedelta(days=ended_days_ago)

    def describe_execution(self, **_: Any) -> dict[str, Any]:
        return {"status": self._status, "stopDate": self._ended}


def stage(endpoint: Endpoint, data: Bucket, status: str = "SUCCEEDED", ended_days_ago: int = 30) -> Any:
    make: Any = boto3.client
    clients = {
        "bedrock": make("bedrock", endpoint_url=endpoint.url),
        "stepfunctions": Executions(status, ended_days_ago),
    }
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


def test_deleting_the_objects_of_a_run_keeps_its_ledger_which_counts_against_the_budget(endpoint: Endpoint) -> None:
    name = add_resources(endpoint, "kept")
    part = keys.ledger_part_key("kept", "LabelImages", "a", 5_000_000)
    data = bucket(**ended_run("kept", name), **{part: b"{}", "work/kept/x": b""})
    clean(stage(endpoint, data), "kept", objects=True, confirmed=True)

    assert list(data.keys("")) == [part]
    assert ledger.paid_and_reserved_usd("kept", data) == (5, 0)


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


@pytest.mark.parametrize(("days", "is_kept"), [(3, True), (1, False), (0, False)])
def test_models_of_a_run_that_failed_are_selected_only_after_keep_on_failure_days(
    endpoint: Endpoint, days: int, is_kept: bool
) -> None:
    add_resources(endpoint, "failed")
    dev = stage(endpoint, bucket(**claimed_run("failed", keep_on_failure_days=days)), "FAILED", ended_days_ago=2)
    clean(dev, confirmed=True)

    assert bool(endpoint.service.custom_models) == is_kept
    assert not endpoint.service.deployments


def test_model_that_another_run_reuses_is_listed_with_that_run_and_not_deleted_before_it(
    endpoint: Endpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    name = add_resources(endpoint, "earlier")
    endpoint.service.deployments.clear()
    endpoint.service.tags[f"{ARN}:custom-model/{BASE}/{1:012x}"].append(
        {"key": f"{USED_BY_PREFIX}later", "value": "2026-11-02T00:00:00+00:00"}
    )
    data = bucket(**ended_run("earlier", None), **ended_run("later", name))
    clean(stage(endpoint, data), confirmed=True)
    (row,) = [line for line in capsys.readouterr().out.splitlines() if line.strip().startswith("model")]

    assert row.split()[-5:] == ["earlier", "later", "retained", "or", "running"]
    with pytest.raises(CommandError, match=f"model {name} of run 'earlier' is reused by run 'later'. Clean"):
        clean(stage(endpoint, data), "earlier", confirmed=True)
    assert model_names(endpoint) == {name}

    clean(stage(endpoint, bucket(**ended_run("earlier", None))), "earlier", confirmed=True)
    assert model_names(endpoint) == set()


def test_cleaned_run_no_longer_keeps_a_model_that_it_reuses(
    endpoint: Endpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    name = add_resources(endpoint, "earlier")
    endpoint.service.deployments.clear()
    tags = endpoint.service.tags[f"{ARN}:custom-model/{BASE}/{1:012x}"]
    tags.append({"key": f"{USED_BY_PREFIX}later", "value": "2026-11-02T00:00:00+00:00"})
    dev = stage(endpoint, bucket(**ended_run("earlier", None), **ended_run("later", name)))
    clean(dev, "later")
    assert f"Run 'later' reuses model {name} of run 'earlier', which would be kept" in capsys.readouterr().out
    clean(dev, "later", confirmed=True)
    assert f"Run 'later' reuses model {name} of run 'earlier', which is kept" in capsys.readouterr().out
    assert model_names(endpoint) == {name}

    clean(dev, "earlier", confirmed=True)
    assert model_names(endpoint) == set()
