"""Remedies for the failure messages of customization jobs.

Messages are from "Troubleshooting fine-tuning issues", Amazon Bedrock user guide, and from jobs in public logs.
"""

from __future__ import annotations

from typing import Any

from distillation.errors import LABELS_ARE_REUSED

_RETRY = (
    "An internal error of Bedrock, in two attempts. Training that did not start is not billed. "
    f"Upload distill.json again later. {LABELS_ARE_REUSED}"
)
_DATASET = "Bedrock rejects the dataset. Run `distill validate` on the file, and report an issue if it finds nothing."

REMEDIES = {
    "could not validate getobject permissions": "The job's role cannot read that object. Deploy the stack again, and "
    "look for a bucket or key policy that denies it.",
    "s3 perms missing": "The job's role cannot write its metrics under runs/*/training/. Deploy the stack again, and "
    "look for a bucket or key policy that denies it.",
    "unable to parse amazon s3 file": _DATASET,
    "must conform to jsonl": _DATASET,
    "input size exceeded": "A record is longer than the model's context. Shorten the prompt or lower max_tokens.",
    "doesn't support validation set": "This student takes no validation file. Deploy the newest version.",
    "internal error": _RETRY,
    "unexpected error": _RETRY,
}
"""Remedy by part of the message in lower case; the first match counts."""
_INTERNAL_ERRORS = ("internal error", "unexpected error")


def is_internal(job: Any) -> bool:
    """Return whether a job failed by an internal error of Bedrock, which another attempt may avoid."""
    message = job.get("failureMessage", "").lower()
    return job["status"] == "Failed" and any(words in message for words in _INTERNAL_ERRORS)


def cause_and_remedy(job: Any) -> str:
    """Return why a job ended without a model, with the remedy if one is known."""
    message = job.get("failureMessage") or f"the job ended as {job['status']}"
    remedy = next((remedy for words, remedy in REMEDIES.items() if words in message.lower()), None)
    return f"{message.rstrip('.')}. {remedy}" if remedy else message
