from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from distillation import errors
from distillation.errors import RETRIED, DistillationError, error_message
from infra.state_machine_definition import render

CLASSES = {kind.__name__: kind for kind in vars(errors).values() if isinstance(kind, type)}


def retried_errors(definition: Any) -> Iterator[str]:
    """Yield the names in ``ErrorEquals`` of every Retry."""
    if isinstance(definition, dict):
        for retrier in definition.get("Retry", []):
            yield from retrier["ErrorEquals"]
        definition = list(definition.values())
    if isinstance(definition, list):
        for value in definition:
            yield from retried_errors(value)


def test_state_machine_retries_exactly_the_errors_in_retried() -> None:
    names = set(retried_errors(json.loads(render())))

    assert names & set(CLASSES) == {kind.__name__ for kind in RETRIED}


def test_every_other_retried_error_belongs_to_step_functions_or_lambda() -> None:
    names = set(retried_errors(json.loads(render()))) - set(CLASSES)

    assert all(name.startswith(("Lambda.", "Runtime.", "Sandbox.", "States.")) for name in names)


def test_docstring_has_the_tree_of_all_errors_and_marks_the_retried_ones() -> None:
    tree = re.findall(r"[├└]── (\w+)( +retried)?", errors.__doc__ or "")

    assert {name for name, _ in tree} == set(CLASSES) - {"DistillationError"}
    assert {name for name, mark in tree if mark} == {kind.__name__ for kind in RETRIED}
    assert all(CLASSES[name].__bases__ == (DistillationError,) for name, _ in tree)


@pytest.mark.parametrize(
    ("cause", "message"),
    [
        ('{"errorMessage": "no photos", "errorType": "EmptyCollection"}', "no photos"),
        ('{"other": 1}', '{"other": 1}'),
        ("[1]", "[1]"),
        ("plain text", "plain text"),
        ("[" * 100_000, "[" * 100_000),
    ],
)
def test_message_is_taken_from_the_cause_of_a_lambda_function(cause: str, message: str) -> None:
    assert error_message(cause) == message
