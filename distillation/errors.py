"""Failures that the state machine tells apart.

The class name is the contract: Step Functions matches it in ``ErrorEquals`` and shows it to the
person who reads a failed execution, and the message is the Cause. A message names the input and
says what to change.
"""

from __future__ import annotations

import json


class DistillationError(Exception):
    """Base of every failure that a step raises on purpose."""


class InvalidRequest(DistillationError):
    """The request cannot be carried out as written; repeating it will not help."""


class EmptyCollection(DistillationError):
    """The collection holds no photo."""


class TooFewImages(DistillationError):
    """Fewer usable images than training and testing need."""


class ToleranceExceeded(DistillationError):
    """More items were refused than the request tolerates."""


class OverBudget(DistillationError):
    """Going on could cost more than ``max_usd``."""


class DatasetRejected(DistillationError):
    """Bedrock would refuse the dataset."""


class Throttled(DistillationError):
    """Bedrock asked us to slow down or was briefly unavailable; later will work."""


class BatchUnfinished(DistillationError):
    """A function's time was up before its batch was; what was answered is kept, and the batch tried again goes on."""


class AccessDenied(DistillationError):
    """A role lacks a permission, or the account lacks access to the model."""


class QuotaExceeded(DistillationError):
    """An account quota is in use, perhaps by another run; hours later it may be free."""


class JobFailed(DistillationError):
    """A customization job ended without a model."""


class DeploymentFailed(DistillationError):
    """A tuned model could not be made callable."""


class ResourceBusy(DistillationError):
    """Bedrock has not finished stopping or deleting yet; asking again later will work."""


def message_of(cause: str) -> str:
    """Return the message inside a function's error as Step Functions hands it on, or the cause itself if it is none."""
    try:
        parsed = json.loads(cause)
    except ValueError:
        return cause
    return parsed.get("errorMessage", cause) if isinstance(parsed, dict) else cause
