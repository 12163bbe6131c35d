"""Remedies for the failure messages of customization jobs.

Messages are from "Troubleshooting fine-tuning issues", Amazon Bedrock user guide, and from jobs in public logs.
"""

from __future__ import annotations

from typing import Any

_RETRY = "training that did not start is not billed: upload distill.json again later; no label is paid for twice"
_DATASET = "Bedrock rejects the dataset: run `distill validate` on the file, and report an issue if it finds nothing"

REMEDIES = {
    "could not validate getobject permissions": "the job's role cannot read that object: deploy the stack again, and "
    "look for a bucket or key policy that denies it",
    "s3 perms missing": "the job's role cannot write its metrics under runs/*/training/: deploy the stack again, and "
    "look for a bucket or key policy that denies it",
    "unable to parse amazon s3 file": _DATASET,
    "must conform to jsonl": _DATASET,
    "input size exceeded": "a record is longer than the model's context: shorten the prompt or lower max_tokens",
    "doesn't support validation set": "this student takes no validation file: deploy the newest version",
    "internal error": f"an internal error of Bedrock, in two attempts; {_RETRY}",
    "unexpected error": f"an internal error of Bedrock, in two attempts; {_RETRY}",
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
    return f"{message.rstrip('.')}: {remedy}" if remedy else message
