"""Prices of more labels and of more training, from what a run paid for its own."""

from __future__ import annotations

from collections.abc import Iterable

from distillation.documents import EvaluationFigures, Ledger
from distillation.models.hyperparameters import job_hyperparameters, repeats_per_image
from distillation.records import Run, TrainedModel


def label_usd(
    run: Run, ledger: Ledger, figures: EvaluationFigures | None = None, step: str = "LabelImages"
) -> float | None:
    """Return the US dollars for the label of one image, with all of its samples; None if it is unknown.

    ``step`` is the state that asked the teacher. If the run reused all labels, the price is that of the teacher's
    answers in ``figures``.
    """
    asked = [entry for entry in ledger.entries if entry.step == step and entry.model != run.student]
    if calls := sum(entry.calls for entry in asked):
        return sum(entry.usd for entry in asked) / calls * run.request.samples_per_image
    teacher = figures.serving.get("teacher") if figures else None
    if teacher is None or teacher.usd_per_1000 is None:
        return None
    return teacher.usd_per_1000 / 1000 * run.request.samples_per_image


def training_usd(run: Run, size: int, models: Iterable[TrainedModel], ledger: Ledger) -> float | None:
    """Return the expected US dollars for training on ``size`` images; None if it is unknown.

    The price of training on one record, once, is that of the run's own jobs. How many times a record is trained on
    (epochs and repeats) depends on the size. A model that could not be deployed was paid for as well.
    """
    trained = sum(
        _times_trained(run, model.size)
        for model in models
        if (model.status == "Active" or model.model_arn) and not model.trained_by
    )
    paid = sum(entry.usd for entry in ledger.entries if entry.step == "TrainModels")
    return paid / trained * _times_trained(run, size) if trained and paid else None


def _times_trained(run: Run, size: int) -> int:
    """Return how many times a job on ``size`` images is trained on a record."""
    return size * repeats_per_image(run.request, size) * int(job_hyperparameters(run, size)["epochCount"])
