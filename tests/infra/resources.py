"""Readers of the synthesised templates and of the state machine's definition."""

from __future__ import annotations

import json
from typing import Any

from aws_cdk.assertions import Template

from infra.state_machine_definition import render

DEFINITION = json.loads(render())


def role_statements(pipeline: Template, role: str) -> list[dict[str, Any]]:
    """Return all statements of the roles whose logical id starts with ``role``, inline and attached."""
    roles = {n: r for n, r in pipeline.find_resources("AWS::IAM::Role").items() if n.startswith(role)}
    statements = [
        statement
        for resource in roles.values()
        for policy in resource["Properties"].get("Policies", [])
        for statement in policy["PolicyDocument"]["Statement"]
    ]
    for policy in pipeline.find_resources("AWS::IAM::Policy").values():
        if any(ref.get("Ref") in roles for ref in policy["Properties"]["Roles"]):
            statements += policy["Properties"]["PolicyDocument"]["Statement"]
    return statements


def actions(statements: list[dict[str, Any]]) -> set[str]:
    """Return the actions that ``statements`` name."""
    lists = [s["Action"] if isinstance(s["Action"], list) else [s["Action"]] for s in statements]
    return {action for names in lists for action in names}


def all_states(states: dict[str, Any]) -> list[dict[str, Any]]:
    """Return ``states`` and the states inside their Maps."""
    nested = [state["ItemProcessor"]["States"] for state in states.values() if "ItemProcessor" in state]
    return [*states.values(), *(state for inner in nested for state in all_states(inner))]
