from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from distillation import keys
from distillation.documents import ReplacedDeployment, Report
from distillation.records import Run, TrainedModel
from distillation.serving.execution_state import UNKNOWN_EXECUTION, ExecutionState
from distillation.serving.resources import BedrockResource, Kind
from distillation.serving.retention import Retention, is_expired, rule_of_ended_run
from distillation.serving.tags import RUN_TAG, USED_BY_PREFIX
from distillation.storage import Bucket
from tests.support.builders import any_apply_report, any_growth, any_report, any_run
from tests.support.fakes import bucket

NOW = datetime(2026, 12, 4, 12, tzinfo=UTC)
"""Ten and a half days after the start of ``any_run``."""
SMALL = TrainedModel(size=6, status="Active", model_name="holiday-1-n6-a1")
LARGE = TrainedModel(size=12, status="Active", model_name="holiday-1-n12-a2")
FAILED = TrainedModel(size=24, status="Failed", model_name="holiday-1-n24-a1", reason="no capacity")
REPORT_KEY = keys.report_json_key("holiday-1")
RUNNING = ExecutionState("RUNNING")
SUCCEEDED = ExecutionState("SUCCEEDED", NOW - timedelta(days=1))
STOPPED = ExecutionState("ABORTED", NOW - timedelta(days=1))
ALL = ["holiday-1-n6-a1", "holiday-1-n12-a2", "holiday-1-n24-a1"]
"""Models of the run; the deployment of the last one failed."""


def reported(promoted: str | None = "holiday-1-n12-a2") -> Bucket:
    """Return a Data bucket with the report of a run that trained three sizes, one of which failed."""
    data = bucket()
    data.write_document(REPORT_KEY, any_report(models=[SMALL, LARGE, FAILED], promoted=promoted))
    return data


def resource(kind: Kind, name: str, **tags: str) -> BedrockResource:
    return BedrockResource(kind, name, f"arn:{kind}/{name}", "Active", NOW, {RUN_TAG: "holiday-1", **tags})


def kept(keeps: Callable[[BedrockResource], bool], names: list[str] = ALL) -> dict[Kind, list[str]]:
    """Return the names of the models and deployments that are kept."""
    kinds: tuple[Kind, ...] = ("model", "deployment")
    return {kind: [name for name in names if keeps(resource(kind, name))] for kind in kinds}


def kept_by(run: Run, data: Bucket, state: ExecutionState = UNKNOWN_EXECUTION) -> dict[Kind, list[str]]:
    return kept(rule_of_ended_run(run, data, NOW, state))


@pytest.mark.parametrize(
    ("keep", "promoted", "names"),
    [
        ("best", "holiday-1-n12-a2", ["holiday-1-n12-a2"]),
        ("best", None, []),
        ("all", "holiday-1-n12-a2", ["holiday-1-n6-a1", "holiday-1-n12-a2"]),
        ("all", None, ["holiday-1-n6-a1", "holiday-1-n12-a2"]),
        ("none", "holiday-1-n12-a2", []),
    ],
)
def test_request_decides_which_models_are_kept(keep: str, promoted: str | None, names: list[str]) -> None:
    trained = ALL if keep == "all" else names
    assert kept_by(any_run(keep=keep), reported(promoted)) == {"model": trained, "deployment": names}


def test_run_without_a_report_keeps_nothing() -> None:
    assert kept_by(any_run(keep="all"), bucket()) == {"model": [], "deployment": []}


@pytest.mark.parametrize(("stopped", "kept_models"), [(None, []), ("flat", ["holiday-1-n12-a2"])])
def test_report_of_a_run_that_grows_keeps_nothing_before_the_last_round(
    stopped: str | None, kept_models: list[str]
) -> None:
    data = reported()
    report = data.read_document(REPORT_KEY, Report)
    data.write_document(REPORT_KEY, report.model_copy(update={"growth": any_growth(stopped=stopped)}))

    assert kept_by(any_run(), data)["model"] == kept_models


def test_run_with_apply_keeps_nothing() -> None:
    data = bucket()
    data.write_document(REPORT_KEY, any_apply_report())

    assert kept_by(any_run(apply="earlier"), data) == {"model": [], "deployment": []}


def test_replaced_deployment_is_kept_instead_of_the_models_own() -> None:
    data = reported()
    replaced = ReplacedDeployment(deployment_name="old", deployment_arn="arn:d", model_arn="arn:m", replaces="earlier")
    data.write_document(keys.deployment_key("holiday-1"), replaced)
    keeps = rule_of_ended_run(any_run(replace="earlier"), data, NOW, UNKNOWN_EXECUTION)

    assert kept(keeps, [*ALL, "old"]) == {"model": ["holiday-1-n12-a2"], "deployment": ["old"]}


def test_reused_model_and_the_runs_own_deployment_of_it_are_kept() -> None:
    data, reused = bucket(), TrainedModel(size=6, status="Active", model_name="earlier-n6-a2", trained_by="earlier")
    data.write_document(REPORT_KEY, any_report(models=[reused], promoted="earlier-n6-a2"))
    keeps = rule_of_ended_run(any_run(), data, NOW, UNKNOWN_EXECUTION)

    assert kept(keeps, ["earlier-n6-a2", "holiday-1-n6-a1"]) == {
        "model": ["earlier-n6-a2"],
        "deployment": ["holiday-1-n6-a1"],
    }


@pytest.mark.parametrize(("days", "expired"), [(None, False), (11, False), (10, True)])
def test_models_expire_keep_days_after_the_start_of_the_run(days: int | None, expired: bool) -> None:
    run = any_run(keep_days=days)

    assert is_expired(run, NOW) == expired
    assert bool(kept_by(run, reported())["model"]) != expired


@pytest.mark.parametrize("data", [bucket(), reported()], ids=["without a report", "after the report"])
@pytest.mark.parametrize("keep", ["none", "best"])
def test_run_that_failed_keeps_all_its_models_but_no_deployment_for_keep_on_failure_days(
    keep: str, data: Bucket
) -> None:
    requested = kept_by(any_run(keep=keep), data)

    assert kept_by(any_run(keep=keep), data, STOPPED) == requested | {"model": ALL}
    assert kept_by(any_run(keep=keep, keep_on_failure_days=1), data, STOPPED) == requested
    assert kept_by(any_run(keep=keep, keep_on_failure_days=0), data, STOPPED) == requested


def test_run_that_succeeded_keeps_the_model_whose_deployment_failed_for_keep_on_failure_days() -> None:
    assert kept_by(any_run(keep="none"), reported(), SUCCEEDED)["model"] == ["holiday-1-n24-a1"]
    assert kept_by(any_run(keep="none", keep_on_failure_days=1), reported(), SUCCEEDED)["model"] == []


REUSED = resource("model", "holiday-1-n6-a1", **{f"{USED_BY_PREFIX}later": "2026-12-01T00:00:00+00:00"})


@pytest.mark.parametrize(
    ("later", "is_kept"), [(RUNNING, True), (STOPPED, True), (SUCCEEDED, False), (UNKNOWN_EXECUTION, False)]
)
def test_model_is_kept_if_a_run_that_reuses_it_keeps_it(later: ExecutionState, is_kept: bool) -> None:
    data = bucket()
    for name in ("holiday-1", "later"):
        run = any_run(keep="none").model_copy(update={"name": name, "execution": f"arn:{name}"})
        data.write_document(keys.request_key(name), run)
    data.write_document(keys.report_json_key("later"), any_report(models=[SMALL], promoted="holiday-1-n6-a1"))
    states = {"arn:holiday-1": UNKNOWN_EXECUTION, "arn:later": later}

    assert Retention(data, states.__getitem__, NOW).keeps(REUSED) == is_kept


def test_run_that_no_longer_exists_does_not_keep_a_model_that_it_reused() -> None:
    data = bucket()
    data.write_document(keys.request_key("holiday-1"), any_run())

    assert not Retention(data, lambda _: UNKNOWN_EXECUTION, NOW).keeps(REUSED)
    assert Retention(bucket(), lambda _: UNKNOWN_EXECUTION, NOW).keeps(REUSED)
