"""What it takes to say how a model came about."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from lambdas.shared import families, layout
from lambdas.shared.objects import Objects
from lambdas.shared.records import Run


def manifest(run: Run, report: dict[str, Any], data: Objects) -> dict[str, Any]:
    """Return request, hashes of the datasets, hyperparameters, models, scores and prices."""
    datasets = {key: hashlib.sha256(data.read(key)).hexdigest() for key in data.keys(layout.datasets(run.run))}
    student = families.model(run.student)
    return {
        "run": json.loads(run.model_dump_json()),
        "datasets_sha256": datasets,
        "hyperparameters": student.family.resolve_hyperparameters(run.request.hyperparameters),
        "models": report["models"],
        "jaccard": report["jaccard"],
        "prices": {id: families.model(id).price.__dict__ for id in (run.teacher.model, run.student)},
    }
