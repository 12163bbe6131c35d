from __future__ import annotations

from pathlib import Path

import pytest

from cli.console import NotReachable
from cli.stage import Stage, download, stack_outputs
from distillation.storage import ObjectMissing
from tests.support.fakes import CloudFormationFake, bucket


def test_missing_stack_is_named_with_a_remedy() -> None:
    with pytest.raises(NotReachable, match=r"Distill-dev-Storage.*Deploy the stage"):
        stack_outputs(CloudFormationFake(), "Distill-dev-Storage")


def test_stack_without_an_output_must_be_deployed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Stage, "client", lambda *_: CloudFormationFake({}))
    with pytest.raises(NotReachable, match=r"no output DataBucket.*Deploy it again"):
        _ = Stage("dev", "us-east-1").data


def test_all_objects_are_downloaded_or_none(tmp_path: Path) -> None:
    data = bucket(**{"runs/r/results.csv": b"c", "runs/r/results.jsonl": b"j"})

    assert [path.read_bytes() for path in download(data, data.keys(""), tmp_path / "all")] == [b"c", b"j"]
    with pytest.raises(ObjectMissing, match="runs/r/none"):
        download(data, ["runs/r/results.csv", "runs/r/none"], tmp_path / "none")
    assert not (tmp_path / "none").exists()
