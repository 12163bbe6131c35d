"""Who calls the local Bedrock endpoint, and what that caller's role allows.

The endpoint is not part of ministack, which therefore does not check who calls it. It runs in the
same process, so it can ask ministack's own evaluator, which knows the roles as the templates made
them.
"""

from __future__ import annotations

import importlib
import re
from typing import Any

from local.aws.emulator import ACCOUNT, ADMIN_KEY, REGION

_ACCESS_KEY = re.compile(r"Credential=([^/,\s]+)/")
_BEDROCK = "bedrock.amazonaws.com"
_ADMINISTRATOR = f"arn:aws:iam::{ACCOUNT}:root"
_ANY_JOB = f"arn:aws:bedrock:{REGION}:{ACCOUNT}:model-customization-job/any"


class RoleNotUsable(Exception):
    """Bedrock cannot assume the role that a job names; the text says why."""


class CallerIdentity:
    """The roles of the embedded AWS that runs in this process."""

    def principal(self, authorization_header: str) -> str | None:
        """Return the ARN of the role that signed, or of the account for its administrator; None for anybody else.

        The signature itself is not checked: an access key is known to its worker only.
        """
        key = _ACCESS_KEY.search(authorization_header)
        if key and key.group(1) == ADMIN_KEY:
            return _ADMINISTRATOR
        session = key and _module("services.sts")._sessions.get(key.group(1))
        if not session:
            return None
        role = _role(_evaluator()._role_name_from_assumed_arn(session["Arn"]))
        return role["Arn"] if role else None

    def allowed(self, principal: str, action: str, resource_arn: str) -> bool:
        """Tell whether a role may do something, by its policies, boundary and the resource's policy."""
        if principal == _ADMINISTRATOR:
            return True
        evaluator = _evaluator()
        name = _role_name(principal)
        limits = evaluator._permissions_boundary(_module("services.iam")._roles, name, ACCOUNT)
        context = _context(_session_arn(name), action, resource_arn)
        policies = evaluator._gather_role_policies(name, ACCOUNT)
        decision = evaluator.evaluate(context, policies, *limits)
        if found := evaluator._resource_policy(action.partition(":")[0], resource_arn):
            decision = evaluator.combine_resource_policy(decision, context, *found, limits=limits)
        return decision.decision == "Allow"

    def check_job_role(self, role_arn: str) -> None:
        """Raise RoleNotUsable unless the role exists and lets Bedrock assume it for a job."""
        role = _role(_role_name(role_arn))
        if role is None or role["Arn"] != role_arn:
            raise RoleNotUsable(f"{role_arn} does not exist")
        context = _context("", "sts:AssumeRole", role_arn)
        context.service_context = {"aws:sourcearn": _ANY_JOB, "aws:sourceaccount": ACCOUNT}
        trust = role["AssumeRolePolicyDocument"]
        decision = _evaluator().evaluate_resource_policy(trust, context, service=_BEDROCK)
        if decision.decision != "Allow":
            raise RoleNotUsable(f"the trust policy of {role_arn} does not let {_BEDROCK} assume it")


def _context(principal: str, action: str, resource_arn: str) -> Any:
    return _evaluator().EvalContext(
        principal_arn=principal,
        principal_type="AssumedRole",
        principal_account=ACCOUNT,
        action=action,
        resource_arn=resource_arn,
        region=REGION,
        secure_transport=True,
    )


def _session_arn(role_name: str) -> str:
    return f"arn:aws:sts::{ACCOUNT}:assumed-role/{role_name}/local"


def _role_name(role_arn: str) -> str:
    return role_arn.rpartition("/")[2]


def _role(name: str) -> dict[str, Any] | None:
    return _module("services.iam")._roles.get_scoped(ACCOUNT, None, name)


def _evaluator() -> Any:
    return _module("core.iam_evaluator")


def _module(name: str) -> Any:
    return importlib.import_module(f"ministack.{name}")
