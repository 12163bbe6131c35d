"""Shutdown and waiting for idleness while executions wait, retry and run tasks."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from local.aws import shutdown
from local.aws.emulator import aws_emulator
from tests.local.aws.conftest import BUCKET, Account, distributed_map, eventually, machine, workers


def test_shutdown_ends_running_executions_and_workers(tmp_path: Path) -> None:
    retry = [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 60}]
    with aws_emulator(tmp_path, "http://127.0.0.1:9", wait_scale=1) as aws:
        account = Account(aws)
        wait = {"Type": "Wait", "Seconds": 60, "Next": "Ask"}
        account.start(machine({"Map": distributed_map(machine({"Wait": wait, "Ask": account.task({})}))}), [1, 2])
        account.start(machine({"Ask": account.task({"fail": True}, Retry=retry)}))
        time.sleep(1)
    assert workers() == []
    assert not shutdown.active_work


def test_emulator_is_idle_once_the_function_of_a_stopped_execution_has_ended(tmp_path: Path) -> None:
    with aws_emulator(tmp_path, "http://127.0.0.1:9") as aws:
        account = Account(aws)
        execution = account.start(machine({"Write": account.task({"put": BUCKET, "sleep": 0.5})}))
        eventually(lambda: aws.client("s3").list_objects_v2(Bucket=BUCKET)["KeyCount"] == 1)
        aws.client("stepfunctions").stop_execution(executionArn=execution)

        with pytest.raises(TimeoutError, match=r"still run after 0\.1 s"):
            aws.wait_until_idle(timeout=0.1)
        aws.wait_until_idle()
        assert not shutdown.active_work
