"""Tags of jobs, models and deployments."""

from __future__ import annotations

from typing import Any

from local.bedrock.protocol import BedrockError
from local.bedrock.service import Operation, Service, Tag

MAXIMUM_TAGS = 50
"""Tags of a resource. Source: "Tagging Amazon Bedrock resources", user guide; not verified against AWS."""


def list_tags_for_resource(service: Service, values: dict[str, Any], caller: str | None) -> dict[str, Any]:
    """List the tags of a job, model or deployment."""
    service.authorise(caller, "bedrock:ListTagsForResource", values["resourceARN"])
    return {"tags": list(_tags(service, values["resourceARN"]))}


def tag_resource(service: Service, values: dict[str, Any], caller: str | None) -> dict[str, Any]:
    """Add tags, and replace the values of existing ones."""
    arn = values["resourceARN"]
    service.authorise(caller, "bedrock:TagResource", arn)
    with service.lock:
        merged = {tag["key"]: tag for tag in [*_tags(service, arn), *values["tags"]]}
        if len(merged) > MAXIMUM_TAGS:
            raise BedrockError("TooManyTagsException", f"A resource has at most {MAXIMUM_TAGS} tags.")
        service.tags[arn] = list(merged.values())
    return {}


def untag_resource(service: Service, values: dict[str, Any], caller: str | None) -> dict[str, Any]:
    """Remove tags."""
    arn = values["resourceARN"]
    service.authorise(caller, "bedrock:UntagResource", arn)
    with service.lock:
        service.tags[arn] = [tag for tag in _tags(service, arn) if tag["key"] not in values["tagKeys"]]
    return {}


def _tags(service: Service, arn: str) -> list[Tag]:
    if arn not in service.tags:
        raise BedrockError("ResourceNotFoundException", f"{arn} not found.")
    return service.tags[arn]


OPERATIONS: dict[str, Operation] = {
    "ListTagsForResource": list_tags_for_resource,
    "TagResource": tag_resource,
    "UntagResource": untag_resource,
}
