from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import yaml

from distillation.training.stalled import LONGEST_WAIT
from infra.definition import SOURCE, render

ROOT = Path(__file__).parents[2]
DEFINITION = json.loads(render())

# What AWS and the embedded AWS both run; a field outside this list would be ignored by one of them.
FIELDS = {
    "Task": {"Resource", "Parameters", "ResultSelector", "TimeoutSeconds", "Retry"},
    "Map": {
        *("ItemReader", "ItemBatcher", "ItemsPath", "ItemSelector", "ItemProcessor", "Label"),
        *("MaxConcurrency", "MaxConcurrencyPath", "ResultSelector", "ToleratedFailurePercentage"),
    },
    "Choice": {"Choices", "Default"},
    "Pass": {"Parameters"},
    "Wait": {"Seconds"},
    "Fail": {"ErrorPath", "CausePath"},
    "Succeed": set(),
}
EVERYWHERE = {"Type", "Comment", "Next", "End", "ResultPath", "OutputPath", "Catch"}


def all_states(states: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found = dict(states)
    for state in states.values():
        if "ItemProcessor" in state:
            found |= all_states(state["ItemProcessor"]["States"])
    return found


STATES = all_states(DEFINITION["States"])


def raised_errors() -> set[str]:
    tree = ast.parse((ROOT / "distillation/errors.py").read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}


def test_source_has_no_key_twice() -> None:
    """PyYAML keeps the last of two equal keys without a warning."""
    unvisited: list[yaml.Node] = [yaml.compose(SOURCE.read_text())]
    while unvisited:
        node = unvisited.pop()
        if isinstance(node, yaml.MappingNode):
            keys = [key.value for key, _ in node.value]
            assert len(keys) == len(set(keys)), f"{keys} at line {node.start_mark.line + 1}"
            unvisited += [value for _, value in node.value]
        elif isinstance(node, yaml.SequenceNode):
            unvisited += node.value


def test_source_can_be_read_in_one_sitting() -> None:
    assert len(SOURCE.read_text().splitlines()) <= 550


def test_rendering_resolves_anchors_and_drops_their_section() -> None:
    assert set(DEFINITION) == {"Comment", "StartAt", "TimeoutSeconds", "States"}
    assert "<<" not in render()


def test_no_field_outside_the_allow_list() -> None:
    for name, state in STATES.items():
        assert set(state) <= FIELDS[state["Type"]] | EVERYWHERE, name


def test_every_path_is_dotted_or_takes_all_items() -> None:
    for path in re.findall(r'\$\$?(?:[.\[][^"\', )]*)?', render()):
        if not path.startswith("${"):
            assert re.fullmatch(r"\$\$?(\[\*\])?(\.\w+(\[\*\])?)*", path), path


def test_every_retried_error_is_one_that_steps_raise_or_lambda_names() -> None:
    named = {
        error for state in STATES.values() for retrier in state.get("Retry", []) for error in retrier["ErrorEquals"]
    }
    assert {error for error in named if not error.startswith(("Lambda.", "Sandbox.", "States."))} <= raised_errors()


def test_every_task_can_be_retried_and_every_failure_is_caught() -> None:
    for name, state in DEFINITION["States"].items():
        if state["Type"] in ("Task", "Map") and name != "RecordFailure":
            assert state["Catch"][-1] == {
                "ErrorEquals": ["States.ALL"],
                "ResultPath": "$.error",
                "Next": "RecordFailure",
            }
        if state["Type"] == "Task":
            assert all(retrier["JitterStrategy"] == "FULL" for retrier in state["Retry"])


def test_maps_run_children_that_may_last_and_tolerate_no_batch() -> None:
    for state in STATES.values():
        if "ItemBatcher" in state:
            assert state["ToleratedFailurePercentage"] == 0
            assert state["ItemProcessor"]["ProcessorConfig"]["ExecutionType"] == "STANDARD"


def test_batch_whose_function_ran_out_of_time_is_tried_again_until_it_is_done() -> None:
    asking = {"${LabelFunctionArn}", "${PredictFunctionArn}"}
    for name, state in STATES.items():
        if state.get("Parameters", {}).get("FunctionName") in asking:
            attempts = {error: one["MaxAttempts"] for one in state["Retry"] for error in one["ErrorEquals"]}
            assert attempts["BatchUnfinished"] >= 1000, name
            # As long as a batch of another run may take, or one of ours where Lambda runs few functions at once.
            assert min(attempts["Throttled"], attempts["Lambda.TooManyRequestsException"]) >= 30, name


def test_hiccup_of_a_quarter_of_an_hour_abandons_no_job_that_is_paid() -> None:
    for name in ("Customize", "Deploy", "Promote", "CleanUp"):
        retriers = {error: one for one in STATES[name]["Retry"] for error in one["ErrorEquals"]}
        assert {"States.Timeout", "Sandbox.Timedout", "Lambda.Unknown"} <= set(retriers), name
        if name in ("Customize", "Deploy"):
            throttled = retriers["Throttled"]
            waits = (throttled["IntervalSeconds"] * 2**attempt for attempt in range(throttled["MaxAttempts"]))
            # Full jitter waits for half of each on average.
            assert sum(min(wait, throttled["MaxDelaySeconds"]) for wait in waits) / 2 > 15 * 60, name


def test_every_function_of_the_machine_has_a_file_of_its_name() -> None:
    names = {
        state["Parameters"]["FunctionName"].removeprefix("${").removesuffix("FunctionArn}")
        for state in STATES.values()
        if state["Type"] == "Task"
    }
    files = {path.stem for path in (ROOT / "lambdas").glob("*.py")}
    # Sweep is called by a schedule and by CloudFormation.
    assert {re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower() for name in names} == files - {"__init__", "runtime", "sweep"}


def test_polling_two_jobs_that_never_start_stays_within_the_history_limit() -> None:
    sizes = STATES["TrainModels"]["MaxConcurrency"]
    polls = LONGEST_WAIT.total_seconds() / STATES["WaitForJob"]["Seconds"]
    events_per_poll = 10  # Choice, Wait and Task with its scheduled, started and ended events
    assert sizes * polls * events_per_poll < 25_000
