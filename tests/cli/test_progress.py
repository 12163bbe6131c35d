from __future__ import annotations

import pytest

from cli.progress import ExecutionObserver
from distillation import keys, ledger
from distillation.documents import Recommendation
from distillation.records import LedgerPart
from tests.support.builders import any_estimate, any_report
from tests.support.execution_fake import ExecutionFake, at, started_execution
from tests.support.fakes import bucket


def paid(usd: float) -> LedgerPart:
    return LedgerPart(
        step="LabelImages",
        model="amazon.nova-pro-v1:0",
        calls=1,
        reused=0,
        input_tokens=1000,
        output_tokens=100,
        usd=usd,
    )


def test_progress_has_times_item_counts_and_costs_of_each_state() -> None:
    execution, data = started_execution(), bucket()
    observer = ExecutionObserver("r", "arn", execution, data)
    ledger.write_part("r", paid(0.5), "one", data)
    ledger.reserve("r", "LabelImages", "two", 9.0, data)
    first = {state.name: state for state in observer.progress().states}
    ledger.write_part("r", paid(0.25), "two", data)
    execution.event(33, "MapStateExited", "LabelImages")
    execution.event(33, "MapStateEntered", "TrainModels")
    execution.event(34, "TaskStateEntered", "Customize")
    execution.event(35, "PassStateEntered", "SizeTrained")
    second = observer.progress()
    label, train = second.states[2], second.states[3]

    assert list(first) == ["Prepare", "Estimate", "LabelImages", "TrainModels"]
    assert first["Prepare"].duration_seconds(at(9)) == 2
    assert (first["LabelImages"].done, first["LabelImages"].total, first["LabelImages"].usd) == (20, 60, 0.5)
    assert first["LabelImages"].remaining_seconds(at(13)) == pytest.approx(20)
    assert (label.usd, label.input_tokens, second.usd) == (0.75, 2000, 0.75)
    assert label.duration_seconds(at(99)) == 30
    assert train.inside == {"Customize": 1, "SizeTrained": 1}


@pytest.mark.parametrize(("succeeded", "done"), [(1, 0), (20, 18), (47, 45)])
def test_resize_photos_counts_photos_and_not_the_other_objects_of_the_collection(succeeded: int, done: int) -> None:
    execution, data = started_execution(), bucket()
    execution.definition = execution.definition.replace("LabelImages", "ResizePhotos")
    execution.map_runs = {"ResizePhotos:1": (succeeded, 47)}
    observer = ExecutionObserver("r", "arn", execution, data)
    before = {state.name: state for state in observer.progress().states}["ResizePhotos"]
    data.write_lines(keys.listing_key("r"), ({"photo": f"holiday/{number}.jpg"} for number in range(45)))
    state = {state.name: state for state in observer.progress().states}["ResizePhotos"]

    assert (before.done, before.total) == (succeeded, 47)
    assert (state.done, state.total) == (done, 45)


def run_state(execution: ExecutionFake, name: str, began: float, ended: float, kind: str = "Task") -> None:
    execution.event(began, f"{kind}StateEntered", name)
    execution.event(ended, f"{kind}StateExited", name)


def test_second_round_adds_to_the_counts_and_the_time_of_a_state_but_not_the_time_between_rounds() -> None:
    execution, data = started_execution(), bucket()
    execution.event(33, "MapStateExited", "LabelImages")
    for began in (33, 63):
        execution.event(began, "MapStateEntered", "TrainModels")
        run_state(execution, "SizeTrained", began + 1, began + 1, "Pass")
        execution.event(began + 10, "MapStateExited", "TrainModels")
        if began == 33:
            run_state(execution, "Estimate", 43, 44)
            run_state(execution, "LabelImages", 44, 54, "Map")
    execution.map_runs = {"LabelImages:1": (60, 60), "LabelImages:2": (30, 120)}
    data.write_document(keys.estimate_key("r"), any_estimate())
    states = {state.name: state for state in ExecutionObserver("r", "arn", execution, data).progress().states}
    label, train = states["LabelImages"], states["TrainModels"]

    assert (label.rounds, label.done, label.total) == (2, 90, 180)
    assert label.began == at(3)
    assert label.duration_seconds(at(99)) == 30 + 10
    assert (train.rounds, train.duration_seconds(at(99))) == (2, 20)
    assert train.inside == {"SizeTrained": 1}


def test_state_that_is_running_again_has_a_remaining_time_at_the_speed_of_all_rounds() -> None:
    execution, data = started_execution(), bucket()
    execution.event(33, "MapStateExited", "LabelImages")
    run_state(execution, "Estimate", 33, 1033)
    execution.event(1033, "MapStateEntered", "LabelImages")
    execution.map_runs = {"LabelImages:1": (60, 60), "LabelImages:2": (20, 120)}
    data.write_document(keys.estimate_key("r"), any_estimate())
    label = ExecutionObserver("r", "arn", execution, data).progress().states[2]

    assert label.remaining_seconds(at(1043)) == pytest.approx((30 + 10) / 80 * 100)


def test_polls_of_a_waiting_state_are_one_round() -> None:
    execution = started_execution()
    for began in (40, 70, 100):
        run_state(execution, "Prepare", began, began + 1)
    execution.events = [event for event in execution.events if "LabelImages" not in str(event)]
    prepare = ExecutionObserver("r", "arn", execution, bucket()).progress().states[0]

    assert (prepare.rounds, prepare.duration_seconds(at(200))) == (1, 101)


def test_estimate_of_the_last_round_is_shown() -> None:
    execution, data = started_execution(), bucket()
    observer = ExecutionObserver("r", "arn", execution, data)
    execution.event(33, "MapStateExited", "LabelImages")
    shown = []
    for began, verdict, usd in ((40, "about $1.00", 1.0), (90, "about $3.00 in addition to $1.00 paid so far", 4.0)):
        data.write_document(keys.estimate_key("r"), any_estimate(verdict=verdict, usd=usd))
        run_state(execution, "Estimate", began, began + 1)
        progress = observer.progress()
        shown.append((progress.estimate, progress.estimated_usd))
        run_state(execution, "TrainModels", began + 2, began + 9, "Map")

    assert shown == [("about $1.00", 1.0), ("about $3.00 in addition to $1.00 paid so far", 4.0)]


def test_recommendation_is_that_of_the_report_once_the_run_has_succeeded() -> None:
    execution, data = started_execution(), bucket()
    observer = ExecutionObserver("r", "arn", execution, data)
    recommendation = Recommendation(action="stop here", text="Stop here.")
    data.write_document(keys.report_json_key("r"), any_report(recommendation=recommendation))

    assert observer.progress().recommendation is None
    execution.status = "SUCCEEDED"
    document = observer.progress().as_json()
    assert document["recommendation"] == {"action": "stop here", "text": "Stop here.", "usd": None, "effect": None}
    data.client.objects.clear()  # type: ignore[attr-defined] - a fake
    assert observer.progress().recommendation is None
