"""Refuse a run whose every training record Bedrock would refuse, before a label is paid for."""

from __future__ import annotations

from distillation.dataset.examples import training_record
from distillation.dataset.record import check_record
from distillation.dataset.rules import RULES
from distillation.errors import InvalidRequest
from distillation.models import catalog
from distillation.records import Run

_IMAGE = "0" * 64
_LABEL = "cat, sofa, window"


def check_specimen(run: Run, bucket: str) -> None:
    """Judge a record as WriteDataset will write it, by the rules of ValidateDataset; raises ``InvalidRequest``."""
    found = check_record(training_record(run, bucket, _IMAGE, _LABEL), catalog.get_model(run.student).family).findings
    reasons = [f"{field}: {fact}; {RULES[rule].remedy}" for rule, field, fact in found if _refused(rule)]
    if reasons:
        raise InvalidRequest(f"Bedrock would refuse every training record of this run: {' '.join(reasons)}")


def _refused(rule: str) -> bool:
    return RULES[rule].severity == "error"
