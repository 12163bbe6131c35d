"""Expected cost of a customization job, from the tokens of its records. Only the bill shows the actual cost."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence

from distillation import keys
from distillation.costs.lines import exactly
from distillation.costs.tokens import RunTokens
from distillation.costs.workload import stored_answers
from distillation.dataset.labels import read_labels
from distillation.errors import ObjectDamaged
from distillation.inference.reservation import maximum_usd
from distillation.inference.untuned import untuned_labeler
from distillation.models import catalog
from distillation.models.hyperparameters import job_hyperparameters, repeats_per_image
from distillation.photos.rounds import CEILING_IMAGES, images_to_choose_size
from distillation.photos.splits import read_split
from distillation.records import LedgerPart, Run, SplitLine, Usage, size_of
from distillation.storage import Bucket
from distillation.telemetry import logger


def job_ledger_part(run: Run, size: int, data: Bucket, *, trained: bool = True) -> LedgerPart:
    """Return the ledger part of the job of a size; a job that was not ``trained`` costs nothing.

    Tokens are counted as the estimate expects them (``Tokens.training_records``), because only the bill has them. An
    answer is as long as its label was billed for, or as the estimate expects if that is unknown.
    """
    train = list(read_split(run, "train", data))[:size]
    usages = _billed_usages(run, train, data)
    images = [line for line in train if line.image in usages]
    tokens = _tokens_per_epoch(run, images, usages) * repeats_per_image(run.request, size) if trained else 0
    tokens *= int(job_hyperparameters(run, size)["epochCount"])
    return LedgerPart(
        step="TrainModels",
        model=run.student,
        calls=1,
        reused=0,
        input_tokens=0,
        output_tokens=0,
        training_tokens=tokens,
        usd=catalog.get_model(run.student).price("training").cost(tokens),
    )


def _billed_usages(run: Run, train: list[SplitLine], data: Bucket) -> dict[str, Usage | None]:
    """Return what the label of each image was billed; None where that is unknown.

    If a part of LabelImages is damaged, all are unknown: an error would fail the size although its job may be running.
    An image without a label counts, because the validated file of the job has a record of it.
    """
    try:
        labels = read_labels(run, data)
    except ObjectDamaged as error:
        logger.warning("cost of the job is estimated without its labels", run=run.name, error=str(error))
        return {line.image: None for line in train}
    refused = {image for image, line in labels.items() if line.status == "refused"}
    usages = {image: line.usage for image, line in labels.items()}
    return {line.image: usages.get(line.image) for line in train if line.image not in refused}


def maximum_prediction_usd(run: Run, data: Bucket) -> float:
    """Return the maximum cost, in US dollars, of the answers of PredictTestImages that no run has paid for.

    A job is created only if this much is left in the budget: a model that cannot be evaluated is useless.
    """
    test, validation = ([line.image for line in read_split(run, name, data)] for name in ("test", "validation"))
    prefix = f"{keys.dataset_prefix(run.name)}train-"
    names = {f"n{key.removeprefix(prefix).removesuffix('.jsonl')}" for key in data.keys(prefix)}
    tuned = [name for name in names if size_of(name) is not None]
    asked = [*test, *images_to_choose_size(range(len(tuned)), validation)]
    stored, base = stored_answers(data), untuned_labeler(run, run.student, run.student_prompt)
    students = _unanswered(test, stored(base.id, 0))
    for name in tuned:
        answers = keys.answers_prefix(run.name, name)
        students += _unanswered(asked, {key.removeprefix(answers).removesuffix(".json") for key in data.keys(answers)})
    ceiling = _unanswered(test[:CEILING_IMAGES], stored(run.ceiling.id, run.ceiling_sample))
    return maximum_usd(run, run.student, run.teacher, students, prompt=run.student_prompt) + maximum_usd(
        run, run.ceiling.model, run.ceiling, ceiling, run.request.service_tier
    )


def _unanswered(images: Sequence[str], answered: Container[str]) -> int:
    return sum(image not in answered for image in images)


def _tokens_per_epoch(run: Run, images: Sequence[SplitLine], usages: Mapping[str, Usage | None]) -> int:
    # Without calibrations, which other runs change: a job that is described twice has the same cost twice.
    tokens = RunTokens(run, {})
    billed = [usage.output_tokens for line in images if (usage := usages[line.image])]
    questions = tokens.student.training_records([line.dimensions for line in images], exactly(0)).expected
    return round(questions + sum(billed) + tokens.teacher.answer.expected * (len(images) - len(billed)))
