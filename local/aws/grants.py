"""Grants of roles: which ones requests needed, and which requests no grant allows.

The emulator and the local Bedrock endpoint evaluate every request of a role with ministack's policy evaluator. The
patches of local/aws/patches/access.py record here what it found.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from local.aws.account import ACCOUNT


class Grant(NamedTuple):
    """One action on one resource pattern that a statement of a role allows."""

    role: str
    action: str
    resource: str
    conditions: str
    """Conditions of the statement as JSON."""


class Denial(NamedTuple):
    """A request that no grant of the role allows."""

    role: str
    action: str
    resource: str


class RolePolicies(list[Any]):
    """The parsed policies of a role, as ministack's evaluator reads them."""

    def __init__(self, role: str, policies: list[Any]) -> None:
        super().__init__(policies)
        self.role = role

    def grants(self, context: Any = None) -> Iterator[Grant]:
        """Yield the grants of the role: all, or those that allow the request of an evaluation context."""
        evaluator: Any = importlib.import_module("ministack.core.iam_evaluator")
        for statement in (s for policy in self for s in policy if s.effect == "Allow"):
            if context is not None and not evaluator._conditions_met(statement.conditions, context):
                continue
            for action in statement.actions:
                if context is not None and not evaluator._action_matches(context.action, [action], []):
                    continue
                for resource in statement.resources:
                    if context is None or evaluator._resource_matches(context.resource_arn, [resource], []):
                        yield Grant(self.role, action, resource, json.dumps(statement.conditions, sort_keys=True))


@dataclass
class GrantUsage:
    """Grants that the requests since the start of the emulator needed, and requests that were denied."""

    needed: set[Grant] = field(default_factory=set)
    """Grants without which a request would have been denied, because no other grant allows it."""
    denied: list[Denial] = field(default_factory=list)

    def record(self, policies: RolePolicies, context: Any, *, allowed: bool) -> None:
        """Record one evaluated request, unless the role was deleted while its function ran."""
        if not allowed:
            if role_exists(policies.role):
                self.denied.append(Denial(policies.role, context.action, context.resource_arn))
            return
        grants = list(policies.grants(context))
        if len(grants) == 1:
            self.needed.update(grants)

    def reset(self) -> None:
        """Forget all requests."""
        self.needed.clear()
        self.denied.clear()


usage = GrantUsage()
"""Requests to the emulator that runs in this process."""


def role_exists(role: str) -> bool:
    """Return whether the emulator has a role."""
    iam: Any = importlib.import_module("ministack.services.iam")
    return iam._roles.get_scoped(ACCOUNT, None, role) is not None


def role_grants(role: str) -> set[Grant]:
    """Return all grants of a role that exists in the emulator."""
    evaluator: Any = importlib.import_module("ministack.core.iam_evaluator")
    return set(evaluator._gather_role_policies(role, ACCOUNT).grants())
