"""Ends of executions, Wait states and inline Map states."""

from __future__ import annotations

import json
import time

from local.aws.history import states_entered
from tests.local.aws.conftest import Account, eventually, inline_map, machine


def test_task_that_takes_too_long_is_a_timeout(account: Account) -> None:
    catch = [{"ErrorEquals": ["States.Timeout"], "Next": "After"}]
    task = account.task({"sleep": 2}, TimeoutSeconds=1, Catch=catch)

    ending = account.run(machine({"Work": task, "After": {"Type": "Succeed"}}))

    assert ending.output["Error"] == "States.Timeout"


def test_waiting_execution_times_out_and_sends_an_event(account: Account) -> None:
    events = account.record_events("timeouts", {"source": ["aws.states"], "detail": {"status": ["TIMED_OUT"]}})
    wait = {"Type": "Wait", "Seconds": 200, "End": True}
    ending = account.run(machine({"Pause": wait}, TimeoutSeconds=1))
    assert ending.status == "TIMED_OUT"
    assert eventually(events)[0]["detail"]["executionArn"] == ending.arn


def test_execution_that_polls_forever_times_out_once_and_never_fails(account: Account) -> None:
    timeouts, failures = account.record_status("TIMED_OUT"), account.record_status("FAILED")
    # Without the timeout the loop never ends. The failure of a function after the end must not count.
    work = account.task({"sleep": 0.2}, ResultPath=None, Next="Pause")
    del work["End"]
    each = inline_map(
        machine({"Poll": work, "Pause": {"Type": "Wait", "Seconds": 10, "Next": "Poll"}}), ItemsPath="$.items"
    )

    ending = account.run(machine({"Each": each}, TimeoutSeconds=1), {"items": [1, 2]})

    assert ending.status == "TIMED_OUT"
    (event,) = eventually(timeouts)
    assert event["detail"]["executionArn"] == ending.arn
    assert json.loads(event["detail"]["input"]) == {"items": [1, 2]}
    time.sleep(0.7)
    assert account.ending(ending.arn).status == "TIMED_OUT"
    assert failures() == []


def test_waits_are_scaled(account: Account) -> None:
    fixed = {"Type": "Wait", "Seconds": 30, "Next": "FromInput"}
    from_input = {"Type": "Wait", "SecondsPath": "$.seconds", "End": True}
    ending = account.run(machine({"Fixed": fixed, "FromInput": from_input}), {"seconds": 20})
    assert ending.status == "SUCCEEDED"
    assert ending.seconds > 0.4


def test_inline_map_catches_within_each_item(account: Account) -> None:
    ask = account.task({"fail.$": "$.fail"}, ResultPath="$.answer", Next="Active")
    ask["Catch"] = [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Next": "Failed"}]
    del ask["End"]
    outcome = {
        name: {"Type": "Pass", "Parameters": {"n.$": "$.n", "status": name}, "End": True}
        for name in ("Active", "Failed")
    }
    state = inline_map(
        machine({"Ask": ask, **outcome}),
        ItemsPath="$.items",
        ItemSelector={"fail.$": "$$.Map.Item.Value.fail", "n.$": "$$.Map.Item.Value.n", "x.$": "$.x"},
        MaxConcurrency=2,
        ResultSelector={"all.$": "$", "any_active.$": "States.ArrayContains($[*].status, 'Active')"},
        ResultPath="$.trained",
    )
    items = [{"n": 1, "fail": True}, {"n": 2, "fail": False}]
    output = account.output(machine({"Map": state}), {"items": items, "x": 0})
    assert output["trained"]["any_active"] is True
    assert [item["status"] for item in output["trained"]["all"]] == ["Failed", "Active"]
    assert account.output(machine({"Map": state}), {"items": items[:1], "x": 0})["trained"]["any_active"] is False


def test_iteration_catches_its_own_failure_and_its_states_are_in_the_history(account: Account) -> None:
    catch = [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Next": "Caught"}]
    select = {"i.$": "$.Payload.event.i"}
    processor = machine(
        {
            "Work": account.task({"fail_if_odd.$": "$.i", "i.$": "$.i"}, Catch=catch, ResultSelector=select),
            "Caught": {"Type": "Pass", "Parameters": {"failed.$": "$.error.Error"}, "End": True},
        }
    )
    state = inline_map(
        processor,
        ItemsPath="$.numbers",
        ItemSelector={"i.$": "$$.Map.Item.Value", "at.$": "$$.Map.Item.Index", "all.$": "$.numbers"},
        MaxConcurrencyPath="$.width",
        ResultPath="$.results",
    )

    ending = account.run(machine({"Each": state}), {"numbers": [1, 2, 3], "width": 1})

    failed = {"failed": "Throttled"}
    assert ending.output == {"numbers": [1, 2, 3], "width": 1, "results": [failed, {"i": 2}, failed]}
    assert states_entered(account.aws, ending.arn) == ["Each"]
    nested = states_entered(account.aws, ending.arn, nested=True)
    assert sorted(nested) == ["Caught", "Caught", "Each", "Work", "Work", "Work"]


def test_inline_map_reads_max_concurrency_path(account: Account) -> None:
    processor = machine({"Work": account.task({}, OutputPath="$.Payload")})
    state = inline_map(processor, ItemsPath="$.numbers", MaxConcurrencyPath="$.width")
    ending = account.run(machine({"Each": state}), {"numbers": list(range(6)), "width": 1})
    assert len({answer["pid"] for answer in ending.output}) == 1
