"""Exceptions that end a step, by name.

    DistillationError
    ├── InvalidRequest
    ├── EmptyCollection
    ├── TooFewImages
    ├── ToleranceExceeded
    ├── OverBudget
    ├── DatasetRejected
    ├── AccessDenied
    ├── JobFailed
    ├── DeploymentFailed
    ├── ObjectMissing
    ├── ObjectDamaged
    ├── AccessPending       retried
    ├── ServiceUnavailable  retried
    ├── Throttled           retried
    ├── DailyQuotaExceeded  retried
    ├── BatchUnfinished     retried
    ├── QuotaExceeded       retried
    └── ResourceBusy        retried

The state machine retries the classes in ``RETRIED``, each only in the steps that can raise it. Any other exception
ends the run, or only the training size that raised it.

The class name is part of the interface: Step Functions compares it with ``ErrorEquals`` and shows it in the console.
The message is the Cause of the failure: it names the input and says what to change.
``AnswerRejected`` and ``DeadlineReached`` of ``distillation.inference`` are caught there and end no step.
"""

from __future__ import annotations

import json


class DistillationError(Exception):
    """Base of every exception that a step raises on purpose."""


class InvalidRequest(DistillationError):
    """The request cannot be carried out as written. Repeating it does not help."""


class EmptyCollection(DistillationError):
    """The collection has no photos."""


class TooFewImages(DistillationError):
    """There are fewer usable images than training and testing need."""


class ToleranceExceeded(DistillationError):
    """More items were set aside than the request's ``tolerance`` allows."""


class OverBudget(DistillationError):
    """The run's ``max_usd`` is too small for its next step, or the stage's ``max_usd_per_month`` for the run."""


class DatasetRejected(DistillationError):
    """The dataset breaks a rule of Bedrock."""


class AccessDenied(DistillationError):
    """A role lacks a permission, or the account lacks access to the model."""


class AccessPending(DistillationError):
    """The account's subscription to the model may not be effective yet; Bedrock asks to try again in some minutes."""


class JobFailed(DistillationError):
    """A customization job ended without a model."""


class DeploymentFailed(DistillationError):
    """A tuned model could not be deployed."""


class ObjectMissing(DistillationError):
    """An S3 object that an earlier step writes does not exist. The function that raises it adds the remedy."""


class ObjectDamaged(DistillationError):
    """An S3 object cannot be parsed, or it does not have the lines that an earlier step wrote."""


class ServiceUnavailable(DistillationError):
    """S3 or another AWS service did not answer, throttled the call or answered 5xx, also after boto3's retries."""


class Throttled(DistillationError):
    """Bedrock throttled the call or was briefly unavailable."""


class DailyQuotaExceeded(DistillationError):
    """The account's tokens per day for a model are used up. The quota is renewed within a day."""


class BatchUnfinished(DistillationError):
    """The function reached its deadline before its batch was complete. A retry reuses the stored answers."""


class QuotaExceeded(DistillationError):
    """An account quota is used up, possibly by another run that will end within hours."""


class ResourceBusy(DistillationError):
    """Bedrock is still stopping or deleting the resource."""


RETRIED = frozenset(
    {
        AccessPending,
        ServiceUnavailable,
        Throttled,
        DailyQuotaExceeded,
        BatchUnfinished,
        QuotaExceeded,
        ResourceBusy,
    }
)
"""Exceptions that a Retry of the state machine names."""


LABELS_ARE_REUSED = "Stored labels are reused; a new run does not pay for them again."
"""Sentence for the messages of a run that has to be started again."""


_EXCERPT_CHARACTERS = 200
"""Largest number of characters of an input that a message repeats."""


def excerpt(text: object) -> str:
    """Return a text for an error message: at most 200 characters; a cut text ends with an ellipsis.

    Everything that a person or a model wrote (a field, a key, a name, an answer) goes through this function.
    """
    whole = str(text)
    return whole if len(whole) <= _EXCERPT_CHARACTERS else f"{whole[: _EXCERPT_CHARACTERS - 1]}…"


def error_message(cause: str) -> str:
    """Return the message in the Cause of a failed Lambda function, or ``cause`` itself if it is not such a document."""
    try:
        document = json.loads(cause)
    except (ValueError, RecursionError):
        return cause
    return document.get("errorMessage", cause) if isinstance(document, dict) else cause
