"""Who calls the local Bedrock endpoint, and what that role may do, by the embedded AWS's own IAM."""

from __future__ import annotations

import json
import re

from local.cloud.embedded import ACCOUNT, REGION

_ACCESS_KEY = re.compile(r"Credential=([^/]+)/")


class RoleRefused(Exception):
    """A role does not exist or may not be assumed by Bedrock."""


class CallerIdentity:
    """Looks callers up in the embedded AWS that runs in this process."""

    def principal(self, authorization: str) -> str | None:
        """Return the access key of a signed request, or None for an unsigned one."""
        found = _ACCESS_KEY.search(authorization)
        return found.group(1) if found else None

    def allowed(self, principal: str, action: str, resource_arn: str) -> bool:
        """Tell whether the policies of a caller, or of a role given by ARN, allow an action."""
        from ministack.core import iam_evaluator as iam

        if principal.startswith("arn:"):
            name = principal.rsplit("/", 1)[-1]
            arn, kind, policies = principal, "AssumedRole", iam._gather_role_policies(name, ACCOUNT)
        else:
            info = iam.resolve_principal(principal, ACCOUNT)
            if isinstance(info, iam.AuthError):
                return False
            arn, kind, policies = info.arn, info.type, info.policies
            if policies is None:  # The account's root may do everything.
                return True
        context = iam.EvalContext(
            principal_arn=arn,
            principal_type=kind,
            principal_account=ACCOUNT,
            action=action,
            resource_arn=resource_arn,
            region=REGION,
        )
        return iam.evaluate(context, policies).decision == "Allow"

    def check_job_role(self, role_arn: str) -> None:
        """Raise ``RoleRefused`` unless Bedrock may assume the role."""
        from ministack.services import iam

        role = iam._roles.get(role_arn.rsplit("/", 1)[-1])
        if role is None:
            raise RoleRefused(f"The role {role_arn} does not exist")
        policy = role.get("AssumeRolePolicyDocument", "")
        text = policy if isinstance(policy, str) else json.dumps(policy)
        if "bedrock.amazonaws.com" not in text:
            raise RoleRefused(f"Bedrock is not allowed to assume the role {role_arn}")
