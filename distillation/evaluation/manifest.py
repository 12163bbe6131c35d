"""The manifest of a run: everything needed to say how its models were made, and to repeat the run."""

from __future__ import annotations

import hashlib
from typing import Any

from distillation import keys, ledger
from distillation.dataset.hashes import file_sha256
from distillation.documents import DatasetHashes, Manifest, PriceRow, Report
from distillation.errors import InvalidRequest
from distillation.models import catalog
from distillation.models.hyperparameters import job_hyperparameters
from distillation.models.service_tier import dearest_tier, first_tier
from distillation.records import PromptFile, Request, Run, ServiceTier, parse
from distillation.storage import Bucket


def build_manifest(run: Run, report: Report, data: Bucket, code: str) -> Manifest:
    """Return the manifest of a run; ``code`` is the version of the deployed code."""
    student = catalog.get_model(run.student)
    return Manifest(
        run=run,
        code=code,
        prompt_sha256=_sha256(f"{run.prompt.system}\n{run.prompt.user}".encode()),
        student_prompt_sha256=_sha256(f"{run.student_prompt.system}\n{run.student_prompt.user}".encode()),
        labelers={"teacher": run.teacher.id, "ceiling": run.ceiling.id},
        datasets_sha256=_datasets_sha256(run, data),
        hyperparameters={str(model.size): job_hyperparameters(run, model.size) for model in report.models},
        model_ids={"teacher": run.teacher.model, "student": run.student, "tuned_as": student.training_id},
        models=report.models,
        agreement=report.evaluation.agreement if report.evaluation else None,
        gate=report.evaluation.gate if report.evaluation else None,
        usd=report.usd,
        prices=_prices(run),
    )


def repeated_request(manifest: Any, source: str) -> dict[str, Any]:
    """Return the ``distill.json`` that repeats a run, with the choices of its stage written out.

    Images, labels and set assignments are reused, so that a repeated run pays for training and evaluation only.
    ``manifest`` is the parsed JSON. Raises ``InvalidRequest`` naming ``source`` if it is not a manifest.
    """
    if not isinstance(manifest, dict) or "run" not in manifest:
        raise InvalidRequest(f"{source} is not the manifest of a run. Give the manifest.json beside its request.json.")
    document = parse(Manifest, manifest, source)
    run = document.run
    chosen = {
        "teacher": run.teacher.model,
        "student": run.student,
        "prompt": PromptFile(system=run.prompt.system, user=run.prompt.user, answers=run.answers),
        "student_prompt": run.student_prompt,
        "hyperparameters": run.request.hyperparameters | _shared_hyperparameters(document.hyperparameters),
    }
    repeated = Request.model_validate(run.request.model_dump() | chosen)
    # A request without apply may not set audit_share.
    return repeated.model_dump(mode="json", exclude_none=True, exclude={"audit_share"})


def _shared_hyperparameters(by_size: dict[str, dict[str, str]]) -> dict[str, float]:
    """Return the hyperparameters that are equal for all sizes; the others are derived from the size again."""
    sets = list(by_size.values())
    if not sets:
        return {}
    return {name: float(value) for name, value in sets[0].items() if all(others[name] == value for others in sets)}


def _datasets_sha256(run: Run, data: Bucket) -> dict[str, str]:
    """Return the hashes of the validated dataset files; if those are missing, hash the files that still exist."""
    if hashes := data.find_intact(keys.dataset_hashes_key(run.name), DatasetHashes):
        return hashes.sha256
    files = (key for key in data.keys(keys.dataset_prefix(run.name)) if key.endswith(".jsonl"))
    return {key: file_sha256(key, data) for key in files}


def _prices(run: Run) -> list[PriceRow]:
    teacher, student = catalog.get_model(run.teacher.model), catalog.get_model(run.student)
    requested = run.request.service_tier
    tiers: dict[ServiceTier, None] = dict.fromkeys([first_tier(run.teacher.model, requested), dearest_tier(requested)])
    uses = [(teacher, f"{use}{ledger.tier_suffix(tier)}") for tier in tiers for use in ("input", "output")]
    uses += [(student, use) for use in ("input", "output", "training", "storage")]
    return [model.price(use).as_row() for model, use in uses]


def _sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
