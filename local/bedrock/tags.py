"""Tags of jobs, models and deployments."""

from __future__ import annotations

from typing import Any

from local.bedrock.protocol import BedrockError
from local.bedrock.service import Operation, Service


def list_tags_for_resource(service: Service, values: dict[str, Any], caller: str | None) -> dict[str, Any]:
    """List the tags of a job, model or deployment."""
    arn = values["resourceARN"]
    service.authorise(caller, "bedrock:ListTagsForResource", arn)
    if arn not in service.tags:
        raise BedrockError("ResourceNotFoundException", f"{arn} not found.")
    return {"tags": service.tags[arn]}


OPERATIONS: dict[str, Operation] = {
    "ListTagsForResource": list_tags_for_resource,
}
