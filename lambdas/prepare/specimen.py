"""Refuse a run whose every training record Bedrock would refuse, before a label is paid for."""

from __future__ import annotations

from lambdas.shared import families
from lambdas.shared.errors import BadRequest
from lambdas.shared.records import Run
from lambdas.validate_dataset.record import check_record
from lambdas.validate_dataset.rules import RULES
from lambdas.write_dataset.examples import record

_IMAGE = "0" * 64
_LABEL = "cat, sofa, window"


def check_specimen(run: Run, bucket: str) -> None:
    """Judge a record as WriteDataset will write it, by the rules of ValidateDataset; raises ``BadRequest``."""
    found = check_record(record(run, bucket, _IMAGE, _LABEL), families.model(run.student).family).findings
    reasons = [f"{field}: {fact}; {RULES[rule].remedy}" for rule, field, fact in found if _refused(rule)]
    if reasons:
        raise BadRequest(f"Bedrock would refuse every training record of this run: {' '.join(reasons)}")


def _refused(rule: str) -> bool:
    return RULES[rule].severity == "error"
