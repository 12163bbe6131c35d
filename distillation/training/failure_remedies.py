"""What Bedrock's failure messages of jobs mean, and what to do about each.

Messages: "Troubleshooting fine-tuning issues", Amazon Bedrock user guide, and jobs seen in public logs.
"""

from __future__ import annotations

from typing import Any

_AGAIN = "nothing was billed for training that did not start: put distill.json again later, no label is paid for twice"
_DATASET = "the dataset is not what Bedrock takes: run `distill validate` on the file, and report what it does not find"

REMEDIES = {
    "could not validate getobject permissions": "the job's role cannot read that object: deploy the stack again, and "
    "look for a bucket or key policy that denies it",
    "s3 perms missing": "the job's role cannot write its metrics under runs/*/training/: deploy the stack again, and "
    "look for a bucket or key policy that denies it",
    "unable to parse amazon s3 file": _DATASET,
    "must conform to jsonl": _DATASET,
    "input size exceeded": "a record is longer than the model's context: shorten the prompt or lower max_tokens",
    "doesn't support validation set": "this student takes no validation file: deploy the newest version",
    "internal error": f"a failure inside Bedrock, met twice; {_AGAIN}",
    "unexpected error": f"a failure inside Bedrock, met twice; {_AGAIN}",
}
"""A part of the message, in lower case, to what to do; the first that is found counts."""
_INTERNAL = ("internal error", "unexpected error")


def is_internal(job: Any) -> bool:
    """Tell whether a job failed by a fault of Bedrock's own, so that another attempt may do better."""
    message = job.get("failureMessage", "").lower()
    return job["status"] == "Failed" and any(words in message for words in _INTERNAL)


def cause_and_remedy(job: Any) -> str:
    """Return why a job ended without a model, and what to do where that is known."""
    message = job.get("failureMessage") or f"the job ended as {job['status']}"
    remedy = next((remedy for words, remedy in REMEDIES.items() if words in message.lower()), None)
    return f"{message.rstrip('.')}: {remedy}" if remedy else message
