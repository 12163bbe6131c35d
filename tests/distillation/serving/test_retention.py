from __future__ import annotations

from datetime import UTC, datetime

import pytest

from distillation import keys
from distillation.documents import ReplacedDeployment
from distillation.records import TrainedModel
from distillation.serving.resources import Kind
from distillation.serving.retention import is_expired, retained
from distillation.storage import Bucket
from tests.support.builders import any_apply_report, any_report, any_run
from tests.support.fakes import bucket

NOW = datetime(2026, 12, 4, 12, tzinfo=UTC)
"""Ten and a half days after the start of ``any_run``."""
SMALL = TrainedModel(size=6, status="Active", model_name="small")
LARGE = TrainedModel(size=12, status="Active", model_name="large")
FAILED = TrainedModel(size=24, status="Failed", reason="bad data")
REPORT_KEY = keys.report_json_key("holiday-1")


def reported(promoted: str | None = "large") -> Bucket:
    """Return a Data bucket with the report of a run that trained three sizes, one of which failed."""
    data = bucket()
    data.write_document(REPORT_KEY, any_report(models=[SMALL, LARGE, FAILED], promoted=promoted))
    return data


def model_and_deployment(*names: str) -> set[tuple[Kind, str]]:
    return {(kind, name) for kind in ("model", "deployment") for name in names}


@pytest.mark.parametrize(
    ("keep", "promoted", "names"),
    [
        ("best", "large", ["large"]),
        ("best", None, []),
        ("all", "large", ["small", "large"]),
        ("all", None, ["small", "large"]),
        ("none", "large", []),
    ],
)
def test_request_decides_which_models_are_retained(keep: str, promoted: str | None, names: list[str]) -> None:
    assert retained(any_run(keep=keep), reported(promoted), NOW) == model_and_deployment(*names)


def test_run_without_a_report_retains_nothing() -> None:
    assert retained(any_run(keep="all"), bucket(), NOW) == set()


def test_run_with_apply_retains_nothing() -> None:
    data = bucket()
    data.write_document(REPORT_KEY, any_apply_report())

    assert retained(any_run(apply="earlier"), data, NOW) == set()


def test_replaced_deployment_is_retained_instead_of_the_models_own() -> None:
    data = reported()
    replaced = ReplacedDeployment(deployment_name="old", deployment_arn="arn:d", model_arn="arn:m", replaces="earlier")
    data.write_document(keys.deployment_key("holiday-1"), replaced)

    assert retained(any_run(replace="earlier"), data, NOW) == {("model", "large"), ("deployment", "old")}


@pytest.mark.parametrize(("days", "expired"), [(None, False), (11, False), (10, True)])
def test_models_expire_keep_days_after_the_start_of_the_run(days: int | None, expired: bool) -> None:
    run = any_run(keep_days=days)

    assert is_expired(run, NOW) == expired
    assert bool(retained(run, reported(), NOW)) != expired
