from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import yaml

from distillation.costs.daily_quota import MAXIMUM_DAYS
from distillation.training.stuck_jobs import MAXIMUM_WAIT
from infra.state_machine_definition import SOURCE, render

ROOT = Path(__file__).parents[2]
DEFINITION = json.loads(render())

# Fields that both AWS and the AWS emulator support; one of them ignores any other field.
FIELDS = {
    "Task": {"Resource", "Parameters", "ResultSelector", "TimeoutSeconds", "Retry"},
    "Map": {
        *("ItemReader", "ItemBatcher", "ItemsPath", "ItemSelector", "ItemProcessor", "Label"),
        *("MaxConcurrency", "MaxConcurrencyPath", "ResultSelector", "Retry", "ToleratedFailurePercentage"),
    },
    "Choice": {"Choices", "Default"},
    "Pass": {"Parameters"},
    "Wait": {"Seconds"},
    "Fail": {"Error", "ErrorPath", "CausePath"},
    "Succeed": set(),
}
EVERYWHERE = {"Type", "Comment", "Next", "End", "ResultPath", "OutputPath", "Catch"}


def all_states(states: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return ``states`` and the states inside their Maps, keyed by name."""
    nested = [state["ItemProcessor"]["States"] for state in states.values() if "ItemProcessor" in state]
    return dict(states) | {name: state for inner in nested for name, state in all_states(inner).items()}


STATES = all_states(DEFINITION["States"])


def pipeline_errors() -> set[str]:
    """Return the names of the classes in distillation/errors.py."""
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


def test_source_has_at_most_550_lines() -> None:
    assert len(SOURCE.read_text().splitlines()) <= 550


def test_rendering_resolves_anchors_and_drops_their_section() -> None:
    assert set(DEFINITION) == {"Comment", "StartAt", "TimeoutSeconds", "States"}
    assert "<<" not in render()


def test_states_use_supported_fields_only() -> None:
    for name, state in STATES.items():
        assert set(state) <= FIELDS[state["Type"]] | EVERYWHERE, name


def test_paths_use_the_syntax_that_the_emulator_supports() -> None:
    for path in re.findall(r'\$\$?(?:[.\[][^"\', )]*)?', render()):
        if not path.startswith("${"):
            assert re.fullmatch(r"\$\$?(\[\*\])?(\.\w+(\[\*\])?)*", path), path


def test_retried_errors_exist() -> None:
    retried = {
        error for state in STATES.values() for retrier in state.get("Retry", []) for error in retrier["ErrorEquals"]
    }
    assert {error for error in retried if "." not in error} <= pipeline_errors()


def test_tasks_are_retried_with_jitter_and_failures_are_recorded_under_the_name_of_the_state() -> None:
    for name, state in DEFINITION["States"].items():
        if state["Type"] in ("Task", "Map") and name != "RecordFailure":
            # Prepare's input may have almost 256 KiB, so its error replaces it.
            path = "$" if name == "Prepare" else f"$.failed.{name}"
            assert state["Catch"] == [{"ErrorEquals": ["States.ALL"], "ResultPath": path, "Next": "RecordFailure"}]
        if state["Type"] == "Task":
            assert all(retrier["JitterStrategy"] == "FULL" for retrier in state["Retry"])


def test_distributed_maps_run_standard_children_and_tolerate_no_failed_batch() -> None:
    for state in STATES.values():
        if "ItemBatcher" in state:
            assert state["ToleratedFailurePercentage"] == 0
            assert state["ItemProcessor"]["ProcessorConfig"]["ExecutionType"] == "STANDARD"


def test_unfinished_batch_is_retried_until_it_is_finished() -> None:
    batch_functions = {"${LabelFunctionArn}", "${PredictFunctionArn}"}
    for name, state in STATES.items():
        if state.get("Parameters", {}).get("FunctionName") in batch_functions:
            attempts = {error: retry["MaxAttempts"] for retry in state["Retry"] for error in retry["ErrorEquals"]}
            assert attempts["BatchUnfinished"] >= 1000, name
            # Another run's batch can block this one for the time of a batch.
            assert attempts["Throttled"] >= 30, name


def test_tasks_that_create_a_resource_wait_while_its_name_is_in_use() -> None:
    for name in ("Customize", "Deploy"):
        assert any("ResourceBusy" in retry["ErrorEquals"] for retry in STATES[name]["Retry"]), name


def test_every_task_waits_for_lambda_concurrency_before_anything_else() -> None:
    for name, state in STATES.items():
        if state["Type"] == "Task":
            first, *others = state["Retry"]
            assert first["ErrorEquals"] == ["Lambda.TooManyRequestsException"], name
            assert first["MaxAttempts"] >= 500, name
            assert (first["MaxDelaySeconds"], first["JitterStrategy"]) == (60, "FULL"), name
            assert not any("Lambda.TooManyRequestsException" in retry["ErrorEquals"] for retry in others), name


def test_batches_of_questions_wait_for_the_daily_quota_by_the_hour_and_for_little_more_than_a_day() -> None:
    retried = {
        name: retry
        for name, state in STATES.items()
        for retry in state.get("Retry", [])
        if "DailyQuotaExceeded" in retry["ErrorEquals"]
    }
    assert set(retried) == {"Label", "Predict", "Apply", "Deploy"}
    for retry in retried.values():
        # With jitter the waits would add up to half as much.
        assert retry == {
            "ErrorEquals": ["DailyQuotaExceeded"],
            "IntervalSeconds": 3600,
            "BackoffRate": 1,
            "MaxAttempts": 26,
        }


def test_run_that_needs_the_most_daily_quotas_ends_a_day_before_the_timeout() -> None:
    assert DEFINITION["TimeoutSeconds"] >= (MAXIMUM_DAYS + 1) * 24 * 3600


def test_steps_that_ask_a_model_wait_five_minutes_for_a_first_subscription() -> None:
    for name in ("Prepare", "Label", "Deploy", "Predict", "Apply"):
        retriers = {error: retry for retry in STATES[name]["Retry"] for error in retry["ErrorEquals"]}
        pending = retriers["AccessPending"]
        # With full jitter the average wait is half of the delay.
        assert pending["BackoffRate"] == 1, name
        assert pending["IntervalSeconds"] * pending["MaxAttempts"] / 2 == 300, name


def average_wait(retrier: dict[str, Any]) -> float:
    """Return the seconds that a retrier waits in total. With full jitter the average wait is half of the delay."""
    waits = (
        retrier["IntervalSeconds"] * retrier["BackoffRate"] ** attempt for attempt in range(retrier["MaxAttempts"])
    )
    return sum(min(wait, retrier["MaxDelaySeconds"]) for wait in waits) / 2


def test_every_task_survives_an_outage_of_ten_minutes_and_a_function_whose_process_ends() -> None:
    for name, state in STATES.items():
        if state["Type"] == "Task":
            retriers = {error: retry for retry in state["Retry"] for error in retry["ErrorEquals"]}
            assert average_wait(retriers["ServiceUnavailable"]) >= 600, name
            assert average_wait(retriers["Lambda.ServiceException"]) >= 600, name
            assert {"States.Timeout", "Sandbox.Timedout", "Lambda.Unknown", "Runtime.ExitError"} <= set(retriers), name


def test_every_list_of_a_map_is_read_again_for_ten_minutes() -> None:
    for name, state in STATES.items():
        if "ItemReader" in state:
            (retrier,) = state["Retry"]
            assert retrier["ErrorEquals"] == ["States.ItemReaderFailed"], name
            assert average_wait(retrier) >= 600, name


def test_execution_input_of_almost_256_kib_leaves_room_for_the_events_of_prepare_and_record_failure() -> None:
    assert DEFINITION["StartAt"] == "Prepare"
    assert STATES["Prepare"]["Parameters"]["Payload"] == {"execution.$": "$$.Execution.Id"}
    (catch,) = STATES["Prepare"]["Catch"]
    assert (catch["ResultPath"], catch["Next"]) == ("$", "RecordFailure")
    assert STATES["RecordFailure"].get("ResultPath", "$") == "$"


def test_failure_that_record_failure_cannot_describe_ends_with_the_whole_state_as_cause() -> None:
    (catch,) = STATES["RecordFailure"]["Catch"]
    assert (catch["ErrorEquals"], catch["ResultPath"]) == (["States.ALL"], None)
    assert STATES[catch["Next"]]["Type"] == "Fail"
    assert STATES[catch["Next"]]["CausePath"] == "States.JsonToString($)"


def test_outage_of_15_minutes_does_not_abandon_a_paid_job() -> None:
    for name in ("Customize", "Deploy", "Promote", "CleanUp"):
        retriers = {error: retry for retry in STATES[name]["Retry"] for error in retry["ErrorEquals"]}
        assert {"States.Timeout", "Sandbox.Timedout", "Lambda.Unknown"} <= set(retriers), name
        if name in ("Customize", "Deploy"):
            assert average_wait(retriers["Throttled"]) > 15 * 60, name
            assert average_wait(retriers["ServiceUnavailable"]) > 15 * 60, name


def test_every_function_has_the_name_of_its_file() -> None:
    names = {
        state["Parameters"]["FunctionName"].removeprefix("${").removesuffix("FunctionArn}")
        for state in STATES.values()
        if state["Type"] == "Task"
    }
    files = {path.stem for path in (ROOT / "lambdas").glob("*.py")}
    # A schedule and CloudFormation invoke Sweep; the state machine does not.
    assert {re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower() for name in names} == files - {"__init__", "runtime", "sweep"}


def test_polling_jobs_that_never_start_stays_within_the_history_limit() -> None:
    sizes = STATES["TrainModels"]["MaxConcurrency"]
    polls = MAXIMUM_WAIT.total_seconds() / STATES["WaitForJob"]["Seconds"]
    events_per_poll = 10  # entered, exited, scheduled, started and ended events of a Choice, a Wait and a Task
    assert sizes * polls * events_per_poll < 25_000
