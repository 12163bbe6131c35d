"""Identity and permissions of whoever calls the local Bedrock endpoint.

ministack does not check calls to the endpoint, which is not part of it. Both run in the same process, so the endpoint
asks ministack's own policy evaluator, which has the roles that the templates created.
"""

from __future__ import annotations

import importlib
import re
from typing import Any

from local.aws.account import ACCOUNT, ADMIN_KEY, REGION

_ACCESS_KEY = re.compile(r"Credential=([^/,\s]+)/")
_BEDROCK = "bedrock.amazonaws.com"
_ADMINISTRATOR = f"arn:aws:iam::{ACCOUNT}:root"
_ANY_JOB = f"arn:aws:bedrock:{REGION}:{ACCOUNT}:model-customization-job/any"


class RoleNotUsable(Exception):
    """Bedrock cannot assume the role that a job names; the message says why."""


class CallerIdentity:
    """The roles of the AWS emulator that runs in this process."""

    def principal(self, authorization_header: str) -> str | None:
        """Return the ARN of the role whose access key signed the request, or of the account for its administrator.

        Return None for an unknown access key. The signature is not verified.
        """
        key = _ACCESS_KEY.search(authorization_header)
        if key and key.group(1) == ADMIN_KEY:
            return _ADMINISTRATOR
        session = key and _module("services.sts")._sessions.get(key.group(1))
        if not session:
            return None
        role = _role(_evaluator()._role_name_from_assumed_arn(session["Arn"]))
        return role["Arn"] if role else None

    def allowed(
        self, principal: str, action: str, resource_arn: str, via: str | None = None, profile: str | None = None
    ) -> bool:
        """Return whether a principal may perform an action, by its policies and boundary and the resource's policy.

        ``via`` is the service that calls KMS for the principal, such as ``s3``. A KMS key that does not exist, or whose
        key policy does not allow the action, cannot be used. ``profile`` is the ARN of the inference profile through
        which a model is called.
        """
        if principal == _ADMINISTRATOR:
            return True
        evaluator = _evaluator()
        name = _role_name(principal)
        limits = evaluator._permissions_boundary(_module("services.iam")._roles, name, ACCOUNT)
        service = action.partition(":")[0]
        context = _context(_session_arn(name), action, resource_arn)
        if via:
            context.service_context = {"kms:viaservice": f"{via}.{REGION}.amazonaws.com"}
        if profile:
            context.service_context = {"bedrock:inferenceprofilearn": profile}
        policies = evaluator._gather_role_policies(name, ACCOUNT)
        decision = evaluator.evaluate(context, policies, *limits)
        required = service in evaluator._POLICY_REQUIRED
        resource_policy = evaluator._resource_policy(service, resource_arn)
        if resource_policy is None:
            return decision.decision == "Allow" and not required
        decision = evaluator.combine_resource_policy(
            decision, context, *resource_policy, required=required, limits=limits
        )
        return decision.decision == "Allow"

    def check_job_role(self, role_arn: str) -> None:
        """Raise RoleNotUsable unless the role exists and its trust policy allows Bedrock to assume it for a job."""
        role = _role(_role_name(role_arn))
        if role is None or role["Arn"] != role_arn:
            raise RoleNotUsable(f"{role_arn} does not exist")
        context = _context("", "sts:AssumeRole", role_arn)
        context.service_context = {"aws:sourcearn": _ANY_JOB, "aws:sourceaccount": ACCOUNT}
        trust = role["AssumeRolePolicyDocument"]
        decision = _evaluator().evaluate_resource_policy(trust, context, service=_BEDROCK)
        if decision.decision != "Allow":
            raise RoleNotUsable(f"the trust policy of {role_arn} does not allow {_BEDROCK} to assume it")


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
    # Imported on use, because ministack reads its settings from the environment, which the emulator sets first.
    return importlib.import_module(f"ministack.{name}")
