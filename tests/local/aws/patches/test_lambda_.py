from __future__ import annotations

import importlib
import json
import queue
from types import SimpleNamespace
from typing import Any

import pytest

from tests.local.aws.conftest import Account, eventually, machine


def test_exception_is_reported_by_class_and_the_worker_survives(account: Account) -> None:
    before = account.invoke("writer", {})
    failed = account.invoke("writer", {"fail": True})
    assert (failed["errorType"], failed["errorMessage"]) == ("Throttled", "slow down")
    after = account.invoke("writer", {})
    assert (after["pid"], after["calls"]) == (before["pid"], before["calls"] + 2)


def test_invocation_beyond_the_concurrency_limit_is_retried_by_its_name(account: Account) -> None:
    lambda_service: Any = importlib.import_module("ministack.services.lambda_svc")
    with account.aws.lambda_concurrency(1):
        settings = account.client("lambda").get_account_settings()["AccountLimit"]
        slow = account.start(machine({"Ask": account.task({"sleep": 1})}))
        eventually(lambda: lambda_service.executions_in_flight()[0] == 1)
        refused = account.run(machine({"Ask": account.task({})}))
        retry = [{"ErrorEquals": ["Lambda.TooManyRequestsException"], "MaxAttempts": 99, "MaxDelaySeconds": 5}]
        retried = account.run(machine({"Ask": account.task({}, Retry=retry)}))

    assert (settings["ConcurrentExecutions"], settings["UnreservedConcurrentExecutions"]) == (1, 1)
    assert (refused.status, refused.error) == ("FAILED", "Lambda.TooManyRequestsException")
    assert (retried.status, account.ending(slow).status) == ("SUCCEEDED", "SUCCEEDED")


def test_warm_invocations_do_not_wait_for_logs(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime: Any = importlib.import_module("ministack.core.lambda_runtime")
    clock = [0.0]

    def advance(seconds: float) -> None:
        clock.append(clock[-1] + seconds)

    monkeypatch.setattr(runtime, "time", SimpleNamespace(time=lambda: clock[-1], sleep=advance))

    assert runtime.Worker._drain_stderr_bounded(SimpleNamespace(_stderr_queue=queue.Queue())) == ""
    assert clock[-1] < 0.01


def test_retry_and_catch_match_the_class_of_the_exception(account: Account) -> None:
    before = account.invoke("writer", {})["calls"]
    retry = [
        {"ErrorEquals": ["Other"], "MaxAttempts": 9},
        {"ErrorEquals": ["Throttled"], "IntervalSeconds": 1, "MaxAttempts": 2},
    ]
    catch = [{"ErrorEquals": ["Throttled"], "ResultPath": "$.error", "Next": "Caught"}]
    ask = account.task({"fail": True}, Retry=retry, Catch=catch, OutputPath="$.Payload")
    output = account.output(machine({"Ask": ask, "Caught": {"Type": "Pass", "End": True}}), {"kept": 1})
    assert output["kept"] == 1
    assert output["error"]["Error"] == "Throttled"
    assert json.loads(output["error"]["Cause"])["errorMessage"] == "slow down"
    assert account.invoke("writer", {})["calls"] == before + 4


def test_function_whose_process_ends_is_lambda_unknown_which_can_be_caught(account: Account) -> None:
    before = account.invoke("writer", {})["pid"]
    ended = account.run(machine({"Ask": account.task({"exit": True})}))
    catch = [{"ErrorEquals": ["Lambda.Unknown"], "ResultPath": "$.error", "Next": "Caught"}]
    ask = account.task({"exit": True}, Catch=catch)
    caught = account.output(machine({"Ask": ask, "Caught": {"Type": "Pass", "End": True}}))

    assert (ended.status, ended.error) == ("FAILED", "Lambda.Unknown")
    assert caught["error"]["Error"] == "Lambda.Unknown"
    assert "Runtime exited" in (ended.cause or "")
    assert account.invoke("writer", {})["pid"] != before
