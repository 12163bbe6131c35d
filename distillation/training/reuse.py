"""Reuse a model that an earlier run of the stage trained on the same files, instead of paying for the training again.

Two trainings are the same if their fingerprints are equal. A run that reuses a model names itself in the model's tags
before it relies on the model; Sweep and CleanUp delete a model only if no run in its tags keeps it. A run does not wait
for a job of another run that is still training the same: it trains its own model.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from distillation import keys
from distillation.dataset.hashes import check_hash, read_hashes
from distillation.errors import InvalidRequest
from distillation.events import JobResult
from distillation.models import catalog
from distillation.models.hyperparameters import job_hyperparameters
from distillation.records import Run
from distillation.serving.resources import BedrockResource, add_tag, describe_by_name, models, read_tags
from distillation.serving.tags import DELETING_TAG, STAGE_TAG, TRAINING_TAG, USED_BY_PREFIX
from distillation.storage import Bucket
from distillation.telemetry import logger

if TYPE_CHECKING:
    from mypy_boto3_bedrock import BedrockClient

_LONGEST_DELETION = timedelta(minutes=15)
"""Maximum duration of a Lambda function. A deletion that began earlier was given up."""


def checked_fingerprint(run: Run, size: int, data: Bucket) -> str:
    """Return the SHA-256 over everything that a training depends on: its files, base model and hyperparameters.

    Raises ``DatasetRejected`` if a file is not the one that was validated.
    """
    hashes, student = read_hashes(run, data), catalog.get_model(run.student)
    files = [keys.dataset_key(run.name, name) for name in (f"train-{size}", "validation")]
    for file in files:
        if file in hashes.sha256 or any(True for _ in data.keys(file)):
            check_hash(file, hashes, data)
    facts = {
        "files": [hashes.sha256.get(file) for file in files],
        "base_model": student.training_id or student.id,
        "hyperparameters": job_hyperparameters(run, size),
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def reuse_model(
    run: Run, training: str, model_kms_key_arn: str | None, data: Bucket, bedrock: BedrockClient, now: datetime
) -> JobResult | None:
    """Return a model with the fingerprint ``training`` as the result of a completed job; None if there is none.

    The model is of the same stage and Data bucket, and encrypted with the key ``model_kms_key_arn``.
    """
    # A later round of a run with `grow` finds the model again that the run reuses already.
    claimed = f"{USED_BY_PREFIX}{run.name}"
    for model in sorted(models((TRAINING_TAG, training), "", bedrock), key=lambda model: claimed not in model.tags):
        if (model.tags.get(STAGE_TAG), model.data_bucket, model.status) != (run.stage, data.name, "Active"):
            continue
        description = _describe(model, bedrock)
        if description is None or description.get("modelKmsKeyArn") != model_kms_key_arn:
            continue
        if _claim(model, run, bedrock, now):
            return JobResult(
                status="Completed",
                model_name=model.name,
                job_arn=description.get("jobArn"),
                model_arn=model.arn,
                trained_by=model.run,
            )
    return None


def _claim(model: BedrockResource, run: Run, bedrock: BedrockClient, now: datetime) -> bool:
    """Name the run in the model's tags; then return whether the model still exists and nobody is deleting it."""
    try:
        if not add_tag(model, f"{USED_BY_PREFIX}{run.name}", run.created, bedrock):
            return False
    except InvalidRequest as error:  # AWS allows 50 tags, and each run that reuses the model has one.
        logger.warning("model not reused: it accepts no more tags", model=model.name, error=str(error))
        return False
    current = read_tags(model, bedrock)
    return current is not None and not _is_being_deleted(current, now) and _describe(model, bedrock) is not None


def _is_being_deleted(model: BedrockResource, now: datetime) -> bool:
    began = model.tags.get(DELETING_TAG)
    return began is not None and now - datetime.fromisoformat(began) < _LONGEST_DELETION


def _describe(model: BedrockResource, bedrock: BedrockClient) -> Any | None:
    return describe_by_name(
        "model", model.name, lambda identifier: bedrock.get_custom_model(modelIdentifier=identifier), bedrock
    )
