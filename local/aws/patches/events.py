"""EventBridge: the version id of an object in its Object Created event."""

from __future__ import annotations

import contextvars
import json
from collections.abc import Callable
from typing import Any

from ministack.services import eventbridge, s3

from local.aws.patches import Patch

_version_id: contextvars.ContextVar[str | None] = contextvars.ContextVar("version_id", default=None)


def _remember_version(fire: Callable[..., None]) -> Callable[..., None]:
    def fire_with_version(*args: Any, version_id: str | None = None, **kwargs: Any) -> None:
        token = _version_id.set(version_id)
        try:
            fire(*args, version_id=version_id, **kwargs)
        finally:
            _version_id.reset(token)

    return fire_with_version


def _add_version(dispatch: Callable[..., Any]) -> Callable[..., Any]:
    def dispatch_with_version(event: dict[str, Any], view: Any = None) -> Any:
        version_id = _version_id.get()
        if version_id and event["Source"] == "aws.s3":
            detail = json.loads(event["Detail"])
            detail["object"]["version-id"] = version_id
            event = {**event, "Detail": json.dumps(detail)}
        return dispatch(event, view)

    return dispatch_with_version


PATCHES = [
    Patch(
        "the version id of a new object is known when its event is dispatched",
        *(s3, "_fire_s3_event"),
        (
            *("bucket_name", "key", "event_name", "size", "etag", "deletion_type"),
            *("restore_event_data", "version_id", "sequencer", "object_extra", "record_extra"),
        ),
        _remember_version,
    ),
    Patch(
        "Object Created has the object's version id",
        *(eventbridge, "_dispatch_event", ("event", "view")),
        _add_version,
    ),
]
