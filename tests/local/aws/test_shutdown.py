"""Shutdown while executions wait, retry and run tasks."""

from __future__ import annotations

import time
from pathlib import Path

from local.aws import shutdown
from local.aws.emulator import aws_emulator
from tests.local.aws.conftest import Account, distributed_map, machine, workers


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
