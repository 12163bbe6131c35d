"""Describe the tuned models that a failed or stopped run leaves for the next one."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from distillation.errors import DistillationError
from distillation.models import catalog
from distillation.records import Run
from distillation.serving.resources import models_of
from distillation.serving.retention import resumable_until
from distillation.serving.tags import STAGE_TAG
from distillation.telemetry import logger

if TYPE_CHECKING:
    from mypy_boto3_bedrock import BedrockClient


def kept_models_text(run: Run, bedrock: BedrockClient, ended: datetime) -> str:
    """Return which models of a run are kept after its failure at ``ended``, what they cost and how to resume.

    The text is empty if there are none. If Bedrock does not answer, it names no model.
    """
    until = resumable_until(run, ended)
    if until <= ended:
        return ""
    try:
        names = [model.name for model in models_of(run.name, (STAGE_TAG, run.stage), bedrock)]
    except DistillationError as error:
        logger.warning("kept models could not be listed", run=run.name, error=str(error))
        return f"If a job had completed: its tuned model is kept until {until:%Y-%m-%d}. {_terms(run, until)}"
    if not names:
        return ""
    kept = "Tuned model" if len(names) == 1 else "Tuned models"
    return f"{kept} kept until {until:%Y-%m-%d}: {', '.join(sorted(names))}. {_terms(run, until)}"


def _terms(run: Run, until: datetime) -> str:
    usd = catalog.get_model(run.student).price("storage").usd
    return (
        f"Storage costs ${usd:.2f} a month for each. To resume, upload distill.json again (or start the same request "
        f"again): the same training is reused until {until:%Y-%m-%d} and not paid for twice."
    )
