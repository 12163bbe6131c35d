"""Read the documents of a run that other runs and commands need."""

from __future__ import annotations

from pydantic import ValidationError

from distillation import keys
from distillation.documents import AnyReport, ReplacedDeployment, parse_report
from distillation.errors import ObjectMissing
from distillation.records import Run
from distillation.storage import Bucket, damaged


def find_run(name: str, data: Bucket) -> Run | None:
    """Return a run's resolved request, or None if no execution claimed a run with this name."""
    return data.find_document(keys.request_key(name), Run)


def read_report(name: str, data: Bucket) -> AnyReport:
    """Return the report of a run; raises ``ObjectMissing`` or ``ObjectDamaged``."""
    key = keys.report_json_key(name)
    try:
        return parse_report(data.read(key))
    except ValidationError as error:
        raise damaged(f"s3://{data.name}/{key}", error) from None


def find_report(name: str, data: Bucket) -> AnyReport | None:
    """Return the report of a run, or None if it has none; raises ``ObjectDamaged``."""
    try:
        return read_report(name, data)
    except ObjectMissing:
        return None


def find_replaced_deployment(name: str, data: Bucket) -> ReplacedDeployment | None:
    """Return the deployment that the run's promoted model took over, or None if it took over none."""
    return data.find_document(keys.deployment_key(name), ReplacedDeployment)
