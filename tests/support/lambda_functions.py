"""Invoke the Lambda functions with buckets in memory and fake clients."""

from __future__ import annotations

import importlib
import json
from types import SimpleNamespace
from typing import Any

import pytest

from distillation.storage import Bucket
from lambdas import runtime
from tests.support.fakes import bucket

CONTEXT: Any = SimpleNamespace(
    function_name="f",
    memory_limit_in_mb=1,
    invoked_function_arn="arn:aws:lambda:f",
    aws_request_id="r",
    get_remaining_time_in_millis=lambda: 900_000,
)
"""Context of an invocation that has 15 minutes."""


class RunningExecutions:
    """Step Functions client of executions that are running and were started for a collection."""

    exceptions = SimpleNamespace(ExecutionDoesNotExist=KeyError)

    def describe_execution(self, **_: Any) -> dict[str, Any]:
        """Return the status and the input of an execution."""
        return {"status": "RUNNING", "input": json.dumps({"collection": "holiday/"})}


class Functions:
    """The Lambda functions of a stage. Keywords replace clients of ``lambdas.runtime``, such as ``bedrock``."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, photos: Bucket | None = None, **clients: Any) -> None:
        self.data = bucket()
        self._monkeypatch = monkeypatch
        defaults = {"data": self.data, "photos": photos or bucket(), "step_functions": RunningExecutions()}
        self._clients = defaults | clients

    def invoke(self, step: str, event: dict[str, Any]) -> Any:
        """Invoke the function of ``lambdas/<step>.py``; return its result as JSON values."""
        module = importlib.import_module(f"lambdas.{step}")
        for name, client in self._clients.items():
            for owner in (module, runtime):
                if hasattr(owner, name):
                    self._monkeypatch.setattr(owner, name, lambda client=client: client)
        return json.loads(json.dumps(module.handler(event, CONTEXT)))
