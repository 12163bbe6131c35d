"""Prices of more labels and of more training, from what a run paid for its own."""

from __future__ import annotations

from collections.abc import Iterable

from distillation.documents import EvaluationFigures, Ledger
from distillation.models import catalog
from distillation.models.hyperparameters import job_hyperparameters, repeats_per_image
from distillation.records import Run, TrainedModel


def label_usd(
    run: Run, ledger: Ledger, figures: EvaluationFigures | None = None, step: str = "LabelImages"
) -> float | None:
    """Return the US dollars for the label of one image, with all of its samples; None if it is unknown.

    ``step`` is the state that asked the teacher. If the run reused all labels, the price is that of the teacher's
    answers in ``figures``.
    """
    calls, usd, _ = _teacher_calls(run, ledger, step)
    if calls:
        return usd / calls * run.request.samples_per_image
    teacher = figures.serving.get("teacher") if figures else None
    if teacher is None or teacher.usd_per_1000 is None:
        return None
    return teacher.usd_per_1000 / 1000 * run.request.samples_per_image


def training_usd(run: Run, size: int, models: Iterable[TrainedModel], ledger: Ledger) -> float | None:
    """Return the expected US dollars for training on ``size`` images; None if it is unknown.

    A record costs what it cost in the run's own jobs. If the run paid for none, a record has the tokens of a label's
    call. Each record is trained on once per epoch and repeat, whose numbers depend on the size.
    """
    trained = sum(
        _times_trained(run, model.size) for model in models if model.status == "Active" and not model.trained_by
    )
    paid = sum(entry.usd for entry in ledger.entries if entry.step == "TrainModels")
    if trained and paid:
        return paid / trained * _times_trained(run, size)
    calls, _, tokens = _teacher_calls(run, ledger, "LabelImages")
    student = catalog.get_model(run.student)
    if not calls or not student.has_price("training"):
        return None
    return student.price("training").cost(tokens / calls * _times_trained(run, size))


def _times_trained(run: Run, size: int) -> int:
    """Return how many times a job on ``size`` images is trained on a record."""
    return size * repeats_per_image(run.request, size) * int(job_hyperparameters(run, size)["epochCount"])


def _teacher_calls(run: Run, ledger: Ledger, step: str) -> tuple[int, float, int]:
    """Return the number of the teacher's billed calls in a step, their US dollars and their tokens."""
    entries = [entry for entry in ledger.entries if entry.step == step and entry.model != run.student]
    return (
        sum(entry.calls for entry in entries),
        sum(entry.usd for entry in entries),
        sum(entry.input_tokens + entry.output_tokens for entry in entries),
    )
