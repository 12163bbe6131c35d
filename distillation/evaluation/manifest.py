"""What it takes to say how a run's models came about, and to ask for the same run again."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from distillation import keys, ledger
from distillation.errors import InvalidRequest
from distillation.models import catalog
from distillation.models.hyperparameters import hyperparameters
from distillation.models.prices import Price
from distillation.records import Request, Run, parse
from distillation.storage import Bucket

_SAID_OF_A_MODEL = ("size", "status", "model_name", "job_arn", "model_arn", "deployment_arn")


def build_manifest(run: Run, report: dict[str, Any], data: Bucket, code: str) -> dict[str, Any]:
    """Return request, code, hashes of prompt and datasets, hyperparameters, models, scores and prices.

    A dataset names each image by the hash of its bytes, so its own hash covers them.
    """
    student = catalog.get_model(run.student)
    ids = {"teacher": run.teacher.model, "student": run.student, "tuned_as": student.training_id}
    return {
        "run": json.loads(run.model_dump_json()),
        "code": code,
        "prompt_sha256": _sha256(f"{run.prompt.system}\n{run.prompt.user}".encode()),
        "labelers": {"teacher": run.teacher.id, "ceiling": run.ceiling.id},
        "datasets_sha256": {key: _sha256(data.read(key)) for key in data.keys(keys.dataset_prefix(run.name))},
        "hyperparameters": {str(model["size"]): hyperparameters(run, model["size"]) for model in report["models"]},
        "model_ids": ids,
        "models": [{name: model[name] for name in _SAID_OF_A_MODEL} for model in report["models"]],
        "jaccard": report["jaccard"],
        "gate": report["gate"],
        "usd": report["usd"],
        "prices": [row.as_json() for row in _prices(run)],
    }


def request_again(manifest: Any, source: str) -> dict[str, Any]:
    """Return the ``distill.json`` that repeats a run: what its stage chose is written out.

    Images, labels and sets are found where they are kept, so a repeated run pays for training only. Raises
    ``InvalidRequest`` for what is no manifest, naming ``source``.
    """
    if not isinstance(manifest, dict) or "run" not in manifest:
        raise InvalidRequest(f"{source} is no manifest of a run; give the manifest.json beside its request.json")
    run = parse(Run, manifest["run"], source)
    chosen = {
        "teacher": run.teacher.model,
        "student": run.student,
        "prompt": run.prompt,
        "keywords_min": run.limits.minimum,
        "keywords_max": run.limits.maximum,
        "hyperparameters": run.request.hyperparameters | _common(manifest["hyperparameters"]),
    }
    repeated = Request.model_validate(run.request.model_dump() | chosen)
    return repeated.model_dump(mode="json", exclude_none=True)


def _common(by_size: dict[str, dict[str, str]]) -> dict[str, float]:
    """Return the hyperparameters that all sizes shared; the others follow from the size by rule."""
    each = list(by_size.values())
    return (
        {name: float(value) for name, value in each[0].items() if all(e[name] == value for e in each)} if each else {}
    )


def _prices(run: Run) -> list[Price]:
    teacher, student = catalog.get_model(run.teacher.model), catalog.get_model(run.student)
    tier = ledger.suffix(run.request.service_tier)
    asked = [(teacher, f"input{tier}"), (teacher, f"output{tier}")]
    asked += [(student, use) for use in ("input", "output", "training", "storage")]
    return [model.price(use) for model, use in asked]


def _sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
