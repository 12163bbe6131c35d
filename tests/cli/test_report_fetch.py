from __future__ import annotations

from pathlib import Path

import pytest

from cli.report import FILES, NoStage, data_bucket, fetch
from lambdas.shared.objects import ObjectMissing
from tests.support.stores import bucket


class Stacks:
    """What ``data_bucket`` asks of CloudFormation."""

    def __init__(self, **outputs: str) -> None:
        self.outputs = [{"OutputKey": key, "OutputValue": value} for key, value in outputs.items()]

    def describe_stacks(self, StackName: str) -> dict[str, list[dict[str, object]]]:  # noqa: N803 - boto3's name
        return {"Stacks": [{"StackName": StackName, "Outputs": self.outputs}]}


def test_report_is_fetched_whole(tmp_path: Path) -> None:
    data = bucket(**{f"runs/r/report/{name}": name.encode() for name in FILES})

    assert fetch(data, "r", tmp_path / "out").read_bytes() == b"report.html"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(FILES)


def test_report_that_is_not_there_leaves_nothing_half_written(tmp_path: Path) -> None:
    with pytest.raises(ObjectMissing, match="runs/r/report"):
        fetch(bucket(**{"runs/r/report/report.json": b"{}"}), "r", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_stage_without_a_bucket_is_named() -> None:
    assert data_bucket(Stacks(DataBucket="data"), "dev") == "data"
    with pytest.raises(NoStage, match="Distill-dev-Storage"):
        data_bucket(Stacks(), "dev")
