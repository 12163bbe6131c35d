"""A CloudFormation client that knows some stacks."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError


class Stacks:
    """CloudFormation client that returns the given stacks, or reports a missing stack if there are none."""

    def __init__(self, *stacks: dict[str, Any]) -> None:
        self.stacks = stacks

    def describe_stacks(self, StackName: str) -> dict[str, Any]:  # noqa: N803 - boto3's name
        if not self.stacks:
            raise ClientError({"Error": {"Code": "ValidationError", "Message": f"{StackName} does not exist"}}, "D")
        return {"Stacks": list(self.stacks)}
