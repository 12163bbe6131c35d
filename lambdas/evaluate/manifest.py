"""What it takes to say how a model came about."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from lambdas.shared import families, layout
from lambdas.shared.objects import Objects
from lambdas.shared.prices import Price
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
        "prices": [row.as_json() for row in _prices(run)],
    }


def _prices(run: Run) -> list[Price]:
    teacher, student = families.model(run.teacher.model), families.model(run.student)
    asked = [(model, use) for model in (teacher, student) for use in ("input", "output")]
    return [model.price(use) for model, use in [*asked, (student, "training"), (student, "storage")]]
