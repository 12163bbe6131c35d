"""Executions that are stopped: their children and iterations stop as well."""

from __future__ import annotations

import json
import time

from cli.progress import map_counts
from local.aws.history import states_entered
from tests.local.aws.conftest import Account, distributed_map, eventually, machine


def test_stop_in_the_middle_of_a_map_aborts_the_children_and_sends_one_event(account: Account) -> None:
    events = account.record_events("aborts", {"source": ["aws.states"], "detail": {"status": ["ABORTED"]}})
    client = account.client("stepfunctions")
    wait = {"Type": "Wait", "Seconds": 50, "Next": "Ask"}
    state = distributed_map(
        machine({"Wait": wait, "Ask": account.task({})}),
        ItemsPath="$.items",
        MaxConcurrency=2,
        Catch=[{"ErrorEquals": ["States.ALL"], "Next": "Never"}],
    )
    before = account.invoke("writer", {})["calls"]
    execution = account.start(machine({"Map": state, "Never": {"Type": "Pass", "End": True}}), {"items": [1, 2, 3, 4]})
    run = eventually(lambda: client.list_map_runs(executionArn=execution)["mapRuns"])[0]["mapRunArn"]
    client.stop_execution(executionArn=execution)
    children = client.list_executions(mapRunArn=run)["executions"]
    assert {child["status"] for child in children} == {"ABORTED"}
    event = eventually(events)[0]
    assert event["detail-type"] == "Step Functions Execution Status Change"
    assert json.loads(event["detail"]["input"]) == {"items": [1, 2, 3, 4]}
    assert event["detail"]["executionArn"] == execution
    time.sleep(1)
    assert account.ending(execution).status == "ABORTED"
    assert {child["status"] for child in client.list_executions(mapRunArn=run)["executions"]} == {"ABORTED"}
    assert states_entered(account.aws, execution) == ["Map"]
    history = client.get_execution_history(executionArn=execution)["events"]
    assert history[-1]["type"] == "ExecutionAborted"
    assert account.invoke("writer", {})["calls"] == before + 1


def test_stop_while_tasks_run_leaves_no_child_running_or_pending(account: Account) -> None:
    events = account.record_status("ABORTED")
    states = account.client("stepfunctions")
    processor = machine({"Work": account.task({"sleep": 0.3}, ResultPath=None)})
    state = distributed_map(processor, ItemsPath="$.items", MaxConcurrency=2)
    arn = account.start(machine({"Map": state}), {"items": list(range(20))})
    eventually(lambda: any(done for done, *_ in map_counts(states, arn).values()))

    states.stop_execution(executionArn=arn)

    assert account.ending(arn).status == "ABORTED"
    (event,) = eventually(events)
    assert event["detail"]["executionArn"] == arn
    assert json.loads(event["detail"]["input"]) == {"items": list(range(20))}
    run = states.list_map_runs(executionArn=arn)["mapRuns"][0]["mapRunArn"]
    eventually(lambda: states.describe_map_run(mapRunArn=run)["status"] == "ABORTED")

    def counts() -> dict[str, int]:
        return states.describe_map_run(mapRunArn=run)["itemCounts"]

    # A Lambda invocation in flight finishes after its execution was stopped.
    eventually(lambda: counts()["running"] == counts()["pending"] == 0)
    assert counts()["succeeded"] < 10
    assert account.ending(arn).status == "ABORTED"
