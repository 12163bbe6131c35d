"""Cost of a customization job, which Bedrock reports on the bill only: the tokens of its records, once per epoch."""

from __future__ import annotations

from distillation import keys
from distillation.costs import calibration
from distillation.costs.estimate import dataset_tokens
from distillation.costs.tokens import question_tokens
from distillation.dataset.labels import read_labels
from distillation.errors import ObjectDamaged
from distillation.inference.reservation import maximum_usd
from distillation.models import catalog
from distillation.models.hyperparameters import job_hyperparameters, repeats_per_image
from distillation.models.service_tier import first_tier
from distillation.photos.splits import read_split
from distillation.records import LedgerPart, Run, SplitLine, Usage
from distillation.storage import Bucket
from distillation.telemetry import logger


def job_ledger_part(run: Run, size: int, data: Bucket, *, trained: bool = True) -> LedgerPart:
    """Return the ledger part of the job of a size; a job that was not ``trained`` costs nothing.

    If student and teacher are of the same family, a record has the tokens that its label was billed for. Other records,
    and labels without a bill, are counted by the student's rule.
    """
    train = list(read_split(run, "train", data))
    usages = _billed_usages(run, train, data)
    images = [line for line in train if line.image in usages][:size]
    same_family = catalog.get_model(run.teacher.model).family is catalog.get_model(run.student).family
    billed = [usage for line in images if same_family and (usage := usages[line.image])]
    unbilled = [line for line in images if not (same_family and usages[line.image])]
    tokens_per_epoch = sum(usage.input_tokens + usage.output_tokens for usage in billed)
    tokens_per_epoch += _tokens_by_rule(run, unbilled, data)
    epochs = int(job_hyperparameters(run, size)["epochCount"])
    tokens = tokens_per_epoch * repeats_per_image(run.request, size) * epochs if trained else 0
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

    A damaged or missing part of LabelImages must not fail the size, because its job may be running: then nothing is
    known. An image without a label counts, because the validated file of the job has a record of it.
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
    """Return the maximum cost, in US dollars, of all answers about the test set.

    A job is created only if this much is left in the budget: a model that cannot be evaluated is useless.
    """
    images = sum(1 for _ in read_split(run, "test", data))
    sizes = sum(1 for _ in data.keys(f"{keys.dataset_prefix(run.name)}train-"))
    students = maximum_usd(run, run.student, run.teacher, images * (1 + sizes))
    return students + maximum_usd(
        run, run.ceiling.model, run.ceiling, images, first_tier(run.ceiling.model, run.request.service_tier)
    )


def _tokens_by_rule(run: Run, images: list[SplitLine], data: Bucket) -> int:
    if not images:
        return 0
    student, teacher = (
        question_tokens(run, model, calibration.load(model, data)) for model in (run.student, run.teacher.model)
    )
    return round(dataset_tokens([line.dimensions for line in images], student, teacher).expected)
