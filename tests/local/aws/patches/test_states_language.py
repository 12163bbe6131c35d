"""Rules of the Amazon States Language that ministack does not enforce without the patches."""

from __future__ import annotations

from typing import Any

import pytest

from tests.local.aws.conftest import Account, machine, passing


def test_missing_path_ends_the_execution_and_no_catch_sees_it(account: Account) -> None:
    catch = [{"ErrorEquals": ["States.ALL"], "Next": "After"}]
    task = account.task({"x.$": "$.missing"}, Catch=catch)

    ending = account.run(machine({"Work": task, "After": {"Type": "Succeed"}}), {"present": None})

    assert (ending.status, ending.error) == ("FAILED", "States.Runtime")
    assert "$.missing" in (ending.cause or "")


def test_output_of_more_than_256_kib_ends_the_execution(account: Account) -> None:
    big = passing(Parameters={"a.$": "$.a", "b.$": "$.a"})

    ending = account.run(big, {"a": "x" * 200_000})

    assert (ending.status, ending.error) == ("FAILED", "States.DataLimitExceeded")


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("States.ArrayContains($.rows[*].status, 'Active')", True),
        ("States.ArrayContains($.rows[*].status, 'Gone')", False),
        ("States.Format('{} of {} is {}', $.n, $.text, $.nothing)", "3 of t is null"),
        ("States.Format('{}', $.yes)", "true"),
        ("States.ArrayLength($.rows)", 2),
        ("$.rows[*].status", ["Active", "Failed"]),
    ],
)
def test_intrinsic_functions_and_projections_are_evaluated(account: Account, expression: str, expected: Any) -> None:
    value = {
        **{"n": 3, "text": "t", "nothing": None, "yes": True},
        "rows": [{"status": "Active"}, {"status": "Failed"}],
    }
    assert account.run(passing(Parameters={"is.$": expression}), value).output == {"is": expected}


def test_failing_intrinsic_function_is_an_intrinsic_failure(account: Account) -> None:
    ending = account.run(passing(Parameters={"x.$": "States.StringToJson($.text)"}), {"text": "{"})
    assert (ending.status, ending.error) == ("FAILED", "States.IntrinsicFailure")


def test_result_selector_sees_the_result(account: Account) -> None:
    selector = {
        "found.$": "States.ArrayContains($.Payload.event.rows[*].s, 'b')",
        "all.$": "$.Payload.event.rows[*].s",
    }
    task = account.task({"rows": [{"s": "a"}, {"s": "b"}]}, ResultSelector=selector, ResultPath="$.seen")
    ending = account.run(machine({"Work": task}), {"kept": 1})
    assert ending.output == {"kept": 1, "seen": {"found": True, "all": ["a", "b"]}}


def test_context_object_names_the_execution_and_the_state(account: Account) -> None:
    ending = account.run(passing(Parameters={"id.$": "$$.Execution.Id", "state.$": "$$.State.Name"}))
    assert ending.output == {"id": ending.arn, "state": "Only"}


@pytest.mark.parametrize(
    ("rule", "matches"),
    [
        ({"Variable": "$.s", "StringEquals": "a"}, True),
        ({"Variable": "$.null", "StringEquals": "a"}, False),
        ({"Variable": "$.null", "IsNull": True}, True),
        ({"Variable": "$.s", "IsNull": True}, False),
        ({"Variable": "$.null", "IsPresent": True}, True),
        ({"Variable": "$.gone", "IsPresent": False}, True),
        ({"Variable": "$.b", "BooleanEquals": False}, True),
        ({"Not": {"Variable": "$.b", "BooleanEquals": False}}, False),
        ({"Variable": "$.n", "NumericGreaterThanPath": "$.m"}, True),
        (
            {"And": [{"Variable": "$.gone", "IsPresent": True}, {"Variable": "$.gone", "IsNull": True}]},
            False,
        ),
        (
            {
                "Or": [
                    {"Variable": "$.b", "BooleanEquals": True},
                    {"Variable": "$.s", "StringEquals": "a"},
                ]
            },
            True,
        ),
    ],
)
def test_choice_takes_the_rule_that_matches(account: Account, rule: dict[str, Any], matches: bool) -> None:
    states = {
        "Choose": {"Type": "Choice", "Choices": [rule | {"Next": "Yes"}], "Default": "No"},
        "Yes": {"Type": "Pass", "Result": True, "End": True},
        "No": {"Type": "Pass", "Result": False, "End": True},
    }
    value = {"s": "a", "null": None, "b": False, "n": 2, "m": 1}
    assert account.run(machine(states), value).output is matches


def test_choice_about_a_missing_field_ends_the_execution(account: Account) -> None:
    choices = [{"Variable": "$.gone", "IsNull": True, "Next": "End"}]
    states = {
        "Choose": {"Type": "Choice", "Choices": choices, "Default": "End"},
        "End": {"Type": "Succeed"},
    }
    assert account.run(machine(states)).error == "States.Runtime"
