from __future__ import annotations

import pytest

from cli.progress import ExecutionObserver
from distillation import ledger
from distillation.records import LedgerPart
from tests.support.execution import at, started_execution
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
    label, train = second.states[1], second.states[2]

    assert list(first) == ["Prepare", "LabelImages", "TrainModels"]
    assert first["Prepare"].duration_seconds(at(9)) == 2
    assert (first["LabelImages"].done, first["LabelImages"].total, first["LabelImages"].usd) == (20, 60, 0.5)
    assert first["LabelImages"].remaining_seconds(at(13)) == pytest.approx(20)
    assert (label.usd, label.input_tokens, second.usd) == (0.75, 2000, 0.75)
    assert label.duration_seconds(at(99)) == 30
    assert train.inside == {"Customize": 1, "SizeTrained": 1}
